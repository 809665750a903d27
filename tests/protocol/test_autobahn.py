"""Autobahn's test suite: its fuzzing client against an edge's WebSocket layer.

`wstest` (https://github.com/crossbario/autobahn-testsuite) runs on Python 2.7 only, which nothing that tests install brings.
Where somebody has it (`pip install autobahntestsuite` under Python 2.7 or PyPy 2.7), put it into the PATH, and this test runs.
Its cases are also in `test_rfc6455_*.py`, by their numbers, against a whole edge; this one shows that whoever wrote the suite
agrees.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import echo_edge
from tests.support.requirements import skip_uninstallable

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PROGRAM = "wstest"
DEADLINE_S = 540
# Binary messages, which an edge refuses, and compression, which it does not negotiate.
LEFT_OUT = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*", "12.*", "13.*"]
# What counts as passed. NON-STRICT: UTF-8 is looked at when a message is whole, not byte by byte, which section 8.1 allows.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.mark.timeout(600)
async def test_every_case_of_the_fuzzing_client(tmp_path: Path) -> None:
    program = shutil.which(PROGRAM)
    if program is None:
        skip_uninstallable(f"{PROGRAM} of autobahntestsuite", "it runs on Python 2.7 only")
    runner, port = await echo_edge.serve()
    try:
        await _run(program, port, tmp_path)
    finally:
        await runner.cleanup()
    cases = json.loads((tmp_path / "reports" / "index.json").read_text())["tidewire"]
    assert len(cases) > 200
    bad = {case: found for case, found in cases.items() if not {found["behavior"], found["behaviorClose"]} <= GOOD}
    assert bad == {}


async def _run(program: str, port: int, folder: Path) -> None:
    """Have the suite's client try every case; it reports into the folder."""
    specification = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "tidewire", "url": f"ws://127.0.0.1:{port}/client_autobahn"}],
        "cases": ["*"],
        "exclude-cases": LEFT_OUT,
        "exclude-agent-cases": {},
    }
    file = folder / "specification.json"
    file.write_text(json.dumps(specification))
    log = folder / "wstest.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, "-m", "fuzzingclient", "-s", str(file), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                assert await process.wait() == 0, log.read_text(errors="replace")[-3000:]
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

"""Coverage-guided runs of a target: each in a process of its own, which is judged by how it ends and what it says."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.corpus import folder_of
from tests.fuzz.target import Target
from tests.support.processes import ROOT

# Of one input, in seconds: what takes longer hangs, and is a finding.
INPUT_TIMEOUT_S: Final = 25
RSS_LIMIT_MB: Final = 2048
# Starting, and going through the corpus, take their time besides.
_START_S: Final = 120
_STATUS: Final = re.compile(r"^#(\d+)\s+\w+.* cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
_DONE: Final = re.compile(r"^Done (\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Report:
    """What a run came to.

    Attributes:
        inputs: How many were tried.
        branches: Of the product, that were reached.
        finding: The input that failed; None: none did.
        output: Everything that the run said.
        seconds: How long it was to take.
    """

    inputs: int
    branches: int
    finding: bytes | None
    output: str
    seconds: int

    @property
    def line(self) -> str:
        """For people."""
        end = "no finding" if self.finding is None else f"FINDING: {self.finding!r}"
        return f"{self.inputs:>8} inputs in {self.seconds} s, {self.branches:>5} branches reached, {end}"


def run(name: str, target: Target, seconds: int, *, keep: Path | None = None, seed: int = 0) -> Report:
    """Run a target for some seconds, from its corpus on.

    Args:
        name: Of the target.
        target: It.
        seconds: How long, besides its start.
        keep: An empty folder for inputs that reached something new, the shortest that did; None: they are forgotten.
        seed: Of the mutations; 0: any.
    """
    with _places(target) as (found, artifacts, words):
        arguments = [
            *(str(keep or found), str(folder_of(name))),
            *(f"-max_total_time={seconds}", f"-timeout={INPUT_TIMEOUT_S}", f"-rss_limit_mb={RSS_LIMIT_MB}"),
            *(f"-max_len={target.max_bytes}", f"-dict={words}", f"-artifact_prefix={artifacts}/", f"-seed={seed}"),
            "-print_final_stats=1",
        ]
        ended, output = _guided(name, arguments, seconds + _START_S)
        return _report(ended, output, artifacts, seconds)


@contextlib.contextmanager
def _places(target: Target) -> Iterator[tuple[Path, Path, Path]]:
    """Make folders for what is found, and the file of words."""
    with tempfile.TemporaryDirectory(prefix="tidewire-fuzz-") as place:
        found, artifacts, words = (Path(place) / part for part in ("found", "artifacts", "words"))
        found.mkdir()
        artifacts.mkdir()
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        yield found, artifacts, words


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02X}" for byte in word)


def _guided(name: str, arguments: Sequence[str], deadline_s: float) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")])}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", name, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=deadline_s,
        check=False,
    )
    return done.returncode, done.stdout


def _report(ended: int, output: str, artifacts: Path, seconds: int) -> Report:
    artifact = next(iter(sorted(artifacts.iterdir())), None)
    statuses = _STATUS.findall(output)
    executed = _EXECUTED.search(output) or _DONE.search(output)
    inputs = int(executed[1]) if executed else int(statuses[-1][0]) if statuses else 0
    branches = int(statuses[-1][1]) if statuses else 0
    finding = artifact.read_bytes() if artifact is not None else None
    if finding is None and ended != 0:
        raise RuntimeError(f"the run ended with {ended}, and not for an input:\n{output[-4000:]}")
    return Report(inputs, branches, finding, output, seconds)

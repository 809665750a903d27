"""Profiles: what py-spy writes is read rightly, and a real process is seen where it works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.profiling.__main__ import main, shown
from benchmarks.profiling.sampler import Sampler
from benchmarks.profiling.samples import Samples, samples
from benchmarks.usage import Cpu, cpu_times
from tests.support.waiting import wait_until

WORK = "import sys\ndef work_hard():\n    while True: sum(range(1000))\nprint('begun', flush=True)\nwork_hard()"


def test_samples_count_for_the_innermost_python_function() -> None:
    found = samples(
        [
            "main (app.py:1);run (asyncio/runners.py:9);deliver (ws_edge/core/fanout.py:38);write (libc.so.6) 3",
            "main (app.py:1);run (asyncio/runners.py:9);deliver (ws_edge/core/fanout.py:40) 2",
            "main (app.py:1);run (asyncio/runners.py:9);uv_run (core.c:452) 4",
            "main (app.py:1);run (asyncio/runners.py:9);epoll_wait (libc.so.6) 100",
            "run (threading.py:9);0x7f3 (libc.so.6) 100",
            "0x7f1 (libc.so.6);0x7f2 (grpc/_cython/cygrpc.so);sendmsg (libc.so.6) 1",
            "",
        ]
    )
    assert found.total == 10
    assert found.places == {
        "ws_edge/core/fanout.py: deliver": 5,
        "uvloop: the event loop": 4,
        "grpc: its own threads": 1,
    }
    assert found.rooms == {"ws_edge/core": 5, "uvloop": 4, "grpc": 1}
    assert found.calls == {"write": 3, "sendmsg": 1}


def test_a_report_has_the_shares_of_services_and_functions() -> None:
    seen = samples(["deliver (ws_edge/core/fanout.py:38) 3", "other (app.py:1) 1"])
    lines = list(shown("fanout", {"edge": (seen, Cpu(1.5, 1.5)), "auth": (Samples(), Cpu(1.0, 0.0))}))
    assert lines[0].startswith("fanout: 4.0 CPU s")
    assert lines[1].startswith("  edge: 75% of it; 50% user, 50% kernel; 4 samples")
    assert "       75.0%  ws_edge/core/fanout.py: deliver" in lines
    assert any(line.startswith("  auth: 25% of it; 100% user") for line in lines)


def test_a_process_is_seen_where_it_works(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            sampler = Sampler(process.pid, tmp_path)
            begun = cpu_times(process.pid)
            wait_until(lambda: cpu_times(process.pid).since(begun).whole_s > 1.0, what="a second of work")
            found = sampler.stop()
        finally:
            process.kill()
    assert found.places.most_common(1)[0][0] == "<string>: work_hard"


def test_a_process_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(BenchmarkError, match="py-spy has seen nothing"):
        Sampler(process.pid, tmp_path).stop()
    assert cpu_times(process.pid) == Cpu(0.0, 0.0)


def test_the_services_are_profiled_under_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "--small"]) == 0
    report = capsys.readouterr().out
    assert "publish: " in report
    for service in ("edge", "session", "auth"):
        assert f"  {service}: " in report
    assert "ws_edge/" in report

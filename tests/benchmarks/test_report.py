"""Rounds are interleaved, what went wrong counts for nothing, and all reports say the same."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks import message_path
from benchmarks.errors import BenchmarkError
from benchmarks.load.counts import Run, Times
from benchmarks.load.plan import Client, Frame
from benchmarks.peers.base import Peer
from benchmarks.report import json_file, plot
from benchmarks.report.machine import Machine, this_machine
from benchmarks.report.table import table
from benchmarks.rounds import Result, run_rounds
from benchmarks.scenarios.base import FULL, SMALL, Figure, Measured, Outcome, Scenario
from benchmarks.usage import by_part, cpu_seconds, family
from tests.support.waiting import wait_until

MACHINE = Machine("a processor", 2, 8.0, "6.1", 0.1, "2026-01-02T03:04:05+00:00")


class Scripted(Peer):
    """A server whose outcomes are written down beforehand."""

    outcomes: ClassVar[Iterator[Outcome]]
    calls: ClassVar[list[str]] = []

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"{self.name} 1.0"

    def start(self, directory: Path, identities: int = 1) -> None:
        self.calls.append(self.name)

    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        raise NotImplementedError

    def publisher(self, number: int, channel: str) -> Client:
        raise NotImplementedError

    def message(self, channel: str, text: str) -> Frame:
        raise NotImplementedError

    def parts(self) -> Mapping[str, int]:
        return {}


class Absent(Scripted):
    name = "absent"

    def missing(self) -> str | None:
        return "something"


def _peer(peer_name: str, *outcomes: Outcome) -> type[Scripted]:
    class One(Scripted):
        name = peer_name

    One.outcomes = iter(outcomes)
    return One


def _speed(value: float, *faults: str) -> Outcome:
    """A round of one measurement; `other` is the figure of another, in which nothing is wrong."""
    outcome = Outcome(figures={"other": 1.0})
    never = Times(0, 0.0, 0.0, 0.0, 0.0, 0.0, ())
    run = Run(1.0, 0.1, 1, 2, 2 - len(faults), 1, never, never, never, faults)
    outcome.take("race", Measured(run, {}, 1.0), {"speed": value})
    return outcome


def _measure(peer: Peer, size: object) -> Outcome:
    assert isinstance(peer, Scripted)
    outcome = next(peer.outcomes)
    if outcome.figures.get("speed", 0) < 0:
        raise BenchmarkError("it fell over")
    return outcome


SCENARIO = Scenario("race", "who is first", lambda size: [Figure("speed", "speed", "km/h")], (), _measure)


@pytest.fixture
def result() -> Result:
    Scripted.calls.clear()
    first = _peer("first", _speed(100), _speed(300), _speed(200))
    second = _peer("second", _speed(50), _speed(999, "1 of 2 deliveries lost"), _speed(150))
    third = _peer("third", _speed(-1), _speed(-1), _speed(-1))
    return run_rounds(SCENARIO, [first, second, third, Absent], 3, FULL, say=lambda line: None)


def test_servers_take_turns(result: Result) -> None:
    assert Scripted.calls == ["first", "second", "third"] * 3


def test_a_measurement_with_a_fault_counts_for_nothing(result: Result) -> None:
    first, second, third = result.contenders
    assert (first.median("speed"), result.ratio(first, "speed")) == (200, 1.0)
    assert (second.samples("speed"), second.median("speed"), result.ratio(second, "speed")) == ([50, 150], 100, 0.5)
    assert second.faults == ["round 2: race: 1 of 2 deliveries lost"]
    assert second.samples("other") == [1.0, 1.0, 1.0], "another measurement of that round counts"
    assert (third.median("speed"), result.ratio(third, "speed")) == (None, None)
    assert third.faults[0] == "round 1: it fell over"


def test_the_table_shows_what_is_wrong_and_what_is_absent(result: Result) -> None:
    text = table(result, MACHINE)
    assert "second 100 50.00 150 0.50" in " ".join(text.split())
    assert "DELIVERIES WRONG in 1 of 3 rounds" in text
    assert "absent: left out, it needs something" in text
    assert "NOT QUIET" not in text
    busy = Machine("a processor", 2, 8.0, "6.1", 3.0, "2026-01-02T03:04:05+00:00")
    assert "NOT QUIET: load 3.0" in table(result, busy)


def test_the_limit_of_the_generator_is_told() -> None:
    limited = Outcome(figures={"speed": 1.0}, generator_was_the_limit=["w1"], generator_share=0.97)
    shown = table(run_rounds(SCENARIO, [_peer("only", limited)], 1, SMALL, say=lambda line: None), MACHINE)
    assert "the load generator may have been the limit: w1" in shown
    assert "used 97% of a core" in shown
    assert "SMALL" in shown


def test_the_json_file_has_every_sample(result: Result, tmp_path: Path) -> None:
    json_file.write([result], MACHINE, tmp_path / "out.json")
    value: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    (race,) = value["results"]
    assert race["absent"] == {"absent": "something"}
    assert race["contenders"][0]["figures"]["speed"] == {"median": 200, "samples": [100, 300, 200], "of_first": 1.0}
    assert value["machine"]["cores"] == 2


def test_the_plot_is_a_picture_with_a_bar_for_each_that_has_a_figure(result: Result, tmp_path: Path) -> None:
    plot.write([result], MACHINE, tmp_path / "out.svg")
    root = ElementTree.parse(tmp_path / "out.svg").getroot()
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("x")]
    assert [float(bar.get("width", "0")) for bar in bars] == [320.0, 160.0]
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "no figure: deliveries wrong" in words


def test_an_unknown_scenario_or_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nothing"], ["fanout", "--only", "nobody"], ["fanout", "--rounds", "0"]):
        with pytest.raises(SystemExit) as ended:
            message_path.main(arguments)
        assert ended.value.code == 2
    assert "nobody" in capsys.readouterr().err


def test_servers_that_take_no_part_in_a_scenario_are_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert message_path.main(["storage-sqlite", "--only", "tidewire"]) == 1
    assert "nothing to measure" in capsys.readouterr().err


def test_this_machine_has_a_name_and_a_core() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1


def test_a_process_belongs_to_the_nearest_part_and_its_cpu_is_counted() -> None:
    """A process whose child works until its stdin ends."""
    work = "import sys, threading, time\nwhile time.process_time() < 0.05: pass\nprint('done', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        (child,) = family([process.pid]) - {process.pid}
        assert by_part({"outer": process.pid, "inner": child}) == {"outer": {process.pid}, "inner": {child}}
        assert by_part({"outer": process.pid}) == {"outer": {process.pid, child}}
        assert cpu_seconds([child]) >= 0.04
        assert process.stdin is not None
        process.stdin.close()
        wait_until(lambda: process.poll() is not None, what="the end of the processes")
    assert cpu_seconds([child]) == 0.0

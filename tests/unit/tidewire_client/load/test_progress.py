"""A run as it is shown while it goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.unit.tidewire_client.load.test_load_processes import tick
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.load.fleet import Fleet
from tidewire_client.load.load_processes import LoadProcesses
from tidewire_client.load.plan import Target
from tidewire_client.load.report.terminal import live_view, phase_words, progress_line
from tidewire_client.load.services import Services
from tidewire_client.load.stage import Stage
from tidewire_client.load.timeline import Timeline

KEY = "tw_live_4fK2_secret"


@pytest.fixture
def stage() -> Stage:
    """A run whose load processes are not started, and say what a test has them say."""
    login = EdgeLogin("http://edge.example:8000", KEY, "load")
    target = Target(login, ("127.0.0.1",), 8000, None, "0a1b2c3d", 30.0)
    timeline = Timeline(0.0)
    return Stage(target, Fleet(target, 2), Services([]), LoadProcesses(2, timeline), timeline, "load")


def shown(stage: Stage) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(live_view(stage, "echo"))
    return captured.get()


def test_before_anything_was_heard(stage: Stage) -> None:
    text = shown(stage)
    assert text.startswith("tidewire load echo  starting")
    assert "p50 / p99         -" in text
    assert "0 connected, 0 sent, 0 delivered, p50 / p99 -" in progress_line(stage)


def test_what_goes_on(stage: Stage) -> None:
    stage.enter("sending", 60.0)
    stage.on_tick(0, tick(0.5, 0.1, open=3, sent=1234, delivered=1000))
    stage.on_tick(1, tick(1.5, 0.1, open=2, sent=1, delivered=5, dropped=1, refused=2))
    text = shown(stage)
    for words in ("sending, 60 s left", "1,235", "1,005", "1.00 / 1.00 ms", "1, 2", "deliveries a second", "Ctrl-C"):
        assert words in text
    assert KEY not in text
    assert "5 connected, 1,235 sent, 1,005 delivered, p50 / p99 1.00 / 1.00 ms" in progress_line(stage)


def test_an_end_that_comes_early(stage: Stage) -> None:
    stage.enter("sending", 60.0)
    stage.interrupt()
    assert phase_words(stage) == "ending early (sending)"
    assert stage.interrupted


def test_channels_of_a_run_are_its_own(stage: Stage) -> None:
    assert [stage.channel(number) for number in range(2)] == ["load-0a1b2c3d-0", "load-0a1b2c3d-1"]

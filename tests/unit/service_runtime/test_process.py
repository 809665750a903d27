"""The life of a service's process: signals, exit codes, the ready file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service_runtime.listening import PortTakenError
from service_runtime.process import announce_ready, run_service
from service_runtime.settings import ServiceSettings, SettingsError, make_settings


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    root.handlers.clear()
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    ended = []

    async def serve(stop: asyncio.Event) -> None:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)
        ended.append(number)

    assert run_service("demo", ServiceSettings(), serve) == 0
    assert ended == [number]


@pytest.mark.parametrize("error", [PortTakenError("127.0.0.1", 8000), SettingsError("TIDEWIRE_DEMO_PORT: no")])
def test_what_an_operator_can_mend_is_one_line_and_code_1(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async def serve(stop: asyncio.Event) -> None:
        raise error

    assert run_service("demo", ServiceSettings(), serve) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"demo: {error}"


def test_a_tls_connection_that_was_cut_is_no_defect_and_others_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async def serve(stop: asyncio.Event) -> None:
        for message, error in (
            ("Fatal error on SSL protocol", RuntimeError("the handler is closed")),
            ("Fatal error on SSL protocol", KeyError("defect 1")),
            ("Exception in callback", RuntimeError("defect 2")),
        ):
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    assert run_service("demo", ServiceSettings(), serve) == 0
    said = capsys.readouterr()
    shown = said.out + said.err
    assert "TLS connection ended before all was written" in shown
    assert "defect 1" in shown
    assert "defect 2" in shown
    assert shown.count("Fatal error on SSL protocol") == 1


def test_a_defect_is_not_hidden() -> None:
    async def serve(stop: asyncio.Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_service("demo", ServiceSettings(), serve)


def test_the_ready_file_says_who_listens_where(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    file.write_text("of an earlier life")
    announce_ready(make_settings(ServiceSettings, {"ready_file": file}), "demo", port=1234)
    assert json.loads(file.read_text()) == {"service": "demo", "pid": os.getpid(), "port": 1234}
    assert list(tmp_path.iterdir()) == [file]


def test_no_ready_file_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    announce_ready(ServiceSettings(), "demo", port=1234)
    assert list(tmp_path.iterdir()) == []

"""What `status` says of what a supervisor wrote."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from scripts.status import STALE_S, describe
from scripts.supervision import run_record
from scripts.supervision.run_record import AlreadyRunningError, RunRecord


def state(*, pid: int | None = None, problem: str | None = None) -> dict[str, Any]:
    service = {
        "name": "auth",
        "pid": pid or os.getpid(),
        "address": "127.0.0.1:50051",
        "port": 50051,
        "restarts": 2,
        "problem": problem,
    }
    return {"pid": 1, "mode": "development", "started_at": 1000.0, "looked_at": 1100.0, "services": [service]}


def test_a_service_without_a_problem_is_ready() -> None:
    report = describe(state(), now=1101.0)
    assert (report["ready"], report["up_s"]) == (True, 101)
    assert (report["services"][0]["ready"], report["services"][0]["reason"]) == (True, None)


def test_its_problem_is_the_reason() -> None:
    report = describe(state(problem="no answer"), now=1101.0)
    assert (report["ready"], report["services"][0]["reason"]) == (False, "no answer")


def test_what_was_seen_long_ago_says_nothing() -> None:
    report = describe(state(), now=1101.0 + STALE_S)
    assert not report["ready"]
    assert "has not looked" in report["services"][0]["reason"]


def test_a_process_that_is_gone_does_not_run() -> None:
    gone = state()
    gone["services"][0]["pid"] = None
    assert describe(gone, now=1101.0)["services"][0]["reason"] == "not running"
    assert describe(state(pid=2**22 + 1), now=1101.0)["services"][0]["reason"] == "not running"


def test_an_edge_that_cannot_be_reached_is_not_ready() -> None:
    edge = state()
    edge["services"][0] |= {"name": "edge", "address": "127.0.0.1:1"}
    assert "no answer to /ready" in describe(edge, now=1101.0)["services"][0]["reason"]


def test_a_record_lives_as_long_as_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert not run_record.lives(folder)
    record = RunRecord(folder)
    record.open()
    record.write({"services": []})
    assert run_record.lives(folder)
    assert run_record.read_state(folder) == {"pid": os.getpid(), "services": []}
    record.close()
    record.close()
    assert not run_record.lives(folder)
    assert run_record.read_state(folder) is None


def test_a_folder_has_one_run(tmp_path: Path) -> None:
    first, second = RunRecord(tmp_path), RunRecord(tmp_path)
    first.open()
    first.write({})
    with pytest.raises(AlreadyRunningError, match=f"pid {os.getpid()}"):
        second.open()
    second.close()
    assert run_record.read_state(tmp_path) is not None, "who was refused must not remove the record"
    first.close()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert run_record.read_state(tmp_path) is None


def test_an_edge_that_speaks_https_is_asked_over_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        edge = state()
        edge["services"][0] |= {"name": "edge", "address": f"127.0.0.1:{listening.getsockname()[1]}", "https": True}
        asked: list[bytes] = []

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(1))

        thread = threading.Thread(target=answer)
        thread.start()
        assert "no answer to /ready" in describe(edge, now=1101.0)["services"][0]["reason"]
        thread.join()
    assert asked == [b"\x16"], "a TLS handshake (RFC 8446 section 5.1)"

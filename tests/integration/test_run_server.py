"""`run_server.py`: what it refuses, what it says and does in production mode."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ANY_PORTS, START_DEADLINE_S, Command, Status, run_script, runs, without_settings
from tests.support.http_client import http
from tests.support.processes import ROOT
from tests.support.protocol_client import Clients
from tests.support.target import DEVELOPMENT_KEY, Target
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

END_DEADLINE_S = 30.0
TOKEN = secrets.token_urlsafe(32)
ARGUMENTS = ("--this-python", *ANY_PORTS)
READY = r'(?m)^\{"event": "ready"'


def refused(directory: Path, *arguments: str, **variables: str) -> Command:
    data_dir = ("--data-dir", str(directory / "data"))
    command = run_script("run_server.py", *ARGUMENTS, *data_dir, *arguments, directory=directory, variables=variables)
    assert command.process.returncode == 1
    assert not (directory / "data" / "auth.db").exists(), "nothing may be started"
    errors = [line for line in json_lines(command) if line["level"] == "error"]
    assert [f"  - {line['event']}" for line in errors] == command.err.splitlines()[1:]
    return command


def json_lines(command: Command) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in command.out.splitlines()]
    assert all({"event", "level", "timestamp", "service"} <= set(line) for line in lines)
    return lines


@contextlib.contextmanager
def started(directory: Path, *arguments: str) -> Iterator[Command]:
    data_dir = ("--data-dir", str(directory / "data"))
    variables = {"TIDEWIRE_SERVICE_TOKEN": TOKEN}
    command = Command("run_server.py", *ARGUMENTS, *data_dir, *arguments, directory=directory, variables=variables)
    try:
        command.wait_for(READY)
        yield command
    finally:
        command.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A run that lasts for several tests."""
    with started(tmp_path_factory.mktemp("run")) as command:
        yield command
        children = command.children()
        command.send(signal.SIGTERM)
        assert command.finish(END_DEADLINE_S) == 0
        assert not [pid for pid in children if runs(pid)]
        assert TOKEN not in command.out + command.err


@pytest.fixture
def target(run: Command) -> Target:
    """Its edge."""
    (ready,) = (line for line in json_lines(run) if line["service"] == "supervisor" and line["event"] == "ready")
    return Target(ready["addresses"]["edge"], has_debug=False)


def test_no_service_token_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    command = refused(tmp_path)
    assert "TIDEWIRE_SERVICE_TOKEN: not set" in command.err
    assert 'python3 -c "import secrets; print(secrets.token_urlsafe(32))"' in command.err
    assert len(command.err.splitlines()) == 2, "one problem of three services is said once"


@pytest.mark.parametrize("token", ["canary-of-few-letters", "development-service-token"])
def test_weak_service_token_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    command = refused(tmp_path, TIDEWIRE_SERVICE_TOKEN=token)
    assert "TIDEWIRE_SERVICE_TOKEN" in command.err
    assert token not in command.out + command.err


def test_what_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    command = refused(
        tmp_path,
        "--data-dir",
        str(in_the_way / "data"),
        TIDEWIRE_SERVICE_TOKEN=TOKEN,
        TIDEWIRE_TLS_CERT_FILE=str(tmp_path / "no.pem"),
        TIDEWIRE_TLS_KEY_FILE=str(tmp_path / "no.key"),
    )
    assert "cannot be made" in command.err
    assert f"TIDEWIRE_TLS_CERT_FILE: {tmp_path / 'no.pem'}: there is no such file" in command.err
    assert f"TIDEWIRE_TLS_KEY_FILE: {tmp_path / 'no.key'}: there is no such file" in command.err
    assert "would call in the clear: set TIDEWIRE_TLS_CA_FILE" in command.err


def test_pepper_that_others_can_read_is_refused(tmp_path: Path) -> None:
    pepper = tmp_path / "data" / "pepper.json"
    pepper.parent.mkdir()
    pepper.write_text("{}")
    pepper.chmod(0o644)
    assert f"chmod 600 {pepper}" in refused(tmp_path, TIDEWIRE_SERVICE_TOKEN=TOKEN).err


@pytest.mark.parametrize(
    ("name", "value"), [("TIDEWIRE_EDGE_DEBUG_ENDPOINT", "true"), ("TIDEWIRE_AUTH_DEVELOPMENT_KEYS", "true")]
)
def test_conveniences_of_development_are_refused(tmp_path: Path, name: str, value: str) -> None:
    assert name in refused(tmp_path, **{"TIDEWIRE_SERVICE_TOKEN": TOKEN, name: value}).err


def test_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        arguments = (*ARGUMENTS, "--session-port", str(port), "--data-dir", str(tmp_path / "data"))
        variables = {"TIDEWIRE_SERVICE_TOKEN": TOKEN}
        command = run_script("run_server.py", *arguments, directory=tmp_path, variables=variables)
    assert command.process.returncode == 1
    assert f"port {port}, for session, is taken" in command.out


def test_every_line_is_json_and_names_its_service(run: Command) -> None:
    assert {line["service"] for line in json_lines(run)} == {"auth", "session", "edge", "supervisor"}


def test_development_keys_are_not_known(run: Command) -> None:
    assert not [line for line in json_lines(run) if "DEVELOPMENT MODE" in line["event"]]


def test_debug_endpoint_is_not_there(target: Target) -> None:
    assert http("GET", f"{target.http_url}/debug/client_someone").status == 404


async def test_development_key_is_refused(target: Target) -> None:
    async with Clients(target) as clients:
        client = await clients.open()
        data = {"api_key": DEVELOPMENT_KEY, "connection_type": "chat", "domain": "d", "workspace": "w"}
        await client.send("connect", data)
        await client.expect_error("invalid_key", 403)


@pytest.fixture
def first_key(run: Command) -> str:
    """The first admin key, made while the services run."""
    made = subprocess.run(
        [sys.executable, "-m", "auth_service", "bootstrap", "--data-dir", str(run.directory / "data")],
        env={
            **without_settings(),
            "TIDEWIRE_MODE": "production",
            "TIDEWIRE_SERVICE_TOKEN": TOKEN,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")]),
        },
        cwd=run.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


async def test_first_key_lets_its_owner_in(target: Target, first_key: str) -> None:
    async with Clients(Target(target.http_url, api_key=first_key, has_debug=False)) as clients:
        client = await clients.open()
        await client.authenticate(clients.workspace)


def test_service_that_is_killed_comes_back(run: Command) -> None:
    data_dir = run.directory / "data"
    before = Status(data_dir).service("auth")["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: Status(data_dir).service("auth")["pid"] not in (None, before), START_DEADLINE_S, "a new process")
    wait_until(lambda: Status(data_dir).ready, START_DEADLINE_S, "all is ready again")
    (line,) = (line for line in json_lines(run) if line.get("died") == "auth")
    assert (line["level"], line["exit_code"]) == ("warning", -signal.SIGKILL)


def test_service_that_dies_too_often_ends_everything_loudly(tmp_path: Path) -> None:
    with started(tmp_path, "--most-crashes", "2") as run:
        children = run.children()
        first = Status(tmp_path / "data").service("session")["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: Status(tmp_path / "data").ready, START_DEADLINE_S, "it is back")
        second = Status(tmp_path / "data").service("session")["pid"]
        os.kill(second, signal.SIGKILL)
        assert run.finish() == 1
        assert not [pid for pid in (*children, second) if runs(pid)]
        errors = [line["event"] for line in json_lines(run) if line["level"] == "error"]
        assert any("session was ended by SIGKILL, too often in 60 s: given up" in text for text in errors)


def test_store_with_development_keys_is_refused(tmp_path: Path) -> None:
    data_dir = ("--data-dir", str(tmp_path / "data"))
    development = Command("manage.py", "start", "--this-python", *ANY_PORTS, *data_dir, directory=tmp_path)
    try:
        development.wait_for(r"(?m)^ready")
        development.send(signal.SIGTERM)
        development.finish(END_DEADLINE_S)
    finally:
        development.kill()
    variables = {"TIDEWIRE_SERVICE_TOKEN": TOKEN}
    command = run_script("run_server.py", *ARGUMENTS, *data_dir, directory=tmp_path, variables=variables)
    assert command.process.returncode == 1
    assert "remove-development-keys" in command.out
    assert not [line for line in json_lines(command) if line["event"] == "ready" and line["service"] == "supervisor"]

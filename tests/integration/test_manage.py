"""`manage.py start` and `status` as people use them, on any free ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.certificates import OPERATOR, Folder
from tests.support.commands import ANY_PORTS, START_DEADLINE_S, Command, Status, kill_if_there, run_script, runs
from tests.support.http_client import http
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until
from tidewire_client import KeyAdmin, ServiceUnavailable, TlsFiles

pytestmark = pytest.mark.integration

SERVICES = ("auth", "session", "edge")
END_DEADLINE_S = 30.0


@contextlib.contextmanager
def started(directory: Path, *arguments: str, ports: tuple[str, ...] = ANY_PORTS) -> Iterator[Command]:
    """A start with a data folder of its own, ready."""
    data_dir = ("--data-dir", str(directory / "data"))
    command = Command("manage.py", "start", "--this-python", *ports, *data_dir, *arguments, directory=directory)
    try:
        command.wait_for(r"(?m)^ready")
        yield command
    finally:
        command.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A start that lasts for several tests, which leave it ready."""
    with started(tmp_path_factory.mktemp("run")) as command:
        yield command
        command.send(signal.SIGTERM)
        assert command.finish(END_DEADLINE_S) == 0


@pytest.fixture
def data_dir(run: Command) -> Path:
    """The data folder of the run."""
    return run.directory / "data"


def addresses(run: Command) -> dict[str, str]:
    (line,) = run.lines("ready")
    return dict(re.findall(r"(edge|auth|session) (?:http://)?(\S+)", line))


def await_ready(data_dir: Path) -> Status:
    wait_until(lambda: Status(data_dir).ready, START_DEADLINE_S, "all services are ready")
    return Status(data_dir)


def test_ready_is_said_once_with_addresses_when_a_message_has_gone_round(run: Command) -> None:
    found = addresses(run)
    assert set(found) == set(SERVICES)
    assert http("GET", f"http://{found['edge']}/ready").status == 200


def test_lines_of_all_services_are_shown_with_their_names(run: Command) -> None:
    for service in (*SERVICES, "manage"):
        assert run.lines(f"{service:<7} | "), service


def test_services_are_not_of_the_terminals_process_group(run: Command) -> None:
    children = run.children()
    assert len(children) == len(SERVICES)
    assert all(os.getsid(pid) == pid for pid in children)


def test_status_tells_pids_ports_and_readiness(run: Command, data_dir: Path) -> None:
    status = await_ready(data_dir)
    assert status.report["pid"] == run.process.pid
    assert {status.service(name)["pid"] for name in SERVICES} == set(run.children())
    assert {name: status.service(name)["address"] for name in SERVICES} == addresses(run)
    for name in SERVICES:
        assert status.service(name)["reason"] is None
        assert addresses(run)[name].endswith(f":{status.service(name)['port']}")


def test_status_for_people(run: Command, data_dir: Path, tmp_path: Path) -> None:
    await_ready(data_dir)
    shown = run_script("manage.py", "status", "--data-dir", str(data_dir), directory=tmp_path)
    assert shown.process.returncode == 0
    assert len(re.findall(r"(?m)^(?:auth|session|edge) +pid \d+ +127\.0\.0\.1:\d+ +ready$", shown.out)) == 3


@pytest.mark.parametrize("service", SERVICES)
def test_service_that_is_killed_comes_back_on_its_port(run: Command, data_dir: Path, service: str) -> None:
    before = await_ready(data_dir).service(service)
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(
        lambda: Status(data_dir).service(service)["pid"] not in (None, before["pid"]), START_DEADLINE_S, "a new process"
    )
    after = await_ready(data_dir).service(service)
    assert after["address"] == before["address"]
    assert after["restarts"] == before["restarts"] + 1
    assert run.lines(f"manage  | {service} was ended by SIGKILL; it is started again in ")
    wait_until(lambda: run.lines(f"manage  | {service} is back, with pid {after['pid']}"), what="it says so")
    assert len(run.lines("ready")) == 1


def test_service_that_does_not_answer_is_not_ready(run: Command, data_dir: Path) -> None:
    pid = await_ready(data_dir).service("auth")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not Status(data_dir).ready, START_DEADLINE_S, "status sees it")
        assert Status(data_dir).service("auth")["reason"]
        run.wait_for(r"(?m)^manage  \| not ready: auth: ")
    finally:
        os.kill(pid, signal.SIGCONT)
    await_ready(data_dir)
    run.wait_for(r"(?m)^manage  \| all services are ready again")


def test_second_run_on_the_same_data_folder_is_refused(run: Command, data_dir: Path, tmp_path: Path) -> None:
    arguments = ("start", "--this-python", *ANY_PORTS, "--data-dir", str(data_dir))
    second = run_script("manage.py", *arguments, directory=tmp_path)
    assert second.process.returncode == 1
    assert f"runs already with the data folder {data_dir} (pid {run.process.pid})" in second.out
    assert Status(data_dir).report["pid"] == run.process.pid


@pytest.mark.parametrize("service", SERVICES)
def test_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, service: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ports = [*ANY_PORTS, f"--{service}-port", str(port)]
        refused = run_script(
            "manage.py", "start", "--this-python", *ports, "--data-dir", str(tmp_path / "data"), directory=tmp_path
        )
    assert refused.process.returncode == 1
    assert f"port {port}, for {service}, is taken" in refused.out
    assert f"--{service}-port" in refused.out
    assert not refused.lines("ready")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_every_process_in_time(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as run:
        children = run.children()
        assert len(children) == len(SERVICES)
        run.send(number)
        assert run.finish(END_DEADLINE_S) == 0
        assert not [pid for pid in children if runs(pid)]
        status = Status(tmp_path / "data")
        assert (status.ready, status.report["running"]) == (False, False)


def test_signal_while_it_starts_ends_every_process(tmp_path: Path) -> None:
    data_dir = str(tmp_path / "data")
    run = Command("manage.py", "start", "--this-python", *ANY_PORTS, "--data-dir", data_dir, directory=tmp_path)
    try:
        wait_until(run.children, START_DEADLINE_S, "the first service is started")
        children = run.children()
        run.send(signal.SIGTERM)
        assert run.finish(END_DEADLINE_S) == 0
        assert not [pid for pid in children if runs(pid)]
        assert not run.lines("ready")
    finally:
        run.kill()


def test_service_that_does_not_end_is_killed_in_time(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        children = run.children()
        frozen = Status(tmp_path / "data").service("session")["pid"]
        os.kill(frozen, signal.SIGSTOP)
        began_s = time.monotonic()
        run.send(signal.SIGINT)
        assert run.finish() == 1
        assert time.monotonic() - began_s < END_DEADLINE_S
        assert not [pid for pid in children if runs(pid)]
        assert run.lines("manage  | session did not end when asked, and was killed")


def test_no_service_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        children = run.children()
        run.send(signal.SIGKILL)
        try:
            wait_until(lambda: not [pid for pid in children if runs(pid)], END_DEADLINE_S, "all services have ended")
        finally:
            for pid in children:
                kill_if_there(pid)
        assert Status(tmp_path / "data").report["running"] is False


def test_service_that_never_gets_ready_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "session.db").write_text("this is no database " * 100)
    refused = run_script(
        "manage.py", "start", "--this-python", *ANY_PORTS, "--data-dir", str(tmp_path / "data"), directory=tmp_path
    )
    assert refused.process.returncode == 1
    assert refused.lines("manage  | session did not start: it ended with exit code 1; its last lines:")
    assert not refused.children()


def test_wrong_setting_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    arguments = ("start", "--this-python", *ANY_PORTS, "--data-dir", str(tmp_path / "data"))
    variables = {"TIDEWIRE_EDGE_HEARTBEAT_S": "often", "TIDEWIRE_AUTH_MAX_WATCHERS": "0"}
    refused = run_script("manage.py", *arguments, directory=tmp_path, variables=variables)
    assert refused.process.returncode == 1
    assert "TIDEWIRE_EDGE_HEARTBEAT_S: often is not allowed" in refused.out
    assert "TIDEWIRE_AUTH_MAX_WATCHERS: 0 is not allowed" in refused.out
    assert not refused.lines("auth ")


def test_production_mode_without_a_service_token_is_refused(tmp_path: Path) -> None:
    arguments = ("start", "--this-python", *ANY_PORTS, "--data-dir", str(tmp_path / "data"), "--mode", "production")
    refused = run_script("manage.py", *arguments, directory=tmp_path)
    assert refused.process.returncode == 1
    assert "TIDEWIRE_SERVICE_TOKEN" in refused.out


def test_everything_on_one_redis(tmp_path: Path) -> None:
    """Ready comes when a message has gone round through Redis; no SQLite file is made, and the password is shown nowhere."""
    redis = RedisServer(tmp_path / "redis", {"requirepass": "canary-password"})
    redis.start()
    try:
        url = redis.url.replace("redis://", "redis://:canary-password@")
        with started(tmp_path, "--redis", url) as command:
            assert not list((tmp_path / "data").glob("*.db"))
            command.send(signal.SIGTERM)
            assert command.finish(END_DEADLINE_S) == 0
            assert "canary-password" not in command.out + command.err
    finally:
        redis.stop()


def test_redis_that_is_no_url_is_refused_without_showing_it(tmp_path: Path) -> None:
    refused = run_script("manage.py", "start", "--this-python", "--redis", "http://:pass@localhost", directory=tmp_path)
    assert refused.process.returncode == 1
    assert "TIDEWIRE_AUTH_STORE_URL" in refused.out + refused.err
    assert "pass@" not in refused.out + refused.err


def test_status_without_a_run(tmp_path: Path) -> None:
    status = Status(tmp_path / "nothing")
    assert (status.exit_code, status.report["running"]) == (1, False)
    shown = run_script("manage.py", "status", "--data-dir", str(tmp_path / "nothing"), directory=tmp_path)
    assert "nothing runs with the data folder" in shown.out


@pytest.mark.parametrize("arguments", [(), ("fly",), ("start", "--edge-port", "70000"), ("start", "--", "x")])
def test_wrong_use_is_refused_with_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run_script("manage.py", *arguments, directory=tmp_path).process.returncode == 2


async def test_start_with_tls_speaks_it_between_the_services_and_lets_the_operator_in(tmp_path: Path) -> None:
    with started(tmp_path, "--tls") as command:
        certificates = Folder(tmp_path / "data" / "certs")
        await asyncio.to_thread(await_ready, tmp_path / "data")
        target = addresses(command)["auth"]
        files = TlsFiles(certificates.ca, certificates.cert(OPERATOR), certificates.key(OPERATOR))
        async with KeyAdmin(target, token="", credentials=files) as admin:
            assert (await admin.list_page()).keys
        async with KeyAdmin(target, token="", deadline_s=1.0) as admin:
            with pytest.raises(ServiceUnavailable):
                await admin.list_page()
        command.send(signal.SIGTERM)
        assert command.finish(END_DEADLINE_S) == 0

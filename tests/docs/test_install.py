"""The page on installing: its commands start what they say, on ports that are free here."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.doc_blocks import named
from tests.support.doc_shell import Checkout
from tests.support.http_client import http
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 40.0


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


@contextmanager
def running(checkout: Checkout, block: str, replaced: dict[str, str], *flags: str, **variables: str) -> Iterator[Path]:
    """Run a block whose last command does not end by itself, with more flags for that; yield the file of its log."""
    text = named(block).text.rstrip()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    *before, last = text.splitlines()
    log = checkout.folder / f"{block}.log"
    command = "\n".join([*before, f"exec {last} {' '.join(flags)}"])
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=checkout.folder,
            env=checkout.environment(**variables),
            stdout=out,
            stderr=out,
        )
    try:
        yield log
        process.terminate()
        assert process.wait(STOP_DEADLINE_S) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ready(port: int) -> bool:
    try:
        return http("GET", f"http://127.0.0.1:{port}/ready").status == 200
    except OSError:
        return False


def test_one_machine(here: Checkout) -> None:
    edge, auth, session = free_port(), free_port(), free_port()
    token = {"TIDEWIRE_SERVICE_TOKEN": secrets.token_hex(32)}
    flags = ("--edge-port", str(edge), "--auth-port", str(auth), "--session-port", str(session))
    with running(here, "install-one-machine", {}, *flags) as log:
        wait_until(lambda: ready(edge), START_DEADLINE_S, "the edge is ready")
        assert '"event": "ready"' in log.read_text()
        here.run("install-first-key", **token)
        assert (here.folder / "first.key").read_text().startswith("tw_live_")
        made = here.run("install-second-key", TIDEWIRE_AUTH_TARGET=f"127.0.0.1:{auth}")
        assert "permissions  join:* publish:*" in made


def test_many_machines(here: Checkout, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    edge, auth, session = free_port(), free_port(), free_port()
    addresses = {"dns:///auth.internal:50051": f"127.0.0.1:{auth}"}
    local = {"--host 0.0.0.0": "--host 127.0.0.1"}
    try:
        redis.start()
        here.run("install-secrets")
        assert {file.name for file in (here.folder / "secrets").iterdir()} == {
            "service_token",
            "pepper",
            "redis_url",
            "redis.conf",
            "grafana_password",
        }
        url = here.folder / "secrets" / "redis_url"
        url.chmod(0o600)
        url.write_text(redis.url)
        with (
            running(here, "install-auth", local, "--port", str(auth)),
            running(here, "install-session", {**local, **addresses}, "--port", str(session)),
            running(
                here,
                "install-edge",
                {**local, **addresses, "dns:///session.internal:50052": f"127.0.0.1:{session}"},
                *("--port", str(edge)),
            ),
        ):
            wait_until(lambda: ready(edge), START_DEADLINE_S, "the edge is ready")
    finally:
        redis.stop()


def test_the_first_key_of_a_store(here: Checkout) -> None:
    settings = {"TIDEWIRE_MODE": "production", "TIDEWIRE_SERVICE_TOKEN": secrets.token_hex(32)}
    assert "tw_live_" in here.run("security-bootstrap", **settings)
    again = here.attempt(named("security-bootstrap").text, **settings)
    assert again.returncode == 3

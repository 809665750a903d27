"""Redis publishes, and one session service hears nothing: its connection is open, and no word arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_client import http
from tests.support.ledger import Publisher, Subscriber, history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.silent_proxy import SilentProxy
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

KEY = "valid-test-key"
HEALED_S = 20.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


async def test_it_is_noticed_and_healed_and_nothing_is_lost(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = SilentProxy(redis.port)
    await proxy.start()
    monkeypatch.setenv("TIDEWIRE_SESSION_ENGINE_URL", f"redis://127.0.0.1:{proxy.port}")
    gateway = Gateway(tmp_path, edge={"frames-per-second": 0, "bytes-per-second": 0})
    async with gateway:
        other = another_session(gateway, redis.url)
        try:
            await asyncio.to_thread(other.start)
            there = await asyncio.to_thread(gateway.another_edge, "there", session_target=other.address)
            await run(gateway, there, proxy)
        finally:
            other.stop()
        await proxy.stop()


def another_session(gateway: Gateway, redis_url: str) -> ServiceProcess:
    """Return a session service that reaches Redis directly."""
    flags = {"data-dir": gateway.directory / "data", "auth-target": gateway.auth.address}
    variables = {
        "TIDEWIRE_MODE": "development",
        "TIDEWIRE_SERVICE_TOKEN": gateway.service_token,
        "TIDEWIRE_SESSION_ENGINE_URL": redis_url,
    }
    return ServiceProcess("session_service", gateway.directory, flags, variables, "session_service-there")


async def run(gateway: Gateway, there: ServiceProcess, proxy: SilentProxy) -> None:
    """Publish where Redis is heard, listen where it is not."""
    workspace, channel = new_name("w"), "chat"
    deaf_url, good_url = f"ws://{gateway.edge.address}", f"ws://{there.address}"
    subscriber = Subscriber(deaf_url, "hears", KEY, workspace, channel)
    await subscriber.joined.wait()
    publisher = Publisher(good_url, "says", KEY, workspace, channel, 1000)
    publishing = asyncio.create_task(publisher.run())
    await eventually(lambda: is_true(len(subscriber.heard) > 10), what="messages are heard")
    deaf_ready, good_ready = Readiness(gateway.edge), Readiness(there)
    assert proxy.silence_subscribers() >= 1
    deaf_s = time.monotonic()
    await publishing
    await eventually(lambda: is_true(len(subscriber.heard) >= 1000), what="everything is heard")
    healed_s = time.monotonic() - deaf_s
    await eventually(deaf_ready.is_green_again, what="the edge is ready again")
    kept = await history(good_url, new_name("reads"), KEY, workspace, channel)
    assert subscriber.heard == kept
    assert [place.offset for place, _ in kept] == list(range(1, 1001))
    assert healed_s < HEALED_S
    assert deaf_ready.reasons, "readiness was never red"
    assert not good_ready.reasons
    log = gateway.session.log()
    assert "message store fails" in log
    assert "a canary did not come back through the message store" in log
    assert "edge cannot deliver" in gateway.edge.log()
    metrics = http("GET", f"http://{gateway.edge.address}/metrics").body.decode()
    assert "tidewire_edge_canary_alarms_total 1.0" in metrics
    await asyncio.gather(subscriber.stop(), deaf_ready.stop(), good_ready.stop())


async def is_true(value: bool) -> bool:
    return value


class Readiness:
    """Asks an edge again and again if it is ready, and notes why it was not."""

    def __init__(self, edge: ServiceProcess) -> None:
        self.reasons: list[str] = []
        self._green = False
        self._url = f"http://{edge.address}/ready"
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            answer = await asyncio.to_thread(http, "GET", self._url)
            self._green = answer.status == 200
            if not self._green:
                self.reasons.append(answer.body.decode())
            await asyncio.sleep(0.05)  # between two looks

    async def is_green_again(self) -> bool:
        return self._green and bool(self.reasons)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

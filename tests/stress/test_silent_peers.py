"""Peers that accept a connection and never answer on it: everybody who waits for them is told, and knows why.

Peers that were there and froze are in `tests/protocol/test_faults.py`, `tests/integration/test_session_engine_redis.py` and
`test_silent_watch.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stress.process_watch import is_ready, reason_of
from tests.support.black_hole import BlackHole
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

DEADLINE_S = 2
# Beyond the deadline, for the machine.
PATIENCE_S = 10.0
ENGINE_TIMEOUT_S = 2


@pytest.fixture
async def hole() -> AsyncIterator[BlackHole]:
    async with BlackHole() as made:
        yield made


def silent_edge(gateway: Gateway, name: str, **targets: str) -> ServiceProcess:
    """Start an edge without waiting until it is ready, which it may never be."""
    edge = gateway.make_edge(name, auth_deadline_s=DEADLINE_S, session_deadline_s=DEADLINE_S, **targets)
    edge.start()
    return edge


async def is_told(edge: ServiceProcess, gateway: Gateway) -> None:
    """A client that connects is told within the deadline, may stay, and is let go when its time is over."""
    async with Clients(Target.of(gateway, edge)) as clients:
        client = await clients.open()
        for _ in range(2):
            began_s = time.monotonic()
            frame_id = await client.send_connect(clients.workspace)
            error = await client.receive()
            assert (error["type"], error["id"]) == ("error", frame_id)
            assert error["data"]["error_type"] in ("timeout", "unavailable")
            assert error["data"]["details"] == {"safe_to_repeat": True}
            assert error["data"]["retry_after_ms"] > 0
            assert time.monotonic() - began_s < DEADLINE_S + PATIENCE_S


async def test_an_auth_service_that_never_answers(gateway: Gateway, hole: BlackHole) -> None:
    """Nobody new gets in, for no key is let in unverified; the edge can deliver, and says so."""
    edge = await asyncio.to_thread(silent_edge, gateway, "no-auth", auth_target=hole.address)
    await is_told(edge, gateway)
    assert hole.accepted > 0

    async def ready() -> bool:
        return await is_ready(edge)

    await eventually(ready, what="the edge can deliver")


async def test_a_session_service_that_never_answers(gateway: Gateway, hole: BlackHole) -> None:
    edge = await asyncio.to_thread(silent_edge, gateway, "no-session", session_target=hole.address)
    await is_told(edge, gateway)
    assert hole.accepted > 0
    assert await asyncio.to_thread(reason_of, edge) == "no session service is attached"


async def test_a_session_service_that_begins_to_answer(gateway: Gateway, hole: BlackHole) -> None:
    """An edge that knows a silent session service and a good one works by the good one."""
    both = f"ipv4:{hole.address},{gateway.session.address}"
    edge = await asyncio.to_thread(gateway.another_edge, "one-of-two", session_target=both)
    async with Clients(Target.of(gateway, edge)) as clients:
        channel = new_name("room")
        client = await clients.member(channel)
        await client.publish(channel, "works")


@pytest.mark.parametrize("module", ["auth_service", "session_service"])
async def test_a_redis_that_never_answers(tmp_path: Path, hole: BlackHole, module: str) -> None:
    """A service does not start without its store: it ends within the time of a call, and says why."""
    url = f"redis://{hole.address}"
    variables = {"TIDEWIRE_AUTH_STORE_URL": url, "TIDEWIRE_SESSION_ENGINE_URL": url}
    flag = "store-timeout-s" if module == "auth_service" else "engine-timeout-s"
    process = ServiceProcess(module, tmp_path, {"data-dir": tmp_path, flag: ENGINE_TIMEOUT_S}, variables)
    process.launch()
    code = await asyncio.to_thread(process.wait_exit)
    assert code == 1
    assert hole.accepted > 0
    assert "Traceback" not in process.log()
    assert hole.address in process.log()

"""A service has no descriptor left: it neither dies nor spins, and takes others when there are some again."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.harness.cpu import cpu_s
from tests.stress.process_watch import counted, is_ready, open_files
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Beyond what a service has open already.
SPARE = 20
KNOCKING = 60
# A service has more than these at once: no number below is free again.
LEAST = 4
# Processor time of a service that has little to do, in a second: canaries and metrics. One that spins takes all of it.
IDLE_SHARE = 0.5
WATCHED_S = 3.0
RECOVERED_WITHIN_S = 10.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, auth={"metrics-port": 0}, session={"metrics-port": 0})
    async with made:
        yield made


@contextmanager
def short_of_files(process: ServiceProcess, spare: int) -> Iterator[None]:
    """Let a process open only so many more files than it has open."""
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (max(LEAST, open_files(process.pid) + spare), hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def knocking(process: ServiceProcess, count: int) -> Iterator[list[socket.socket]]:
    """Open connections to a service on which nothing is said."""
    host, port = process.address.split(":")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(count)]


async def talks(one: ProtocolClient, two: ProtocolClient, channel: str, process: ServiceProcess) -> float:
    """Exchange messages for a while; return the share of the time that a service spent computing."""
    loop = asyncio.get_running_loop()
    began_s, before_s = loop.time(), cpu_s(process.pid)
    while loop.time() < began_s + WATCHED_S:
        await one.publish(channel, "on")
        await one.take("chat_message")
        await two.take("chat_message")
        await asyncio.sleep(0.1)  # a quiet conversation
    return (cpu_s(process.pid) - before_s) / (loop.time() - began_s)


def newcomer_works(clients: Clients, channel: str) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        try:
            client = await clients.member(channel)
        except (OSError, EOFError):
            return False
        await client.close()
        return True

    return condition


@pytest.mark.parametrize("name", ["ws_edge", "session_service", "auth_service"])
@pytest.mark.parametrize("spare", [SPARE, -3, -1000], ids=["all-taken", "fewer-than-it-has", "hardly-any"])
async def test_no_descriptor_is_left(gateway: Gateway, name: str, spare: int) -> None:
    """With fewer than it has, not even the one that is kept for such a case can be had: perhaps; with hardly any, surely."""
    process = {p.module: p for p in (gateway.edge, gateway.session, gateway.auth)}[name]
    async with Clients(Target.of(gateway)) as clients:
        channel = new_name("room")
        one, two = await clients.member(channel), await clients.member(channel)
        before = open_files(process.pid)
        with short_of_files(process, spare), knocking(process, KNOCKING):
            share = await talks(one, two, channel, process)
            assert process.running
            assert share < IDLE_SHARE, f"it took {share:.0%} of a core"
            assert open_files(process.pid) <= before + max(0, spare) + 5
        await eventually(newcomer_works(clients, channel), RECOVERED_WITHIN_S, "others come in again")
        await one.publish(channel, "and those who were there")
        await two.take("chat_message", content="and those who were there")
        assert await is_ready(gateway.edge)
        edge = await asyncio.to_thread(gateway.another_edge, "fresh")  # new connections to the services
        assert await counted(edge, "tidewire_edge_ready") == 1
        assert await counted(gateway.edge, "tidewire_edge_defects_total") == 0

"""Several edge processes on one port: each an edge, watched by one that serves nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.http_client import http_async
from tests.support.ports import free_port
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WORKERS = 2


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, edge={"workers": WORKERS, "metrics-port": 0, "admin-port": 0})
    try:
        await asyncio.to_thread(made.start)
        yield made
    finally:
        made.kill()


async def metrics(worker: int, gateway: Gateway) -> str:
    port = gateway.edge.facts["workers"][worker]["metrics_port"]
    return (await http_async("GET", f"http://127.0.0.1:{port}/metrics")).body.decode()


async def connections(worker: int, gateway: Gateway) -> int:
    port = gateway.edge.facts["workers"][worker]["metrics_port"]
    return int((await http_async("GET", f"http://127.0.0.1:{port}/health")).json()["connections"])


async def one_at_each(gateway: Gateway, clients: Clients) -> list[ProtocolClient]:
    """Return a client at each worker: the kernel spreads them by chance."""
    found: dict[int, ProtocolClient] = {}

    async def all_found() -> bool:
        before = [await connections(n, gateway) for n in range(WORKERS)]
        client = await clients.connected()
        after = [await connections(n, gateway) for n in range(WORKERS)]
        found[next(n for n in range(WORKERS) if after[n] > before[n])] = client
        return len(found) == WORKERS

    await eventually(all_found, what="each worker has a client")
    return [found[n] for n in range(WORKERS)]


async def test_workers_share_the_port_and_the_channels(gateway: Gateway) -> None:
    async with Clients(Target.of(gateway)) as clients:
        one, other = await one_at_each(gateway, clients)
        channel = new_name("room")
        await one.join(channel)
        await other.join(channel)
        await one.publish(channel, "hello")
        assert (await other.take("chat_message"))["data"]["content"] == "hello"
    for number in range(WORKERS):
        lines = [line for line in (await metrics(number, gateway)).splitlines() if not line.startswith("#")]
        assert [line for line in lines if f'worker="{number + 1}"' not in line] == [], "each has its own label"
        assert any(re.match(r"tidewire_edge_connections_opened_total\{.*\} [1-9]", line) for line in lines)
    await asyncio.to_thread(gateway.stop)


async def test_each_worker_has_an_admin_port_of_its_own(gateway: Gateway) -> None:
    key = await asyncio.to_thread(gateway.key_admin().create, ["admin:debug"])
    ports = {worker["admin_port"] for worker in gateway.edge.facts["workers"]}
    assert len(ports) == WORKERS
    for port in ports:
        headers = {"Authorization": f"Bearer {key.api_key}"}
        assert (await http_async("GET", f"http://127.0.0.1:{port}/debug", headers=headers)).status == 200
    await asyncio.to_thread(gateway.stop)


async def test_a_worker_that_is_killed_comes_back_and_the_others_go_on(gateway: Gateway) -> None:
    first = gateway.edge.facts["workers"][0]["pid"]
    async with Clients(Target.of(gateway)) as clients:
        one, other = await one_at_each(gateway, clients)
        os.kill(first, signal.SIGKILL)
        await until_closed(one)
        await other.assert_open()

    lines_of_all = WORKERS + 1
    await asyncio.to_thread(
        wait_until, lambda: len(ready_lines(gateway.edge)) == lines_of_all + 1, what="there is a new worker"
    )
    assert gateway.edge.log().count("a worker has died") == 1
    async with Clients(Target.of(gateway)) as clients:
        for _ in range(8):
            await clients.connected()
    await asyncio.to_thread(gateway.stop)


async def until_closed(client: ProtocolClient) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.socket.recv()


def ready_lines(edge: ServiceProcess) -> list[str]:
    return [line for line in edge.log().splitlines() if re.search(r"\bready\b.*\bport", line)]


async def test_all_drain_when_the_one_that_watches_is_told(gateway: Gateway) -> None:
    async with Clients(Target.of(gateway)) as clients:
        everyone = await one_at_each(gateway, clients)
        stopping = asyncio.create_task(asyncio.to_thread(gateway.edge.stop))
        for client in everyone:
            frame = await client.take("disconnect")
            assert (frame["data"]["code"], frame["data"]["reconnect"]) == (1001, True)
        assert await stopping == 0
    await asyncio.to_thread(gateway.stop)


async def test_workers_end_with_the_one_that_watches(gateway: Gateway) -> None:
    pids = [worker["pid"] for worker in gateway.edge.facts["workers"]]
    async with Clients(Target.of(gateway)) as clients:
        everyone = await one_at_each(gateway, clients)
        gateway.edge.kill9()
        for client in everyone:
            assert (await client.take("disconnect"))["data"]["code"] == 1001
    await asyncio.to_thread(wait_until, lambda: not any(alive(pid) for pid in pids), what="the workers have ended")


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_workers_that_cannot_start_are_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    flags = {"workers": WORKERS, "public-tls-cert-file": broken, "public-tls-key-file": broken}
    edge = ServiceProcess("ws_edge", tmp_path, flags, {}, port=free_port())
    edge.launch()
    wait_until(lambda: not edge.running, what="it has given up")
    assert edge.exit_code == 1
    assert re.search(r"edge: worker \d ended with", edge.log())

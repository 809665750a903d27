"""An edge dies under five thousand clients: within fifteen seconds all are at another, with all that they missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service_runtime.open_files import raise_limit
from tests.stress.caller import Caller
from tests.stress.herd import Herd
from tests.stress.process_watch import counted, is_ready
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "valid-test-key"
SIZE = 5000
CHANNELS = 100
BACK_WITHIN_S = 15.0
COMING_DEADLINE_S = 120.0
# The pause between two messages to each channel while the herd comes back.
PACE_S = 0.5
# Files of this process that are no connection of a client.
OTHER_FILES = 500


def size_that_fits(capsys: pytest.CaptureFixture[str]) -> int:
    """Return how many clients the limit of open files allows; say it where these are fewer."""
    size = min(SIZE, raise_limit() - OTHER_FILES)
    if size < SIZE:
        with capsys.disabled():
            print(f"\nTHE HERD IS ONLY {size} CLIENTS: the limit of open files (ulimit -n) is too low for {SIZE}")
    return size


async def publish_everywhere(writer: Caller, heads: dict[str, int]) -> None:
    """Publish one message to each channel, and note where the channels stand then."""
    confirmed = await asyncio.gather(*(writer.publish(channel, "on") for channel in heads))
    for frame in confirmed:
        heads[frame.data["channel"]] = max(heads[frame.data["channel"]], frame.data["offset"])


async def test_five_thousand_clients_lose_their_edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = size_that_fits(capsys)
    gateway = Gateway(tmp_path, edge={"auth-timeout-s": 60, "max-channels": 2 * CHANNELS, "frames-per-second": 0})
    async with gateway:
        refuge = await asyncio.to_thread(gateway.another_edge, "refuge")
        await stampede(gateway, refuge, size, capsys)


async def stampede(gateway: Gateway, refuge: ServiceProcess, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Have them all in, kill their edge, and see them come back."""
    heads = {new_name("room"): 0 for _ in range(CHANNELS)}
    workspace = new_name("w")
    writer = await Caller.open(refuge.address, KEY, workspace, "writer", channels=list(heads))
    herd = Herd(gateway.edge.address, KEY, workspace, list(heads), size)

    async def all_in() -> bool:
        return herd.members == size

    async def caught_up() -> bool:
        return herd.behind(heads) == 0

    try:
        herd.come()
        await eventually(all_in, COMING_DEADLINE_S, "the herd is there")
        await publish_everywhere(writer, heads)
        await eventually(caught_up, what="all have the first message")
        herd.address = refuge.address
        gateway.edge.kill9()
        lost_s = time.monotonic()
        await publish_everywhere(writer, heads)
        while not (await caught_up() and await all_in()):
            assert time.monotonic() - lost_s < BACK_WITHIN_S, f"{herd.behind(heads)} of {size} are not back in time"
            if not await all_in():
                await publish_everywhere(writer, heads)
            await asyncio.sleep(PACE_S if not await all_in() else 0.02)
        took_s = time.monotonic() - lost_s
        assert herd.faults == {}, "each has each message once, in order"
        assert min(heads.values()) >= 2, "something was published meanwhile"
        assert await counted(refuge, "tidewire_edge_connections_resumed_total") >= size
        assert await counted(refuge, "tidewire_edge_connections", 'state="authenticated"') == size + 1
        assert await is_ready(refuge)
        with capsys.disabled():
            print(
                f"\n{size} clients were back and had everything after {took_s:.1f} s"
                f" ({dict(herd.failures)} {dict(herd.errors)})"
            )
    finally:
        herd.end()
        writer.drop()
        await eventually(no_connection(herd), what="all are gone")


def no_connection(herd: Herd) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return not herd.connections

    return condition

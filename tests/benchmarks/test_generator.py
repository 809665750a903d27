"""The load generator counts right, and finds every kind of fault that it is there to find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.load.counts import Run
from benchmarks.load.generator import Generator
from benchmarks.load.plan import SHORTEST_BODY, Client, Expect, Frame, Publisher, body
from tests.benchmarks.hub import Hub, Sender, message, running, to_all

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("compiler")]

MEMBERS = 3
COUNT = 20
# Enough for what comes; what never comes is not waited for longer.
DEADLINE_S = 10.0
LOST_DEADLINE_S = 0.5


def _run(
    hub: Hub, *, window: int = 4, rate: float = 0.0, deadline_s: float = DEADLINE_S, runs: int = 1, joined: bool = False
) -> list[Run]:
    clients = [*(hub.client("member", joined=joined) for _ in range(MEMBERS)), hub.client("publisher")]
    publisher = Publisher(
        MEMBERS, message(), range(MEMBERS), COUNT, window=0 if rate else window, rate=rate, confirmed=True
    )
    with Generator() as generator:
        generator.open(clients)
        return [generator.run([publisher], deadline_s=deadline_s, settle_ms=50) for _ in range(runs)]


async def _run_on(hub: Hub, **how: object) -> Run:
    return (await asyncio.to_thread(lambda: _run(hub, **how)))[-1]  # type: ignore[arg-type]


async def test_what_is_right_is_counted_right() -> None:
    async with running() as hub:
        for run in await asyncio.to_thread(lambda: _run(hub, runs=2)):
            assert run.faults == ()
            assert (run.sent, run.expected, run.received) == (COUNT, COUNT * MEMBERS, COUNT * MEMBERS)
            assert (run.confirmations, run.confirmation.count) == (COUNT, COUNT)
            assert run.latency.count == sum(count for _, count in run.latency.buckets) == COUNT * MEMBERS
            assert 0 < run.latency.p50 <= run.latency.p99 <= run.latency.p99_9 <= run.latency.largest
            assert run.cpu_seconds > 0
        assert hub.taken == 2 * COUNT


async def _lose_one(hub: Hub, text: bytes) -> None:
    for member in hub.members[1:] if hub.taken == 3 else hub.members:
        await member.send(text.decode())


async def _double_one(hub: Hub, text: bytes) -> None:
    await to_all(hub, text)
    if hub.taken == COUNT:
        await hub.members[0].send(text.decode())


async def _swap_two(hub: Hub, text: bytes) -> None:
    hub.held.append(text)
    if hub.taken == 3:
        return
    for held in reversed(hub.held):
        await to_all(hub, held)
    hub.held.clear()


async def _tell_a_stranger(hub: Hub, text: bytes) -> None:
    await to_all(hub, text.replace(b"@tw@0000", b"@tw@00ff") if hub.taken == 3 else text)


async def _hang_up(hub: Hub, text: bytes) -> None:
    if hub.taken == 3:
        await hub.members[0].close(1013)
    else:
        await to_all(hub, text)


@pytest.mark.parametrize(
    ("send", "fault", "where"),
    [
        (_lose_one, "1 of 60 deliveries lost", "connection 0, stream 0: 1 lost, 0 twice, 0 out of order"),
        (_double_one, "1 deliveries came twice", "connection 0, stream 0: 0 lost, 1 twice, 0 out of order"),
        (_swap_two, "3 deliveries came out of order", "connection 2, stream 0: 0 lost, 0 twice, 1 out of order"),
        (_tell_a_stranger, "3 deliveries came to who was no member", "connection 1, stream 0: 1 lost"),
        (_hang_up, "connections were closed", "connection 0, closed with 1013"),
    ],
)
async def test_a_wrong_delivery_is_found_and_its_connection_named(send: Sender, fault: str, where: str) -> None:
    async with running(send) as hub:
        run = await _run_on(hub, deadline_s=LOST_DEADLINE_S)
    assert any(fault in line for line in run.faults), run.faults
    assert any(where in line for line in run.faults), run.faults


@pytest.mark.parametrize(
    ("confirm", "fault"),
    [
        (lambda name: [] if name.endswith("5") else [name], "not confirmed"),
        (lambda name: [name, name], "20 messages confirmed twice"),
    ],
)
async def test_a_wrong_confirmation_is_found(confirm: Callable[[str], list[str]], fault: str) -> None:
    async with running(confirm=confirm) as hub:
        run = await _run_on(hub, deadline_s=LOST_DEADLINE_S)
    assert any(fault in line for line in run.faults), run.faults


@pytest.mark.parametrize("cut", range(0, 130, 3))
async def test_messages_that_are_split_over_frames_and_joined_in_one_are_found(cut: int) -> None:
    async def split(hub: Hub, text: bytes) -> None:
        hub.held.append(text)
        if hub.taken % 2:
            return
        together = b"".join(hub.held)
        hub.held.clear()
        for member in hub.members:
            for part in (together[:cut], together[cut : cut + 7], together[cut + 7 :]):
                await member.send(part)

    async with running(split) as hub:
        run = await _run_on(hub, joined=True)
    assert run.faults == ()


async def test_a_latency_counts_from_when_the_message_was_due() -> None:
    """A server that takes its time with the first messages makes all of them late that were due meanwhile."""

    async def hold_all(hub: Hub, text: bytes) -> None:
        hub.held.append(text)
        if len(hub.held) == COUNT:
            for held in hub.held:
                await to_all(hub, held)

    rate = 200.0
    async with running(hold_all) as hub:
        run = await _run_on(hub, rate=rate)
    assert run.faults == ()
    assert run.lateness.count == COUNT
    between_us = 1e6 / rate
    # Each waited for the last: the first for 19 intervals, the middle one for about half of them.
    assert run.latency.largest >= (COUNT - 1) * between_us
    assert run.latency.p50 >= (COUNT // 2 - 1) * between_us


async def test_no_more_than_the_window_is_under_way() -> None:
    most = 0

    async def hold_until_full(hub: Hub, text: bytes) -> None:
        nonlocal most
        hub.held.append(text)
        most = max(most, len(hub.held))
        if len(hub.held) == 5:
            for held in hub.held:
                await to_all(hub, held)
            hub.held.clear()

    async with running(hold_until_full) as hub:
        run = await _run_on(hub, window=5)
    assert run.faults == ()
    assert most == 5


async def test_a_server_that_pings_is_answered() -> None:
    async with running() as hub:
        await asyncio.to_thread(lambda: _open([hub.client("ping")]))


async def test_a_handshake_that_fails_is_told_with_what_was_heard() -> None:
    async with running() as hub:
        with pytest.raises(BenchmarkError, match=r"1 of 1 connections not opened.*step 1.*closed with 4000.*no entry"):
            await asyncio.to_thread(lambda: _open([hub.client("refuse")]))


async def test_a_server_that_does_not_answer_is_told() -> None:
    async with running() as hub:
        lines = (Frame.text("x" * 70_000), Expect(b"never"))
        with pytest.raises(BenchmarkError, match="not opened"):
            await asyncio.to_thread(lambda: _open([Client(hub.port, "/", lines)], deadline_s=LOST_DEADLINE_S))


def test_a_message_has_room_for_its_marker() -> None:
    assert len(body(SHORTEST_BODY)) == SHORTEST_BODY
    with pytest.raises(ValueError, match="at least 32 characters"):
        body(SHORTEST_BODY - 1)


def _open(clients: list[Client], deadline_s: float = DEADLINE_S) -> None:
    with Generator() as generator:
        generator.open(clients, deadline_s=deadline_s)

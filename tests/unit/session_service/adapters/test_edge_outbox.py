"""The queue of events for one edge."""

from __future__ import annotations

import asyncio

from session_service.adapters.edge_stream.outbox import MAX_RESPONSE_BYTES, EdgeOutbox


async def test_what_a_tick_gathers_is_taken_together_in_order() -> None:
    outbox = EdgeOutbox(1000)
    for event in (b"a", b"b", b"c"):
        outbox.push(event)
    assert await outbox.take() == [b"abc"]


async def test_taking_waits_for_the_next_event() -> None:
    outbox = EdgeOutbox(1000)
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.push(b"a")
    assert await taking == [b"a"]


async def test_large_amounts_are_cut_between_events() -> None:
    outbox = EdgeOutbox(10 * MAX_RESPONSE_BYTES)
    large, events = b"L" * (MAX_RESPONSE_BYTES + 1), [b"x" * (MAX_RESPONSE_BYTES // 2 - 10)] * 5
    for event in (*events, large, b"end"):
        outbox.push(event)
    bodies = await outbox.take()
    assert b"".join(bodies) == b"".join((*events, large, b"end"))
    assert [len(body) > MAX_RESPONSE_BYTES for body in bodies] == [False, False, False, True, False]


async def test_what_was_taken_counts_until_it_was_written() -> None:
    outbox = EdgeOutbox(10)
    outbox.push(b"x" * 8)
    await outbox.take()
    outbox.push(b"x" * 3)
    assert outbox.overflowed
    assert await outbox.take() == []


async def test_what_was_written_makes_room() -> None:
    outbox = EdgeOutbox(10)
    for _ in range(20):
        outbox.push(b"x" * 5)
        assert await outbox.take() == [b"x" * 5]
    assert not outbox.overflowed


async def test_after_an_overflow_nothing_is_taken() -> None:
    outbox = EdgeOutbox(10)
    outbox.push(b"x" * 11)
    outbox.push(b"y")
    assert outbox.overflowed
    assert await outbox.take() == []
    await outbox.drained()


async def test_the_end_comes_after_what_was_pushed() -> None:
    outbox = EdgeOutbox(10)
    outbox.push(b"last")
    outbox.close()
    outbox.push(b"too late")
    assert await outbox.take() == [b"last"]
    assert await outbox.take() == []


async def test_drained_means_written() -> None:
    outbox = EdgeOutbox(1000)
    await outbox.drained()
    outbox.push(b"a")
    waiting = asyncio.create_task(outbox.drained())
    await outbox.take()
    await asyncio.sleep(0)
    assert not waiting.done()
    taking = asyncio.create_task(outbox.take())
    await waiting
    outbox.close()
    assert await taking == []

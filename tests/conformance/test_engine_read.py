"""Engines: reading, with every bound."""

from __future__ import annotations

import asyncio

import pytest

from session_service.core.model import Page
from tests.conformance.engine_bench import TOPIC, EngineUser, offsets_of, weight_of

pytestmark = pytest.mark.integration

DATA = b'{"content":"0123456789"}'
WEIGHT = weight_of(DATA)


@pytest.fixture
async def ten(user: EngineUser) -> EngineUser:
    """An engine with ten messages in the channel."""
    await user.fill(10, data=DATA)
    return user


async def test_a_channel_that_was_never_used_has_no_epoch(user: EngineUser) -> None:
    nothing = Page("", 0, 0, (), False)
    for page in (await user.read("tests/w1/never"), await user.last("tests/w1/never")):
        assert page._replace(messages=tuple(page.messages)) == nothing


async def test_a_channel_that_was_only_subscribed_has_one(user: EngineUser) -> None:
    position = await user.subscribe()
    for page in (await user.read(), await user.last()):
        assert (page.epoch, page.head, page.low, list(page.messages), page.more) == (position.epoch, 0, 0, [], False)


@pytest.mark.parametrize(
    ("after", "limit", "expected", "more"),
    [
        (0, 1000, range(1, 11), False),
        (0, 10, range(1, 11), False),
        (0, 9, range(1, 10), True),
        (4, 3, range(5, 8), True),
        (7, 3, range(8, 11), False),
        (9, 1, range(10, 11), False),
        (10, 5, range(0), False),
        (99, 5, range(0), False),
        (2**53, 5, range(0), False),
        (2**64 - 1, 5, range(0), False),
    ],
)
async def test_read(ten: EngineUser, after: int, limit: int, expected: range, more: bool) -> None:
    page = await ten.read(TOPIC, after, limit)
    assert (offsets_of(page), page.more, page.head, page.low) == (list(expected), more, 10, 0)


@pytest.mark.parametrize(("count", "expected"), [(1, [10]), (3, [8, 9, 10]), (10, range(1, 11)), (99, range(1, 11))])
async def test_last(ten: EngineUser, count: int, expected: list[int]) -> None:
    page = await ten.last(TOPIC, count)
    assert (offsets_of(page), page.head, page.low) == (list(expected), 10, 0)


@pytest.mark.parametrize(
    ("max_bytes", "count"), [(0, 1), (1, 1), (WEIGHT, 1), (2 * WEIGHT - 1, 1), (2 * WEIGHT, 2), (3 * WEIGHT, 3)]
)
async def test_bounds_in_bytes_give_at_least_one(ten: EngineUser, max_bytes: int, count: int) -> None:
    page = await ten.read(TOPIC, 2, 1000, max_bytes)
    assert (offsets_of(page), page.more) == (list(range(3, 3 + count)), True)
    assert offsets_of(await ten.last(TOPIC, 1000, max_bytes)) == list(range(11 - count, 11))


async def test_large_messages_come_whole(user: EngineUser) -> None:
    sizes = [1, 65_536, 1, 1 << 20]
    await asyncio.gather(*[user.submit(data=b"x" * size) for size in sizes])
    assert [len(message.data) for message in (await user.read()).messages] == sizes
    assert [len(message.data) for message in (await user.last()).messages] == sizes


async def test_reads_see_everything_that_was_confirmed(user: EngineUser) -> None:
    for number in range(1, 30):
        await user.append()
        assert (await user.read(TOPIC, number - 1)).head == number
        assert offsets_of(await user.last(TOPIC, 1)) == [number]


async def test_pages_that_are_read_while_others_append_have_no_hole(user: EngineUser) -> None:
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            await user.fill(7)

    publishing = asyncio.create_task(publish())
    seen: list[int] = []
    while len(seen) < 300:
        page = await user.read(TOPIC, len(seen), 20)
        seen += offsets_of(page)
        assert page.more == (bool(page.messages) and page.messages[-1].offset < page.head)
    stop.set()
    await publishing
    assert seen == list(range(1, len(seen) + 1))

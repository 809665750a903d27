"""Engines: what clients have acknowledged."""

from __future__ import annotations

import pytest

from session_service.core.model import Position
from tests.conformance.engine_bench import TOPIC, EngineBench, EngineUser

pytestmark = pytest.mark.integration


class Acknowledging:
    """An engine with ten messages, and short words for what is done with them."""

    def __init__(self, user: EngineUser, epoch: str) -> None:
        self.user = user
        self.epoch = epoch

    def ack(self, offset: int, client_id: str = "bob", *, baseline: bool = False) -> None:
        self.user.engine.acknowledge(TOPIC, client_id, Position(self.epoch, offset), baseline=baseline)

    async def offset(self, client_id: str = "bob") -> int | None:
        position = await self.user.acknowledged(client_id)
        assert position is None or position.epoch == self.epoch
        return None if position is None else position.offset

    async def saved(self, bench: EngineBench) -> None:
        """Go on in another life: everything is durable then."""
        self.user = await bench.reopen(self.user)


@pytest.fixture
async def ten(user: EngineUser) -> Acknowledging:
    stored = await user.fill(10)
    return Acknowledging(user, stored[0].epoch)


async def test_at_first_there_is_nothing(ten: Acknowledging) -> None:
    assert await ten.offset() is None
    assert await ten.user.counts(1, 10) == [0, 0]
    assert await ten.user.acknowledged("bob", "tests/w1/never") is None
    assert await ten.user.counts(1, topic="tests/w1/never") == [0]


async def test_it_is_known_at_once_and_in_another_life(bench: EngineBench, ten: Acknowledging) -> None:
    ten.ack(4)
    assert await ten.offset() == 4
    await ten.saved(bench)
    assert await ten.offset() == 4


async def test_it_is_cumulative_and_never_goes_back(bench: EngineBench, ten: Acknowledging) -> None:
    for offset in (2, 5, 3):
        ten.ack(offset)
    assert await ten.offset() == 5
    await ten.saved(bench)
    ten.ack(1)
    assert await ten.offset() == 5
    await ten.saved(bench)
    assert await ten.offset() == 5
    ten.ack(9)
    assert await ten.offset() == 9


async def test_it_is_of_one_client_in_one_channel(ten: Acknowledging) -> None:
    ten.ack(4)
    assert await ten.offset("carol") is None
    assert await ten.user.acknowledged("bob", "tests/w1/other") is None


async def test_counts(bench: EngineBench, ten: Acknowledging) -> None:
    ten.ack(3, "bob")
    ten.ack(5, "carol")
    assert await ten.user.counts(1, 3, 4, 5, 6, 2**64 - 1) == [2, 2, 1, 1, 0, 0]
    await ten.saved(bench)
    assert await ten.user.counts(1, 3, 4, 5, 6) == [2, 2, 1, 1, 0]
    ten.ack(4, "bob")
    ten.ack(4, "dave")
    assert await ten.user.counts(1, 3, 4, 5, 6) == [3, 3, 3, 1, 0]


async def test_a_baseline_is_a_position_that_acknowledges_nothing_before_it(
    bench: EngineBench, ten: Acknowledging
) -> None:
    ten.ack(5, baseline=True)
    assert await ten.offset() == 5
    assert await ten.user.counts(1, 5, 6) == [0, 0, 0]
    await ten.saved(bench)
    assert await ten.offset() == 5
    assert await ten.user.counts(1, 5, 6) == [0, 0, 0]


@pytest.mark.parametrize("baseline_is_saved", [True, False])
async def test_what_comes_after_a_baseline_counts_from_there_on(
    bench: EngineBench, ten: Acknowledging, baseline_is_saved: bool
) -> None:
    ten.ack(5, baseline=True)
    if baseline_is_saved:
        await ten.saved(bench)
    ten.ack(7)
    assert await ten.offset() == 7
    assert await ten.user.counts(3, 5, 6, 7, 8) == [0, 0, 1, 1, 0]
    await ten.saved(bench)
    assert await ten.offset() == 7
    assert await ten.user.counts(3, 5, 6, 7, 8) == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("position_is_saved", [True, False])
async def test_a_baseline_moves_no_position_that_is_there(
    bench: EngineBench, ten: Acknowledging, position_is_saved: bool
) -> None:
    ten.ack(4)
    if position_is_saved:
        await ten.saved(bench)
    ten.ack(8, baseline=True)
    assert await ten.offset() == 4
    assert await ten.user.counts(4, 5) == [1, 0]
    await ten.saved(bench)
    assert await ten.offset() == 4
    assert await ten.user.counts(4, 5) == [1, 0]


async def test_the_end_keeps_the_last_of_many(bench: EngineBench, ten: Acknowledging) -> None:
    for offset in range(1, 11):
        ten.ack(offset)
        await ten.user.append()
    await ten.saved(bench)
    assert await ten.offset() == 10


async def test_acknowledging_after_the_end_raises_nothing(bench: EngineBench, ten: Acknowledging) -> None:
    await ten.user.close()
    ten.ack(4)
    again = await bench.open()
    assert await again.acknowledged() is None

"""Engines: a store that was put back, whose channels get another epoch before anybody uses it."""

from __future__ import annotations

import pytest

from session_service.core.model import Position, RecoveryFailure
from session_service.core.recovery import assess
from tests.conformance.engine_bench import TOPIC, EngineBench, EngineUser

pytestmark = pytest.mark.integration

# On whatever server of a Redis Cluster.
TOPICS = (TOPIC, *(f"tests/w1/room-{number}" for number in range(12)))


async def test_every_channel_has_another_epoch_and_goes_on_counting(bench: EngineBench, user: EngineUser) -> None:
    before = {topic: (await user.fill(3, topic))[-1].epoch for topic in TOPICS}
    await user.close()
    assert await bench.renew() >= len(TOPICS)
    again = await bench.open()
    for topic, epoch in before.items():
        page = await again.read(topic)
        assert page.epoch not in ("", epoch)
        assert [message.offset for message in page.messages] == [1, 2, 3]
        assert {message.epoch for message in page.messages} == {page.epoch}
        stored = await again.append(topic)
        assert (stored.epoch, stored.offset) == (page.epoch, 4)


async def test_who_saw_what_the_store_has_not_is_told(bench: EngineBench, user: EngineUser) -> None:
    epoch = (await user.fill(3))[-1].epoch
    await user.close()
    await bench.renew()
    again = await bench.open()
    await again.fill(5)
    assert assess(Position(epoch, 5), await again.read()).failure is RecoveryFailure.EPOCH_CHANGED


async def test_ids_and_acknowledgements_stay_good(bench: EngineBench, user: EngineUser) -> None:
    stored = (await user.fill(3))[-1]
    known = await user.append(id="known")
    user.engine.acknowledge(TOPIC, "bob", Position(stored.epoch, 2))
    user = await bench.reopen(user)
    await user.close()
    await bench.renew()
    again = await bench.open()
    repeated = await again.append(id="known")
    assert (repeated.offset, repeated.duplicate) == (known.offset, True)
    position = await again.acknowledged()
    assert position is not None
    assert position.offset == 2
    assert await again.counts(2, 3) == [1, 0]


async def test_a_message_that_is_repeated_in_another_epoch_stands_in_its_thread_once(
    bench: EngineBench, user: EngineUser
) -> None:
    await user.append(id="known", thread_id="t-1")
    await user.close()
    await bench.renew()
    again = await bench.open()
    assert (await again.append(id="known", thread_id="t-1")).duplicate
    found = await again.engine.thread_messages("tests", "w1", "t-1", 10, 0)
    assert ([message.id for message in found.messages], found.total) == (["known"], 1)


async def test_an_empty_store_has_nothing_to_renew_and_a_second_time_is_no_fault(
    bench: EngineBench, user: EngineUser
) -> None:
    await user.close()
    first = await bench.renew()
    assert await bench.renew() == first == 0

"""Engines: how long messages are kept, and that what is gone is known to be gone."""

from __future__ import annotations

import pytest

from session_service.core.canary import canary_topic
from session_service.core.model import Position, RecoveryFailure
from session_service.core.recovery import assess
from session_service.core.retention import RetentionRule
from tests.conformance.engine_bench import FOR_EVER, TOPIC, EngineBench, offsets_of, weight_of

pytestmark = pytest.mark.integration

DATA = b'{"content":"0123456789"}'
HOUR_S = 3600.0


async def test_by_count(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_messages=3))
    await user.fill(10)
    page = await user.maintained(TOPIC, 7)
    assert (offsets_of(page), page.low, page.head, page.more) == ([8, 9, 10], 7, 10, False)
    assert offsets_of(await user.last()) == [8, 9, 10]


async def test_by_age(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_age_s=HOUR_S))
    await user.fill(2)
    bench.clock.pass_s(HOUR_S / 2)
    await user.fill(3)
    bench.clock.pass_s(HOUR_S / 2 + 1)
    page = await user.maintained(TOPIC, 2)
    assert (offsets_of(page), page.low) == ([3, 4, 5], 2)


async def test_a_quiet_channel_becomes_empty_by_age_and_goes_on_counting(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_age_s=HOUR_S))
    first = (await user.fill(5))[0]
    bench.clock.pass_s(HOUR_S + 1)
    page = await user.maintained(TOPIC, 5)
    assert (list(page.messages), page.low, page.head, page.epoch) == ([], 5, 5, first.epoch)
    again = await bench.reopen(user, default_rule=FOR_EVER._replace(max_age_s=HOUR_S))
    stored = await again.append()
    assert (stored.offset, stored.epoch) == (6, first.epoch)


async def test_by_bytes(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_bytes=3 * weight_of(DATA)))
    await user.fill(10, data=DATA)
    assert offsets_of(await user.maintained(TOPIC, 7)) == [8, 9, 10]


async def test_a_message_larger_than_what_is_kept_leaves_nothing_and_harms_nothing(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_bytes=1024))
    await user.append(data=b"x" * 2000)
    page = await user.maintained(TOPIC, 1)
    assert (list(page.messages), page.low, page.head) == ([], 1, 1)
    assert (await user.append(data=DATA)).offset == 2
    assert offsets_of(await user.read()) == [2]


async def test_the_strictest_bound_decides(bench: EngineBench) -> None:
    user = await bench.open(default_rule=RetentionRule(5, HOUR_S, 3 * weight_of(DATA)))
    await user.fill(10, data=DATA)
    assert offsets_of(await user.maintained(TOPIC, 7)) == [8, 9, 10]
    bench.clock.pass_s(HOUR_S + 1)
    assert offsets_of(await user.maintained(TOPIC, 10)) == []


async def test_rules_are_chosen_by_pattern(bench: EngineBench) -> None:
    user = await bench.open(
        default_rule=FOR_EVER,
        rules=[("short-*", FOR_EVER._replace(max_messages=2)), ("@*", FOR_EVER._replace(max_messages=4))],
    )
    topics = ["tests/w1/short-1", "tests/w1/@bob", "tests/w1/chat"]
    for topic in topics:
        await user.fill(6, topic)
    assert offsets_of(await user.maintained(topics[0], 4)) == [5, 6]
    assert offsets_of(await user.maintained(topics[1], 2)) == [3, 4, 5, 6]
    assert offsets_of(await user.maintained(topics[2], 0)) == [1, 2, 3, 4, 5, 6]


async def test_of_canaries_one_is_kept(bench: EngineBench) -> None:
    user = await bench.open()
    topic = canary_topic("service-1")
    await user.fill(20, topic)
    assert offsets_of(await user.maintained(topic, 19)) == [20]


async def test_readers_are_told_that_history_expired(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_messages=3))
    epoch = (await user.fill(10))[0].epoch
    page = await user.maintained(TOPIC, 7)
    assert assess(Position(epoch, 5), page) == (7, RecoveryFailure.HISTORY_EXPIRED)
    assert assess(Position(epoch, 7), page) == (7, None)
    assert offsets_of(await user.read(TOPIC, 5)) == [8, 9, 10]


async def test_an_id_is_remembered_for_the_window_though_its_message_is_gone(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_messages=1), idempotency_window_s=300)
    first = await user.append(id="same")
    await user.fill(5)
    await user.maintained(TOPIC, 5)
    assert await user.append(id="same") == first._replace(duplicate=True)
    bench.clock.pass_s(301)
    await user.append()
    await user.maintained(TOPIC, 6)
    stored = await user.append(id="same")
    assert (stored.offset, stored.duplicate) == (8, False)


async def test_deliveries_are_not_held_up_by_retention(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_messages=1))
    await user.subscribe()
    for turn in range(1, 30):
        await user.fill(10)
        await user.maintained(TOPIC, turn * 10 - 1)
    assert user.offsets() == list(range(1, 291))


async def test_what_is_gone_stays_gone_in_another_life_with_longer_rules(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_messages=3))
    await user.fill(10)
    await user.maintained(TOPIC, 7)
    again = await bench.reopen(user)
    page = await again.maintained(TOPIC, 7)
    assert (offsets_of(page), page.low) == ([8, 9, 10], 7)


async def test_shorter_rules_hold_for_what_was_stored_before(bench: EngineBench) -> None:
    user = await bench.open()
    await user.fill(10)
    again = await bench.reopen(user, default_rule=FOR_EVER._replace(max_messages=2))
    assert offsets_of(await again.maintained(TOPIC, 8)) == [9, 10]


async def test_many_channels_are_all_looked_at(bench: EngineBench) -> None:
    user = await bench.open(default_rule=FOR_EVER._replace(max_age_s=HOUR_S))
    topics = [f"tests/w1/chat-{number}" for number in range(60)]
    for topic in topics:
        await user.fill(2, topic)
    bench.clock.pass_s(HOUR_S + 1)
    for topic in topics:
        assert (await user.maintained(topic, 2)).low == 2

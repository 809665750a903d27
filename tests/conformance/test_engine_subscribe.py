"""Engines: a subscription is exact at its position, whatever goes on meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Stored
from tests.conformance.engine_bench import DEADLINE_S, TOPIC, EngineBench, EngineUser

pytestmark = pytest.mark.integration


def assert_exact(user: EngineUser, topic: str, head: int) -> None:
    """After each answer the listener was given the next offset, and then every one up to `head`, each once."""
    expected = None
    for event in user.events:
        if event.topic != topic or event.kind == "stored":
            continue
        if event.kind == "subscribed":
            assert expected is None or event.offset == expected - 1
            expected = event.offset + 1
        else:
            assert event.offset == expected, f"{event} where offset {expected} should come"
            expected += 1
    assert expected == head + 1


async def test_a_new_channel_gets_an_epoch_and_stands_before_its_first_message(user: EngineUser) -> None:
    position = await user.subscribe()
    assert position.epoch
    assert position.offset == 0
    stored = await user.append()
    assert (stored.epoch, stored.offset) == (position.epoch, 1)
    assert user.offsets() == [1]


async def test_what_was_stored_before_is_not_given(user: EngineUser) -> None:
    await user.fill(3)
    assert (await user.subscribe()).offset == 3
    await user.fill(2)
    assert user.offsets() == [4, 5]


async def test_a_message_is_given_as_it_is_read(user: EngineUser) -> None:
    await user.subscribe()
    await user.append(data=b'{"x":1}', type="task_update", client_id="bob", thread_id="t-1")
    assert user.messages() == list((await user.read()).messages)


async def test_a_confirmed_message_was_given_before_or_comes_at_once(user: EngineUser) -> None:
    await user.subscribe()
    for number in range(1, 20):
        await user.append()
        await user.until(lambda number=number: user.offsets()[-1:] == [number], "the message is given")


async def test_in_one_tick_the_order_of_commands_decides(user: EngineUser) -> None:
    before = user.submit()
    subscribed = user.begin_subscribe()
    after = [user.submit(), user.submit()]
    await asyncio.gather(before, *after)
    assert (await subscribed).offset == 1
    assert user.offsets() == [2, 3]
    assert_exact(user, TOPIC, 3)


async def test_exact_while_others_append(user: EngineUser) -> None:
    """Eight publishers go on while forty channels are subscribed in the middle of it."""
    topics = [f"tests/w1/chat-{number}" for number in range(40)]
    stop = asyncio.Event()

    async def publish(publisher: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            await asyncio.gather(*[user.submit(topic) for topic in topics[publisher % 4 :: 4]])
            if turn % 3 == publisher % 3:
                await user.append(topics[0])

    publishers = [asyncio.create_task(publish(number)) for number in range(8)]
    for topic in topics:
        await user.subscribe(topic)
    await user.until(lambda: all(len(user.offsets(topic)) > 3 for topic in topics), "every channel moves on")
    stop.set()
    await asyncio.gather(*publishers)
    for topic in topics:
        assert_exact(user, topic, (await user.read(topic, 0, 1)).head)


async def test_after_unsubscribing_nothing_more_is_given(user: EngineUser) -> None:
    await user.subscribe()
    await user.append()
    user.engine.unsubscribe(TOPIC)
    user.engine.unsubscribe(TOPIC)
    user.engine.unsubscribe("tests/w1/never-subscribed")
    await user.fill(3)
    assert user.offsets() == [1]
    assert (await user.subscribe()).offset == 4
    await user.append()
    assert user.offsets() == [1, 5]


async def test_unsubscribing_holds_for_a_subscription_that_is_under_way(user: EngineUser) -> None:
    subscribed = user.begin_subscribe()
    user.engine.unsubscribe(TOPIC)
    await user.fill(2)
    await subscribed
    await user.fill(2)
    assert user.offsets() == []


async def test_unsubscribing_does_not_hold_for_a_later_subscription(user: EngineUser) -> None:
    first = user.begin_subscribe()
    user.engine.unsubscribe(TOPIC)
    second = user.begin_subscribe()
    await user.fill(2)
    await asyncio.gather(first, second)
    assert user.offsets() == [1, 2]


async def test_subscribing_twice_gives_everything_once(user: EngineUser) -> None:
    first = user.begin_subscribe()
    between = user.submit()
    second = user.begin_subscribe()
    await asyncio.gather(first, between, second, user.submit())
    assert ((await first).offset, (await second).offset) == (0, 1)
    assert user.offsets() == [1, 2]


async def test_topics_do_not_mix(user: EngineUser) -> None:
    await user.subscribe("tests/w1/a")
    await user.subscribe("tests/w2/a")
    await asyncio.gather(user.submit("tests/w1/a"), user.submit("tests/w1/b"), user.submit("tests/w2/a"))
    assert {event.topic for event in user.events if event.kind == "message"} == {"tests/w1/a", "tests/w2/a"}


async def test_callbacks_never_run_inside_the_call_that_caused_them(user: EngineUser) -> None:
    await user.subscribe()
    seen = len(user.events)
    user.submit()
    user.begin_subscribe("tests/w1/other")
    assert len(user.events) == seen
    await user.append()


async def test_a_callback_may_use_the_engine(user: EngineUser) -> None:
    """The session service joins, publishes and unsubscribes in answers."""
    offsets: list[int] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stored(result: Stored | SessionError) -> None:
        assert isinstance(result, Stored)
        offsets.append(result.offset)
        if len(offsets) == 20:
            ended.set_result(None)
        else:
            user.engine.append(NewMessage(TOPIC, "chat_message", f"c-{len(offsets)}", "alice", b"{}"), stored)

    user.engine.append(NewMessage(TOPIC, "chat_message", "c-0", "alice", b"{}"), stored)
    await asyncio.wait_for(ended, DEADLINE_S)
    assert offsets == list(range(1, 21))


async def test_a_subscription_is_of_one_life(bench: EngineBench, user: EngineUser) -> None:
    await user.subscribe()
    again = await bench.reopen(user)
    await again.append()
    assert again.offsets() == []

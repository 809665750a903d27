"""Engines: order, offsets, epochs, idempotency, bounds."""

from __future__ import annotations

import asyncio

import pytest

from session_service.core.errors import EngineUnavailable, LimitExceeded
from session_service.core.model import StoredMessage
from tests.conformance.engine_bench import TOPIC, EngineBench, EngineUser

pytestmark = pytest.mark.integration


async def test_offsets_count_from_one_in_the_order_of_the_appends(user: EngineUser) -> None:
    promises = [user.submit(id=f"m-{number}") for number in range(1, 201)]
    stored = await asyncio.gather(*promises)
    assert [each.offset for each in stored] == list(range(1, 201))
    assert len({each.epoch for each in stored}) == 1
    assert not any(each.duplicate for each in stored)
    page = await user.read()
    assert [(message.offset, message.id) for message in page.messages] == [(n, f"m-{n}") for n in range(1, 201)]


async def test_answers_come_in_the_order_of_the_appends(user: EngineUser) -> None:
    first = user.submit(id="a")
    await first
    await asyncio.gather(*[user.submit(id=f"b-{number}") for number in range(100)])
    assert [event.offset for event in user.events if event.kind == "stored"] == list(range(1, 102))


async def test_channels_count_apart_and_have_epochs_of_their_own(user: EngineUser) -> None:
    stored = await asyncio.gather(user.submit("tests/w1/a"), user.submit("tests/w1/b"), user.submit("tests/w1/a"))
    assert [each.offset for each in stored] == [1, 1, 2]
    assert stored[0].epoch == stored[2].epoch
    assert all(each.epoch for each in stored)


async def test_a_message_is_kept_as_it_was_sent(user: EngineUser) -> None:
    data = b'{ "b":1e400, "a":"\\u0000\xc3\xbc", "a":[] }'
    stored = await user.append(data=data, type="task_update", id="\u00fc 'id'/*", client_id="bob")
    (message,) = (await user.read()).messages
    assert message == StoredMessage(
        TOPIC, "task_update", "\u00fc 'id'/*", "bob", stored.epoch, stored.offset, stored.time_ms, data
    )


async def test_time_is_the_moment_of_storing(bench: EngineBench, user: EngineUser) -> None:
    first = await user.append()
    bench.clock.pass_s(5)
    second = await user.append()
    assert second.time_ms - first.time_ms == 5000
    assert [message.time_ms for message in (await user.read()).messages] == [first.time_ms, second.time_ms]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 81, 300])
async def test_groups_of_every_size(user: EngineUser, size: int) -> None:
    stored = await user.fill(size)
    assert [each.offset for each in stored] == list(range(1, size + 1))
    assert len((await user.read()).messages) == size


async def test_the_same_id_again_is_stored_once_and_answered_alike(user: EngineUser) -> None:
    first = await user.append(id="same")
    await user.append()
    again = await user.append(id="same", data=b'{"other":1}')
    assert again == first._replace(duplicate=True)
    assert len((await user.read()).messages) == 2


async def test_the_same_id_twice_at_once_is_stored_once(user: EngineUser) -> None:
    answers = await asyncio.gather(*[user.submit(id="same") for _ in range(100)])
    assert {each.offset for each in answers} == {1}
    assert [each.duplicate for each in answers] == [False] + [True] * 99
    assert len((await user.read()).messages) == 1


async def test_an_id_is_of_one_client_in_one_channel(user: EngineUser) -> None:
    await user.append(id="same")
    assert not (await user.append(id="same", client_id="bob")).duplicate
    assert not (await user.append("tests/w1/other", id="same")).duplicate
    assert not (await user.append("tests/w2/chat", id="same")).duplicate


async def test_after_the_window_an_id_is_new(bench: EngineBench) -> None:
    user = await bench.open(idempotency_window_s=300)
    first = await user.append(id="same")
    bench.clock.pass_s(299)
    assert (await user.append(id="same")).duplicate
    bench.clock.pass_s(2)
    second = await user.append(id="same")
    assert (second.offset, second.duplicate) == (first.offset + 1, False)
    assert (await user.append(id="same")).offset == second.offset


async def test_a_duplicate_is_not_delivered_again(user: EngineUser) -> None:
    await user.subscribe()
    await user.append(id="same")
    await user.append(id="same")
    await user.append(id="other")
    assert user.offsets() == [1, 2]


async def test_too_many_waiting_messages_are_refused_and_the_others_are_stored(bench: EngineBench) -> None:
    user = await bench.open(max_pending=10)
    results = await asyncio.gather(*[user.submit() for _ in range(15)], return_exceptions=True)
    refused = [result for result in results if isinstance(result, LimitExceeded)]
    assert len(refused) == 5
    assert all(error.safe_to_repeat for error in refused)
    assert (await user.append()).offset == 11


async def test_too_many_waiting_bytes_are_refused_and_the_others_are_stored(bench: EngineBench) -> None:
    user = await bench.open(max_pending_bytes=1000)
    results = await asyncio.gather(*[user.submit(data=b"x" * 400) for _ in range(3)], return_exceptions=True)
    assert [isinstance(result, LimitExceeded) for result in results] == [False, False, True]
    assert (await user.append(data=b"x" * 1000)).offset == 3


async def test_after_the_end_nothing_is_taken(user: EngineUser) -> None:
    await user.close()
    await user.close()
    for promise in (user.submit(), user.begin_subscribe()):
        with pytest.raises(EngineUnavailable):
            await promise
    for answer in (user.read(), user.last(), user.acknowledged(), user.create_thread()):
        with pytest.raises(EngineUnavailable):
            await answer


async def test_the_end_waits_for_what_was_taken(bench: EngineBench, user: EngineUser) -> None:
    promises = [user.submit() for _ in range(500)]
    await user.close()
    assert [promise.result().offset for promise in promises] == list(range(1, 501))
    again = await bench.open()
    assert len((await again.read()).messages) == 500


async def test_another_life_goes_on_where_the_last_one_ended(bench: EngineBench, user: EngineUser) -> None:
    before = await user.append(id="same")
    await user.fill(9)
    again = await bench.reopen(user)
    assert (await again.append(id="same")) == before._replace(duplicate=True)
    after = await again.append()
    assert (after.epoch, after.offset) == (before.epoch, 11)
    assert await again.subscribe() == (before.epoch, 11)

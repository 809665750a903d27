"""Engines: threads, and their messages of all channels."""

from __future__ import annotations

import asyncio

import pytest

from session_service.core.errors import LimitExceeded
from session_service.core.model import StoredMessage, Thread
from tests.conformance.engine_bench import EngineBench, EngineUser, a_thread

pytestmark = pytest.mark.integration


async def all_threads(user: EngineUser, limit: int, workspace: str = "w1") -> list[str]:
    """Return the ids of all threads of a workspace, page by page."""
    found: list[str] = []
    token = 0
    while True:
        page = await user.engine.threads("tests", workspace, limit, token)
        found += [thread.thread_id for thread in page.threads]
        assert len(page.threads) <= limit
        if page.next_token == 0:
            assert page.total == len(found)
            return found
        assert len(page.threads) == limit
        token = page.next_token


async def all_messages(user: EngineUser, limit: int, thread_id: str = "t-1") -> list[StoredMessage]:
    """Return the messages of a thread, page by page."""
    found: list[StoredMessage] = []
    token = 0
    while True:
        page = await user.engine.thread_messages("tests", "w1", thread_id, limit, token)
        found += page.messages
        assert len(page.messages) <= limit
        if page.next_token == 0:
            assert page.total == len(found)
            return found
        assert page.messages
        token = page.next_token


async def found(user: EngineUser, thread_id: str = "t-1", workspace: str = "w1") -> Thread | None:
    return await user.engine.thread("tests", workspace, thread_id)


async def test_a_thread_is_kept_as_it_was_made(bench: EngineBench, user: EngineUser) -> None:
    made, existed = await user.create_thread(title="\u00dcber 'alles'", metadata=b'{ "x" : 1 }')
    now_ms = int(bench.clock.now() * 1000)
    assert not existed
    assert made == a_thread(title="\u00dcber 'alles'", metadata=b'{ "x" : 1 }', create_time_ms=now_ms)
    assert await found(user) == made
    assert await found(await bench.reopen(user)) == made


async def test_there_is_none_of_that_name(user: EngineUser) -> None:
    await user.create_thread("t-1")
    assert await found(user, "t-2") is None
    assert await found(user, "t-1", "w2") is None
    assert await all_messages(user, 10, "t-2") == []


async def test_making_one_again_gives_the_first(bench: EngineBench, user: EngineUser) -> None:
    first, _ = await user.create_thread(title="first")
    bench.clock.pass_s(1)
    assert await user.create_thread(title="second", created_by="bob") == (first, True)


async def test_made_twice_at_once_one_is_new(user: EngineUser) -> None:
    answers = await asyncio.gather(*[user.create_thread(title=f"{number}") for number in range(20)])
    assert sorted(existed for _, existed in answers) == [False] + [True] * 19
    assert len({thread for thread, _ in answers}) == 1


async def test_workspaces_have_threads_of_their_own(user: EngineUser) -> None:
    await user.create_thread("t-1")
    other, existed = await user.create_thread("t-1", workspace="w2", title="other")
    assert not existed
    assert await found(user, "t-1", "w2") == other
    assert await all_threads(user, 10) == ["t-1"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
async def test_threads_come_newest_first_in_pages(user: EngineUser, limit: int) -> None:
    for number in range(7):
        await user.create_thread(f"t-{number}")
    assert await all_threads(user, limit) == [f"t-{number}" for number in range(6, -1, -1)]


async def test_a_page_is_not_moved_by_new_threads(user: EngineUser) -> None:
    for number in range(4):
        await user.create_thread(f"t-{number}")
    first = await user.engine.threads("tests", "w1", 2, 0)
    await user.create_thread("t-new")
    second = await user.engine.threads("tests", "w1", 2, first.next_token)
    assert [thread.thread_id for thread in second.threads] == ["t-1", "t-0"]
    assert second.total == 5


async def test_no_thread_no_page(user: EngineUser) -> None:
    page = await user.engine.threads("tests", "w9", 10, 0)
    assert (list(page.threads), page.next_token, page.total) == ([], 0, 0)


async def test_tokens_beyond_any_number_are_harmless(user: EngineUser) -> None:
    await user.create_thread()
    await user.append(thread_id="t-1")
    assert [t.thread_id for t in (await user.engine.threads("tests", "w1", 10, 2**64)).threads] == ["t-1"]
    assert list((await user.engine.thread_messages("tests", "w1", "t-1", 10, 2**64)).messages) == []


async def test_messages_of_all_channels_in_the_order_they_were_stored(user: EngineUser) -> None:
    await user.create_thread()
    for number, channel in enumerate(["chat", "tasks", "chat", "@bob", "chat"]):
        await user.append(f"tests/w1/{channel}", data=b"%d" % number, thread_id="t-1")
        await user.append(f"tests/w1/{channel}", data=b"no", thread_id="t-2")
        await user.append(f"tests/w1/{channel}", data=b"no")
    await user.append("tests/w2/chat", data=b"no", thread_id="t-1")
    for limit in (1, 2, 5, 100):
        messages = await all_messages(user, limit)
        assert [int(message.data) for message in messages] == [0, 1, 2, 3, 4]
        assert [message.topic.rpartition("/")[2] for message in messages] == ["chat", "tasks", "chat", "@bob", "chat"]
    in_channel = {(m.topic, m.offset): m for m in (await user.read("tests/w1/chat")).messages}
    assert messages[0] == in_channel[messages[0].topic, messages[0].offset]


async def test_large_messages_make_small_pages_and_none_is_lost(user: EngineUser) -> None:
    await user.fill(40, data=b"x" * 100_000, thread_id="t-1")
    page = await user.engine.thread_messages("tests", "w1", "t-1", 1000, 0)
    assert 1 <= len(page.messages) < 40
    assert len(await all_messages(user, 1000)) == 40


async def test_a_thread_counts_its_messages(bench: EngineBench, user: EngineUser) -> None:
    await user.create_thread()
    bench.clock.pass_s(1)
    await user.fill(3, thread_id="t-1")
    last = await user.append("tests/w1/tasks", thread_id="t-1", id="same")
    await user.append("tests/w1/tasks", thread_id="t-1", id="same")
    thread = await found(user)
    assert thread is not None
    assert (thread.message_count, thread.last_message_time_ms) == (4, last.time_ms)
    assert (await user.engine.threads("tests", "w1", 10, 0)).threads == [thread]


async def test_a_repeat_that_names_another_thread_changes_nothing(user: EngineUser) -> None:
    await user.append(id="same", thread_id="t-1")
    await user.append(id="same", thread_id="t-2")
    await user.append(id="same")
    await user.append(id="other")
    await user.append(id="other", thread_id="t-2")
    assert [message.id for message in await all_messages(user, 10)] == ["same"]
    assert await all_messages(user, 10, "t-2") == []


async def test_messages_from_before_the_thread_count_too(user: EngineUser) -> None:
    stored = await user.fill(2, thread_id="t-1")
    made, _ = await user.create_thread()
    assert (made.message_count, made.last_message_time_ms) == (2, stored[-1].time_ms)


async def test_in_one_tick_the_order_of_commands_decides(user: EngineUser) -> None:
    before = user.submit(thread_id="t-1")
    made = asyncio.ensure_future(user.create_thread())
    await asyncio.gather(before, made, user.submit(thread_id="t-1"))
    thread = await found(user)
    assert thread is not None
    assert thread.message_count == 2


async def test_too_many_threads_are_refused(bench: EngineBench) -> None:
    user = await bench.open(max_threads=2)
    await user.create_thread("t-1")
    await user.create_thread("t-2")
    with pytest.raises(LimitExceeded):
        await user.create_thread("t-3")
    assert (await user.create_thread("t-2"))[1]
    assert not (await user.create_thread("t-3", workspace="w2"))[1]
    assert await all_threads(user, 10) == ["t-2", "t-1"]

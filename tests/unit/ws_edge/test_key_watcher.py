"""Changes of keys that concern many connections: done in groups, until it is done, while everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from service_runtime.tasks import end_tasks
from tests.support.waiting import eventually
from tests.unit.ws_edge.fakes import Client, World
from tidewire_client.verdict import VerdictCode
from tidewire_client.verifier import KeyChanged
from ws_edge.adapters import key_watcher
from ws_edge.adapters.key_watcher import KeyWatcher
from ws_edge.core.ports import KeyVerdict, ServiceAway

# Smaller than in earnest, so that there are several groups of not so many connections.
END_AT_ONCE = 200
MANY = 2 * END_AT_ONCE


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(key_watcher, "END_AT_ONCE", END_AT_ONCE)
    return World(max_connections=2 * MANY)


@pytest.fixture
async def watcher(world: World) -> AsyncIterator[KeyWatcher]:
    made = KeyWatcher()
    made.gateway = world.gateway
    task = asyncio.create_task(made.run())
    yield made
    assert not task.done()
    await end_tasks(task)


def changed(code: VerdictCode, key_id: str = "k1") -> KeyChanged:
    return KeyChanged(key_id, code, 7)


async def until(condition: Callable[[], object]) -> int:
    """Return how many turns of the event loop others had until the condition was true."""
    turns = 0
    async with asyncio.timeout(10):
        while not condition():
            turns += 1
            await asyncio.sleep(0)
    return turns


def is_checked(client: Client) -> bool:
    return "auth_status" in client.types()


async def many(world: World) -> list[Client]:
    return [await world.authenticated(f"c{number}") for number in range(MANY)]


async def test_many_connections_of_a_key_are_closed_in_groups(world: World, watcher: KeyWatcher) -> None:
    clients = await many(world)
    watcher.key_changed(changed(VerdictCode.REVOKED))
    assert all(client.sink.close_code is None for client in clients)
    turns = await until(lambda: all(client.sink.close_code == 4000 for client in clients))
    assert turns >= MANY / END_AT_ONCE
    for client in clients:
        client.assert_error("key_revoked", 403, then=4000)


async def test_many_connections_of_a_key_are_checked_in_groups(world: World, watcher: KeyWatcher) -> None:
    clients = await many(world)
    watcher.key_changed(changed(VerdictCode.VALID))
    waiting = {client.connection.number: client for client in clients}

    def all_checked() -> bool:
        for number, client in list(waiting.items()):
            if is_checked(client):
                del waiting[number]
        return not waiting

    assert await until(all_checked) >= MANY / key_watcher.CHECK_AT_ONCE


async def test_a_closing_does_not_wait_for_checks(world: World, watcher: KeyWatcher) -> None:
    stays = await world.authenticated("stays")
    world.keys.verdicts["other"] = KeyVerdict("VALID", "k2")
    goes = world.client("goes")
    await goes.connect("other")
    world.keys.away = ServiceAway("auth", timed_out=True)
    watcher.resync(1)
    watcher.key_changed(changed(VerdictCode.DISABLED, "k2"))
    await until(lambda: goes.sink.close_code)
    goes.assert_error("key_disabled", 403, then=4000)
    assert stays.frames() == []


async def test_what_cannot_be_checked_is_checked_later(
    world: World, watcher: KeyWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watcher, "RECHECK_RETRY_S", 0.01)
    client = await world.authenticated()
    asked = []
    world.keys.before_answer = lambda: asked.append(1)
    world.keys.away = ServiceAway("auth", timed_out=False)
    watcher.resync(1)

    async def asked_often() -> bool:
        return len(asked) >= 3

    await eventually(asked_often)
    assert client.frames() == []
    world.keys.away = None

    async def checked() -> bool:
        return is_checked(client)

    await eventually(checked)


async def test_a_defect_ends_the_connection_that_it_concerns_and_no_other(world: World, watcher: KeyWatcher) -> None:
    broken, whole = [await world.authenticated(name) for name in ("broken", "whole")]

    def fail() -> None:
        world.keys.before_answer = lambda: None
        raise RuntimeError("a defect")

    world.keys.before_answer = fail
    watcher.key_changed(changed(VerdictCode.VALID))
    await until(lambda: is_checked(whole))
    broken.assert_error("server_error", 500, then=1011)
    assert [str(defect) for defect in world.defects] == ["a defect"]
    whole.sink.close = fail  # type: ignore[assignment, method-assign]
    watcher.key_changed(changed(VerdictCode.REVOKED))
    await until(lambda: len(world.defects) == 2)


async def test_expiry_ends_connections_without_a_word_from_the_auth_service(
    world: World, watcher: KeyWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watcher, "EXPIRY_LOOK_S", 0.01)
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", expire_time_s=world.clock.seconds + 5)
    client = await world.authenticated()
    world.clock.seconds += 5

    async def closed() -> bool:
        return client.sink.close_code is not None

    await eventually(closed)
    client.assert_error("token_expired", 403, then=4000)

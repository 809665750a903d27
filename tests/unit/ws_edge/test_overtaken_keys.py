"""A key that changes while it is being verified: the old verdict is never used."""

from __future__ import annotations

from tests.unit.ws_edge.fakes import World
from ws_edge.core.connection import State
from ws_edge.core.ports import KeyVerdict
from ws_edge.core.registry import KeyChanges


async def test_a_verdict_that_was_overtaken_by_a_revocation_is_asked_for_again() -> None:
    world = World()
    client, asked = world.client(), []

    def overtaken_once() -> None:
        asked.append(world.keys.verdicts["good"].code)
        if len(asked) == 1:
            world.gateway.registry.changes.mark("k1")
        else:
            world.keys.verdicts["good"] = KeyVerdict("REVOKED", "k1")

    world.keys.before_answer = overtaken_once
    await client.connect()
    client.assert_error("key_revoked", 403, then=4000)
    assert len(asked) == 2
    assert world.link.commands == []


async def test_a_change_of_another_key_costs_nothing() -> None:
    world = World()
    client, asked = world.client(), []

    def other_changes() -> None:
        asked.append(1)
        world.gateway.registry.changes.mark("k2")

    world.keys.before_answer = other_changes
    await client.connect()
    assert client.connection.state is State.AUTHENTICATED
    assert len(asked) == 1


def test_changes_that_are_no_longer_remembered_count_for_every_key() -> None:
    changes = KeyChanges(capacity=2)
    for key_id in ("a", "b", "c"):
        changes.mark(key_id)
    assert [changes.changed_since("unknown", count) for count in (0, 1)] == [True, False]
    assert [changes.changed_since("c", count) for count in (2, 3)] == [True, False]


def test_a_key_that_changes_again_is_remembered_by_its_last_change() -> None:
    changes = KeyChanges(capacity=2)
    for key_id in ("a", "b", "a", "c"):
        changes.mark(key_id)
    assert changes.changed_since("a", 2)
    assert not changes.changed_since("a", 3)

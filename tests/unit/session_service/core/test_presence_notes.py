"""Notes of presence: only the newest state is said, nothing is lost, and what the store cannot have costs nothing."""

from __future__ import annotations

import pytest

from session_service.core.model import Member
from session_service.core.presence_notes import Batch, Outcome, PresenceNotes

TOPIC = "tests/w1/chat"


def a_member(client_id: str = "alice", join_ms: int = 1) -> Member:
    return Member(client_id, "chat", join_ms)


@pytest.fixture
def notes() -> PresenceNotes:
    return PresenceNotes()


def taken(notes: PresenceNotes, limit: int = 100) -> Batch:
    batch = notes.take(TOPIC, limit)
    assert batch is not None
    return batch


def told(notes: PresenceNotes, outcome: Outcome = Outcome.DONE) -> tuple[list[str], list[str]]:
    """Say the next batch; return who was said to be present, and who gone."""
    batch = taken(notes)
    notes.settle(batch, outcome)
    return [member.client_id for member in batch.present], list(batch.gone)


def test_who_comes_and_goes_is_said_once(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    assert told(notes) == (["alice"], [])
    assert notes.take(TOPIC, 100) is None
    notes.go(TOPIC, "alice")
    assert told(notes) == ([], ["alice"])
    assert notes.take(TOPIC, 100) is None
    assert notes.release(TOPIC)


def test_who_went_before_anything_was_said_costs_nothing(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    notes.go(TOPIC, "alice")
    assert notes.take(TOPIC, 100) is None
    assert notes.release(TOPIC)
    assert notes.topics() == []


def test_going_without_having_come(notes: PresenceNotes) -> None:
    notes.go(TOPIC, "alice")
    notes.come(TOPIC, a_member("bob"))
    notes.go(TOPIC, "alice")
    assert told(notes) == (["bob"], [])


def test_one_batch_of_a_topic_is_under_way_and_each_has_a_bound(notes: PresenceNotes) -> None:
    for number in range(5):
        notes.come(TOPIC, a_member(f"c{number}"))
    first = taken(notes, 3)
    assert [member.client_id for member in first.present] == ["c0", "c1", "c2"]
    assert notes.take(TOPIC, 3) is None
    assert not notes.release(TOPIC)
    notes.settle(first, Outcome.DONE)
    assert told(notes) == (["c3", "c4"], [])
    assert notes.take("tests/w1/other", 3) is None


def test_what_changes_while_it_is_said_is_said_next(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    batch = taken(notes)
    notes.go(TOPIC, "alice")
    notes.settle(batch, Outcome.DONE)
    batch = taken(notes)
    assert batch.gone == ["alice"]
    notes.come(TOPIC, a_member(join_ms=2))
    notes.settle(batch, Outcome.DONE)
    assert taken(notes).present == [a_member(join_ms=2)]


def test_who_came_back_while_its_going_was_said_is_kept(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    told(notes)
    notes.go(TOPIC, "alice")
    batch = taken(notes)
    notes.come(TOPIC, a_member(join_ms=2))
    notes.go(TOPIC, "alice")
    notes.settle(batch, Outcome.DONE)
    assert told(notes) == ([], ["alice"])
    assert notes.release(TOPIC)


def test_what_was_not_said_is_said_again_unless_it_is_no_longer_true(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member("alice"))
    notes.come(TOPIC, a_member("bob"))
    batch = taken(notes)
    notes.go(TOPIC, "bob")
    notes.settle(batch, Outcome.NOT_DONE)
    assert told(notes) == (["alice"], [])


def test_who_went_is_said_to_be_gone_if_the_store_had_it_before(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    told(notes)
    notes.go(TOPIC, "alice")
    assert told(notes, Outcome.NOT_DONE) == ([], ["alice"])
    assert told(notes) == ([], ["alice"])
    assert notes.release(TOPIC)


def test_what_may_come_late_is_said_once_more_behind_it(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member())
    assert told(notes, Outcome.UNKNOWN) == (["alice"], [])
    notes.go(TOPIC, "alice")
    assert told(notes, Outcome.NOT_DONE) == ([], ["alice"]), "the doubt remains"
    assert told(notes) == ([], ["alice"])
    assert told(notes) == ([], ["alice"]), "once more, behind what may have come late"
    assert notes.take(TOPIC, 100) is None
    assert notes.release(TOPIC)


def test_everything_of_a_topic_can_be_said_again(notes: PresenceNotes) -> None:
    for client_id in ("alice", "bob"):
        notes.come(TOPIC, a_member(client_id))
    told(notes)
    assert notes.all_told
    notes.repeat(TOPIC)
    notes.repeat("tests/w1/other")
    assert not notes.all_told
    assert told(notes) == (["alice", "bob"], [])


def test_members_are_those_that_are_present_said_or_not(notes: PresenceNotes) -> None:
    notes.come(TOPIC, a_member("alice"))
    told(notes)
    notes.come(TOPIC, a_member("bob"))
    notes.go(TOPIC, "alice")
    assert list(notes.members(TOPIC)) == [a_member("bob")]
    assert list(notes.members("tests/w1/other")) == []
    assert notes.topics() == [TOPIC]
    assert not notes.release(TOPIC)

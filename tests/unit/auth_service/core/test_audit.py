"""What the audit log tells: made of the records alone, and nothing of a secret."""

from dataclasses import replace

import pytest

from auth_service.core.audit import AuditAction, AuditFilter, entry_of_change, entry_of_removal
from auth_service.core.keys import KeyRecord, KeyState
from tests.unit.auth_service.fakes import NOW_MS, a_record

BEFORE = a_record(revision=1)


@pytest.mark.parametrize(
    ("before", "after", "action", "reason"),
    [
        (None, BEFORE, AuditAction.CREATED, ""),
        (BEFORE, replace(BEFORE, name="other"), AuditAction.UPDATED, ""),
        (BEFORE, replace(BEFORE, state=KeyState.DISABLED, state_reason="lost"), AuditAction.DISABLED, "lost"),
        (BEFORE, replace(BEFORE, state=KeyState.REVOKED, state_reason="stolen"), AuditAction.REVOKED, "stolen"),
        (replace(BEFORE, state=KeyState.DISABLED, state_reason="lost"), BEFORE, AuditAction.ENABLED, ""),
        (BEFORE, replace(BEFORE, replaced_by="k2"), AuditAction.ROTATED, ""),
        (replace(BEFORE, replaced_by="k2"), replace(BEFORE, replaced_by="k3"), AuditAction.ROTATED, ""),
        (replace(BEFORE, replaced_by="k2"), replace(BEFORE, replaced_by="k2", name="x"), AuditAction.UPDATED, ""),
        (replace(BEFORE, replaced_by="k2"), BEFORE, AuditAction.UPDATED, ""),
    ],
)
def test_what_was_done(before: KeyRecord | None, after: KeyRecord, action: AuditAction, reason: str) -> None:
    after = replace(after, update_ms=NOW_MS + 5, revision=2)
    entry = entry_of_change(before, after, "key:boss")
    assert (entry.action, entry.reason, entry.actor) == (action, reason, "key:boss")
    assert (entry.key_id, entry.time_ms, entry.revision) == ("k1", NOW_MS + 5, 2)
    for told, record in ((entry.before, before), (entry.after, after)):
        assert told == (None if record is None else replace(record, secret_hash=b"", pepper_version=0))


def test_a_removal() -> None:
    entry = entry_of_removal(BEFORE, "system", "old", NOW_MS)
    assert (entry.action, entry.reason, entry.key_id, entry.time_ms) == (AuditAction.DELETED, "old", "k1", NOW_MS)
    assert entry.before == replace(BEFORE, secret_hash=b"", pepper_version=0)
    assert entry.after is None


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (AuditFilter(), True),
        (AuditFilter(key_id="k1"), True),
        (AuditFilter(key_id="k2"), False),
        (AuditFilter(actor="system"), True),
        (AuditFilter(actor="key:k1"), False),
        (AuditFilter(actions={AuditAction.CREATED}), True),
        (AuditFilter(actions={AuditAction.DELETED}), False),
        (AuditFilter(start_ms=NOW_MS), True),
        (AuditFilter(start_ms=NOW_MS + 1), False),
        (AuditFilter(end_ms=NOW_MS), False),
        (AuditFilter(end_ms=NOW_MS + 1), True),
    ],
)
def test_a_filter(asked: AuditFilter, fits: bool) -> None:
    assert asked.matches(entry_of_change(None, BEFORE, "system")) is fits

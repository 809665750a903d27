"""Verdicts that are given again at once say what a verification would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auth_service.core.keys import KeyRecord
from auth_service.core.quick_verdicts import DIGEST_KEY_BYTES, QuickVerdict, QuickVerdicts
from auth_service.core.verification import NO_USE, Use, judge
from tests.unit.auth_service.fakes import NOW_MS, a_record

TEXT = "tw_live_anything"
TTL_MS = 1000
USE = Use("d", "w", "join", "chat")


class Kept:
    """A table, and the records that are in memory."""

    def __init__(self, size: int = 10) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.table = QuickVerdicts(self.records.get, size=size, digest_key=b"k" * DIGEST_KEY_BYTES)

    def keep(self, record: KeyRecord, text: str = TEXT, use: Use = NO_USE, now_ms: int = NOW_MS) -> None:
        self.records[record.key_id] = record
        self.table.keep(text, use, record, judge(record, use, now_ms, ttl_ms=TTL_MS, revision=1))

    def find(self, text: str = TEXT, use: Use = NO_USE, now_ms: int = NOW_MS) -> QuickVerdict | None:
        return self.table.find(text, use.domain, use.workspace, use.action, use.channel, now_ms)


def test_the_same_key_for_the_same_use_is_found() -> None:
    kept, record = Kept(), a_record()
    kept.keep(record, use=USE)
    found = kept.find(use=USE)
    assert found is not None
    assert found.verdict == judge(record, USE, NOW_MS, ttl_ms=TTL_MS, revision=1)
    assert (found.record, found.key_id) == (record, "k1")


@pytest.mark.parametrize(
    "use",
    [NO_USE, *(replace(USE, **{field: "other"}) for field in ("domain", "workspace", "action", "channel"))],
)
def test_another_use_is_not(use: Use) -> None:
    kept = Kept()
    kept.keep(a_record(), use=USE)
    assert kept.find(use=use) is None


@pytest.mark.parametrize("text", [TEXT + "x", TEXT[:-1], "", TEXT.upper(), "ä", TEXT + "x" * 10_000])
def test_another_text_is_not(text: str) -> None:
    kept = Kept()
    kept.keep(a_record())
    assert kept.find(text) is None


def test_a_key_that_changed_or_is_no_longer_in_memory_is_not() -> None:
    kept, record = Kept(), a_record()
    kept.keep(record)
    kept.records["k1"] = replace(record)
    assert kept.find() is None
    kept.records["k1"] = record
    assert kept.find() is not None
    kept.records.clear()
    assert kept.find() is None


def test_near_its_expiry_a_key_is_judged_anew() -> None:
    kept = Kept()
    kept.keep(a_record(expire_ms=NOW_MS + 5 * TTL_MS))
    assert kept.find(now_ms=NOW_MS + 4 * TTL_MS - 1) is not None
    assert kept.find(now_ms=NOW_MS + 4 * TTL_MS) is None
    kept.keep(a_record(expire_ms=NOW_MS + TTL_MS // 2))
    assert kept.find() is None


def test_the_table_is_bounded_and_the_oldest_goes_first() -> None:
    kept, record = Kept(size=2), a_record()
    for text in ("one", "two", "one", "three"):
        kept.keep(record, text)
    assert [kept.find(text) is not None for text in ("one", "two", "three")] == [True, False, True]


def test_no_text_of_a_key_is_kept() -> None:
    kept = Kept()
    kept.keep(a_record())
    assert TEXT not in repr(kept.table._kept)


def test_verdicts_go_with_the_record_that_they_were_made_of() -> None:
    kept, one, other = Kept(), a_record(), a_record("k2")
    kept.keep(one)
    kept.keep(one, use=USE)
    kept.keep(one, use=USE)
    kept.keep(other, "other")
    kept.table.forget("k1")
    kept.records.pop("k1")
    assert kept.find() is None
    assert kept.find("other") is not None
    assert len(kept.table) == 1
    kept.table.forget("k1")
    kept.table.forget_all()
    assert len(kept.table) == 0
    kept.keep(other, "other")
    assert kept.find("other") is not None


def test_what_went_because_the_table_was_full_is_not_missed_when_its_record_goes() -> None:
    kept, one, other = Kept(size=2), a_record(), a_record("k2")
    kept.keep(one)
    for text in ("a", "b", "c"):
        kept.keep(other, text)
    for key_id in ("k1", "k2"):
        kept.table.forget(key_id)
    assert len(kept.table) == 0


def test_a_verdict_whose_record_is_not_in_memory_is_not_kept() -> None:
    kept, record = Kept(), a_record()
    kept.table.keep(TEXT, NO_USE, record, judge(record, NO_USE, NOW_MS, ttl_ms=TTL_MS, revision=1))
    assert len(kept.table) == 0

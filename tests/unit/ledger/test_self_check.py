"""The ledger finds every fault that it is given, and would say so if it did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from tests.ledger import books
from tests.ledger.self_check import CASES, LedgerIsBlind, self_check
from tests.ledger.verdict import Faults


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(case: Callable[[], Faults]) -> None:
    faults = case()
    assert faults.found == CASES[case]
    assert faults.total == sum(CASES[case].values())


def test_every_kind_of_fault_has_a_case() -> None:
    assert {name for found in CASES.values() for name in found} == {field.name for field in fields(Faults)}


def test_all_pass() -> None:
    assert len(self_check()) == len(CASES) - 1


def test_a_blind_ledger_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books.MemberBook, "lost", lambda _: [])
    with pytest.raises(LedgerIsBlind, match="lost_message"):
        self_check()


def test_a_ledger_that_finds_what_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books.MemberBook, "has", lambda *_: False)
    with pytest.raises(LedgerIsBlind, match="nothing"):
        self_check()

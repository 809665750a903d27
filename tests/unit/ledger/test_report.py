"""What a report says, and when it says that the run has passed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.ledger.audit import audit
from tests.ledger.books import Books
from tests.ledger.chaos import Event
from tests.ledger.generator import Load
from tests.ledger.report import Report
from tests.ledger.run import Plan
from tests.ledger.self_check import CHANNEL, MESSAGES, clean_books, receive
from tests.ledger.verdict import faults_of, rows_of

KILL = Event(5.0, "kill", "redis", 5.5)


def report(books: Books, **more: Any) -> Report:
    rows = rows_of(books)
    histories = [audit(channel, MESSAGES) for channel in books.channels.values()]
    made = Report(
        plan=Plan(seed=42),
        checked=["swap"],
        rows=rows,
        books=books,
        histories=histories,
        faults=faults_of(books, rows, histories),
        events=[KILL],
        published_s=10.0,
        settled_s=12.5,
        load=Load(wall_s=10.0, cpu_s=2.5),
        mishaps=[],
        proxy=None,
        failed_starts={},
    )
    return replace(made, **more)


@pytest.fixture
def good() -> Report:
    books = clean_books()
    receive(books, MESSAGES)
    return report(books)


def test_text(good: Report) -> None:
    lines = good.as_text().splitlines()
    assert lines[0].split()[:4] == ["client", "way", "expected", "received"]
    assert next(line for line in lines if line.startswith("reader")).split()[1:3] == ["6", "6"]
    assert any(line.split() == ["5.0", "s", "kill", "redis,", "over", "after", "0.5", "s"] for line in lines)
    assert "generator cpu per wall: 0.25" in lines
    assert "catching up s: 2.5" in lines
    assert lines[-2:] == ["seed 42", "PASSED: nothing lost, doubled or moved"]


def test_json(good: Report) -> None:
    read = json.loads(good.as_json())
    assert read["passed"] is True
    assert read["totals"]["confirmed"] == 6
    assert read["totals"]["deliveries"] == 12
    assert read["totals"]["killed"] == {"redis": 1}
    assert [client["client"] for client in read["clients"]] == ["writer", "reader"]
    assert set(read["faults"].values()) == {0}


def test_a_loss_is_shown_with_its_place() -> None:
    books = clean_books()
    receive(books, MESSAGES[:-1])
    bad = report(books)
    assert not bad.passed
    assert bad.lost() == [{"client": "reader", "channel": CHANNEL, "id": "m-6", "place": ("e", 6)}]
    assert "m-6" in bad.as_text()
    assert bad.as_text().splitlines()[-1].startswith("FAILED: {'lost': 1")


@pytest.mark.parametrize(
    "change",
    [
        lambda good: {"mishaps": ["an edge ended with 1"]},
        lambda good: {"events": [replace(KILL, what="fell")]},
        lambda good: {"books": Books()},
    ],
    ids=["mishap", "fell", "nothing went round"],
)
def test_not_passed(good: Report, change: Callable[[Report], dict[str, Any]]) -> None:
    assert good.passed
    assert not replace(good, **change(good)).passed


def test_never_caught_up(good: Report) -> None:
    assert replace(good, settled_s=None).catching_up_s is None


def test_the_generator_says_when_it_was_the_limit(good: Report) -> None:
    assert not good.totals()["generator_was_the_limit"]
    assert replace(good, load=Load(wall_s=10.0, cpu_s=9.5)).totals()["generator_was_the_limit"]

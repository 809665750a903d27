"""What a run has found, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tidewire_client.load.figures import Figure
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Account

FORMAT: Final = 1
# Of a histogram, in files.
_PARTS: Final = (0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)


@dataclass(frozen=True, slots=True)
class ClientResult:
    """What one client got."""

    client_id: str
    account: Account


@dataclass(slots=True)
class Result:
    """One run.

    Attributes:
        scenario: Its name.
        started: When.
        seconds: How long it took, with connecting and waiting.
        url: Of the edge.
        place: Domain and workspace.
        options: Of the scenario.
        known: The figures that there are.
        figures: Their values by name; None, or not there: not measured.
        interrupted: It was ended early.
        clients: What each got; empty: there were no messages.
        confirmed_twice: Messages that were confirmed again.
        told_lost: Times that the gateway said itself that something is lost.
        histograms: By what they are times of.
        timeline: Points for programs.
        marks: When which phase began: seconds from the start, and its name.
        load_processes: How busy each was.
        reasons: What went wrong, in words, with how often.
        warnings: What makes figures doubtful, in sentences.
        notes: What else is to be said, in sentences.
        broken: Thresholds that the run breaks, in words.
        compared: With an older run, if one was named.
    """

    scenario: str
    started: datetime
    seconds: float
    url: str
    place: str
    options: Mapping[str, Any]
    known: Sequence[Figure]
    figures: Mapping[str, float | None]
    interrupted: bool = False
    clients: Sequence[ClientResult] = ()
    confirmed_twice: int = 0
    told_lost: int = 0
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    timeline: Sequence[Mapping[str, Any]] = ()
    marks: Sequence[tuple[float, str]] = ()
    load_processes: Sequence[Mapping[str, Any]] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: Sequence[str] = ()
    broken: Sequence[str] = ()
    compared: Sequence[Compared] = ()

    @property
    def faulty(self) -> list[ClientResult]:
        """The clients that did not get each message once and in order, the worst first."""
        wrong = [client for client in self.clients if not client.account.right]
        return sorted(wrong, key=lambda client: -client.account.missing)

    @property
    def wrong(self) -> bool:
        """A message was lost, doubled or out of order, or a confirmation was."""
        return bool(self.faulty or self.figures.get("unanswered") or self.confirmed_twice)

    def measured(self) -> list[tuple[Figure, float]]:
        """Return the figures that were measured, in order."""
        found = ((figure, self.figures.get(figure.name)) for figure in self.known)
        return [(figure, value) for figure, value in found if value is not None]

    def record(self) -> dict[str, Any]:
        """Return it for programs; `--compare` reads it."""
        return {
            "tidewire_load": FORMAT,
            "scenario": self.scenario,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "url": self.url,
            "place": self.place,
            "options": dict(self.options),
            "interrupted": self.interrupted,
            "right": not self.wrong,
            "figures": {figure.name: self.figures.get(figure.name) for figure in self.known},
            "broken_thresholds": list(self.broken),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "reasons": dict(self.reasons),
            "confirmed_twice": self.confirmed_twice,
            "told_lost": self.told_lost,
            "load_processes": [dict(each) for each in self.load_processes],
            "phases": [{"at_s": round(at_s, 3), "phase": phase} for at_s, phase in self.marks],
            "histograms": {words: _histogram(histogram) for words, histogram in self.histograms.items()},
            "timeline": [dict(point) for point in self.timeline],
            "clients": [_client(client) for client in self.clients],
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of two runs.

    Attributes:
        figure: Which.
        before: Of the older run.
        now: Of this one.
        ratio: Now over before; None: there is none.
    """

    figure: Figure
    before: float
    now: float
    ratio: float | None

    @property
    def better(self) -> bool | None:
        """Whether it is more than a tenth better or worse; None: neither, or the figure has no better."""
        if self.ratio is None or self.figure.less_is_better is None or 0.9 <= self.ratio <= 1.1:
            return None
        return (self.ratio < 1.0) == self.figure.less_is_better


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "quantiles_ms": {f"{part:g}": histogram.quantile_ms(part) for part in _PARTS},
        "buckets_us": [list(bucket) for bucket in histogram.buckets()],
    }


def _client(client: ClientResult) -> dict[str, Any]:
    account = client.account
    return {
        "client_id": client.client_id,
        "expected": account.expected,
        "received": account.received,
        "missing": account.missing,
        "duplicated": account.duplicated,
        "out_of_order": account.out_of_order,
    }

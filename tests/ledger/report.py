"""What a run found: a table of the clients, totals, and what was done to the system; as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from tests.ledger.audit import HistoryAudit
from tests.ledger.books import Books
from tests.ledger.generator import Load
from tests.ledger.verdict import ClientRow, Faults

if TYPE_CHECKING:
    from tests.ledger.chaos import Event
    from tests.ledger.run import Plan
    from tests.support.tcp_proxy import ProxyCounters

EXAMPLES = 5


@dataclass
class Report:
    """The result of a run.

    Args:
        checked: The faults that the ledger found in books that had them, before the run.
        published_s: When publishing ended, in seconds from its start.
        settled_s: When every client was connected and had everything; None: never.
        mishaps: What went wrong beside the books, in words.
        failed_starts: Processes that ended at a start, and were started again.
    """

    plan: Plan
    checked: list[str]
    rows: list[ClientRow]
    books: Books
    histories: list[HistoryAudit]
    faults: Faults
    events: list[Event]
    published_s: float
    settled_s: float | None
    load: Load
    mishaps: list[str]
    proxy: ProxyCounters | None
    failed_starts: dict[str, int]

    @property
    def passed(self) -> bool:
        """Nothing lost, doubled or moved, everybody there; and messages went round at all."""
        fallen = any(event.what == "fell" for event in self.events)
        return not (self.faults.total or self.mishaps or fallen) and self.deliveries > 0

    @property
    def deliveries(self) -> int:
        return sum(member.accepted for client in self.books.clients.values() for member in client.members.values())

    @property
    def reconnects(self) -> int:
        return sum(row.reconnects for row in self.rows)

    @property
    def catching_up_s(self) -> float | None:
        """Seconds from the end of the last kill or cut (or of publishing, if that was later) to everybody caught up."""
        if self.settled_s is None:
            return None
        return self.settled_s - max([self.published_s, *(event.back_s for event in self.events)])

    @property
    def closes(self) -> Counter[int]:
        """How connections ended, by close code (RFC 6455 section 7.4.1); 1006: without a word."""
        return sum((client.closes for client in self.books.clients.values()), Counter())

    @property
    def surprises(self) -> Counter[str]:
        """What the server said that it need not have said, with counts."""
        return sum((client.surprises for client in self.books.clients.values()), Counter())

    def count(self, what: str) -> int:
        return sum(event.what == what for event in self.events)

    def totals(self) -> dict[str, Any]:
        clients = self.books.clients.values()
        return {
            "published": sum(client.published for client in clients),
            "confirmed": self.books.confirmed,
            "repeats": sum(client.repeats for client in clients),
            "unanswered": sum(client.unanswered for client in clients),
            "slowest_confirmation_s": round(max(client.slowest_s for client in clients), 2),
            "deliveries": self.deliveries,
            "dropped_by_offset_check": sum(row.dropped for row in self.rows),
            "expected": sum(row.expected for row in self.rows),
            "received": sum(row.received for row in self.rows),
            "kept_in_histories": sum(history.kept for history in self.histories),
            "reconnects": self.reconnects,
            "kills": self.count("kill"),
            "killed": dict(sorted(Counter(e.whom for e in self.events if e.what == "kill").items())),
            "freezes": self.count("freeze"),
            "cuts": self.count("cut"),
            "swallows": self.count("swallow"),
            "fell_by_themselves": self.count("fell"),
            "failed_starts": self.failed_starts,
            "published_s": round(self.published_s, 1),
            "catching_up_s": None if self.catching_up_s is None else round(self.catching_up_s, 2),
            "generator_cpu_per_wall": round(self.load.cpu_per_wall, 2),
            "generator_worst_lag_s": round(self.load.worst_lag_s, 2),
            "generator_was_the_limit": self.load.was_the_limit,
        }

    def as_json(self) -> str:
        return json.dumps(
            {
                "passed": self.passed,
                "plan": asdict(self.plan),
                "self_check_found": self.checked,
                "totals": self.totals(),
                "faults": asdict(self.faults),
                "mishaps": self.mishaps,
                "surprises": dict(self.surprises),
                "closes": dict(self.closes),
                "events": [asdict(event) for event in self.events],
                "proxy": None if self.proxy is None else asdict(self.proxy),
                "clients": [asdict(row) for row in self.rows],
                "histories": [asdict(history) for history in self.histories],
                "lost": self.lost(),
                "stored_twice": self.stored_twice(),
            },
            indent=1,
        )

    def lost(self) -> list[dict[str, Any]]:
        """Return every loss: who did not get what, from where."""
        return [
            {"client": client.client_id, "channel": name, "id": i, "place": member.channel.confirmed[i]}
            for client in self.books.clients.values()
            for name, member in client.members.items()
            for i in member.lost()
        ]

    def stored_twice(self) -> dict[str, list[Any]]:
        return {i: sorted(p) for channel in self.books.channels.values() for i, p in channel.stored_twice.items()}

    def as_text(self) -> str:
        return "\n".join([*self._table(), "", *self._events(), *self._summary()])

    def _table(self) -> Iterator[str]:
        names = [field.name for field in fields(ClientRow)]
        lines = [names, *([_cell(getattr(row, name)) for name in names] for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
        for line in lines:
            yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()

    def _events(self) -> Iterator[str]:
        for event in self.events:
            yield f"{event.at_s:7.1f} s  {event.what:7} {event.whom}, over after {event.back_s - event.at_s:.1f} s"

    def _summary(self) -> Iterator[str]:
        yield ""
        yield from (f"{name.replace('_', ' ')}: {value}" for name, value in self.totals().items())
        if self.proxy is not None:
            yield f"proxy: {asdict(self.proxy)}"
        yield from (f"unexpected, {count} times: {what}" for what, count in self.surprises.most_common())
        yield from (f"mishap: {text}" for text in self.mishaps)
        yield from (f"lost: {loss}" for loss in self.lost()[:EXAMPLES])
        yield from (f"stored twice: {item}" for item in list(self.stored_twice().items())[:EXAMPLES])
        yield from (f"history: {history}" for history in self.histories if not history.clean)
        yield f"seed {self.plan.seed}"
        yield "PASSED: nothing lost, doubled or moved" if self.passed else f"FAILED: {self.faults.found or 'see above'}"


def _cell(value: Sequence[Any] | int | str | bool) -> str:
    return ("yes" if value else "NO") if isinstance(value, bool) else str(value)

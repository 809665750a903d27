"""What a soak came to: as text, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tests.ledger.generator import Load
from tests.soak.comparison import Comparison
from tests.soak.plan import Plan
from tests.soak.samples import Series
from tests.soak.trend import Finding


@dataclass
class Report:
    """The result.

    Args:
        capacity: Messages a second that were confirmed in the calibration; None: there was none.
        rate: Messages a second that were published.
        confirmed: Messages.
        churn: How often each kind was done.
        faults: What must not be, by kind.
        refused: What was refused, by type of error: told, and nothing that is lost.
        findings: Of each series, and of the comparisons.
        comparisons: With services that rested: the early ones, then the late ones; or none.
        load: Of the process that made the load.
    """

    plan: Plan
    capacity: float | None
    rate: float
    confirmed: int
    churn: Counter[str]
    faults: Counter[str]
    refused: Counter[str]
    findings: list[Finding]
    series: Series
    comparisons: list[Comparison]
    load: Load

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing grew, and there was something to look at."""
        seen = self.confirmed > 0 and any("latency" in finding.name for finding in self.findings)
        return seen and not self.faults and not any(finding.failed for finding in self.findings)

    def as_text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        plan = self.plan
        of = "" if self.capacity is None else f", {self.rate / self.capacity:.0%} of {self.capacity:.0f}"
        yield f"{plan.minutes:g} minutes, the first {plan.warm_up_s / 60:.1f} not judged"
        yield f"{self.rate:.0f} messages a second{of}"
        yield f"confirmed: {self.confirmed}; refused: {dict(self.refused)}"
        yield f"churn: {dict(self.churn)}"
        yield from map(str, self.findings)
        busy = " and was the limit" if self.load.was_the_limit else ""
        yield f"the load itself took {self.load.cpu_per_wall:.2f} of a core{busy}"
        yield from (f"fault, {count} times: {what}" for what, count in self.faults.most_common())
        yield "PASSED: nothing lost, nothing grew" if self.passed else "FAILED"

    def as_json(self) -> str:
        return json.dumps(
            {
                "passed": self.passed,
                "plan": asdict(self.plan),
                "capacity": self.capacity,
                "rate": self.rate,
                "confirmed": self.confirmed,
                "churn": self.churn,
                "faults": self.faults,
                "refused": self.refused,
                "findings": [{**asdict(finding), "growth": finding.trend.growth} for finding in self.findings],
                "load_cpu_per_wall": self.load.cpu_per_wall,
                "comparisons": [asdict(comparison) for comparison in self.comparisons],
                "series": {f"{name} ({unit})": points for (name, unit), points in self.series.values.items()},
            },
            indent=1,
        )

"""What the figures have to be: the goals that Tidewire sets itself, and which of them a run has met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.rounds import Result

OURS: Final = "tidewire"
_SHARED: Final = "tidewire-2-edges-redis"
ANY: Final = ("*",)


@dataclass(frozen=True)
class Target:
    """A bound of one figure.

    Args:
        scenario: Name of the scenario.
        figure: Key of the figure.
        at_least: Whether the figure has to reach the bound; else it may not exceed it.
        bound: The bound; times the figure of `peers`, if there are any.
        peers: Servers of the same run that the bound is in relation to: the best of them; `ANY`: the best of all others.
        subject: Whose figure.
    """

    scenario: str
    figure: str
    at_least: bool
    bound: float
    peers: Sequence[str] = ()
    subject: str = OURS

    @property
    def words(self) -> str:
        """The bound for people."""
        sign = ">=" if self.at_least else "<="
        if not self.peers:
            return f"{sign} {self.bound:,g}"
        of = "the best of the others" if self.peers is ANY else " and ".join(self.peers)
        return f"{sign} {self.bound:g} x {of}"


@dataclass(frozen=True)
class Judgement:
    """A target and what was found.

    Args:
        target: The target.
        words: Of the figure.
        found: Its median; None: it was not found.
        bound: What it had to be; None: nobody was there to compare with.
    """

    target: Target
    words: str
    found: float | None
    bound: float | None

    @property
    def met(self) -> bool | None:
        """Whether it is met; None if that is not known."""
        if self.found is None or self.bound is None:
            return None
        return self.found >= self.bound if self.target.at_least else self.found <= self.bound


def _least(scenario: str, figure: str, bound: float, peers: Sequence[str] = (), subject: str = OURS) -> Target:
    return Target(scenario, figure, True, bound, peers, subject)


def _most(scenario: str, figure: str, bound: float, peers: Sequence[str] = (), subject: str = OURS) -> Target:
    return Target(scenario, figure, False, bound, peers, subject)


# A cost may fall as something grows; it is rising that is bounded.
_MOST_CHANGE_PERCENT: Final = 15.0

TARGETS: Final = (
    _least("fanout", "deliveries_per_cpu_s_1000_w1", 1.1, ANY),
    _least("fanout", "deliveries_per_cpu_s_1000_w16", 1.8, ANY),
    _most("latency", "wide_p99_ms", 1.1, ("nchan",)),
    _most("latency", "many_p50_ms", 1.5),
    _most("latency", "many_p99_ms", 6.0),
    _most("storage-sqlite", "alone_p50_ms", 0.3, subject="tidewire-sqlite"),
    _least("rooms", "deliveries_per_cpu_s", 60_000),
    _least("rooms", "deliveries_per_cpu_s", 5, ("python-socketio",)),
    _least("rooms", "deliveries_per_cpu_s", 2, ("socketio-node",)),
    _least("publish", "confirmed_per_cpu_s", 15_000),
    _least("publish", "confirmed_per_cpu_s", 10_000, subject=_SHARED),
    _least("connect", "connects_per_cpu_s", 1_500),
    _most("memory", "edge_idle_kb", 20.0),
    *(
        _most(scenario, f"w{window}_change", _MOST_CHANGE_PERCENT)
        for scenario in ("growth-members", "growth-channels", "growth-idle")
        for window in (1, 16)
    ),
)


def judged(results: Sequence[Result], targets: Sequence[Target] = TARGETS) -> list[Judgement]:
    """Return the targets of the scenarios that were run at full size, and what was found.

    Args:
        results: Of a run.
        targets: All that there are.
    """
    by_name = {result.scenario.name: result for result in results if not result.size.small}
    return [_judge(target, by_name[target.scenario]) for target in targets if target.scenario in by_name]


def _judge(target: Target, result: Result) -> Judgement:
    words = {figure.key: figure.words for figure in result.scenario.figures(result.size)}
    medians = {contender.name: contender.median(target.figure) for contender in result.contenders}
    bound = _bound(target, {name: value for name, value in medians.items() if value is not None})
    return Judgement(target, words.get(target.figure, target.figure), medians.get(target.subject), bound)


def _bound(target: Target, medians: Mapping[str, float]) -> float | None:
    if not target.peers:
        return target.bound
    others = [
        value
        for name, value in medians.items()
        if (not name.startswith(OURS) if target.peers is ANY else name in target.peers)
    ]
    if not others:
        return None
    return target.bound * (max(others) if target.at_least else min(others))

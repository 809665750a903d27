"""Time from the moment a message is due to its delivery, at fixed rates that wait for nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.load.plan import Publisher
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, measure_run
from benchmarks.scenarios.rooms_of_members import fill

_WARM_UP_S: Final = 1.0
_QUANTILES: Final = ("p50", "p99", "p99_9")


@dataclass(frozen=True)
class _Case:
    """A rate.

    Args:
        key: In the names of figures.
        rooms: Channels.
        members: Of each.
        rate: Messages a second, over all channels.
    """

    key: str
    rooms: int
    members: int
    rate: float

    @property
    def words(self) -> str:
        return f"{self.rate:g} a second, {self.rooms} x {self.members:,} member{'s' if self.members > 1 else ''}"


_CASES: Final = (_Case("wide", 1, 1_000, 10.0), _Case("many", 50, 2, 500.0), _Case("echo", 50, 1, 500.0))
_SMALL_CASES: Final = (_Case("wide", 1, 100, 10.0), _Case("many", 5, 2, 50.0), _Case("echo", 5, 1, 50.0))


def _cases(size: Size) -> Sequence[_Case]:
    return _SMALL_CASES if size.small else _CASES


def _figures(size: Size) -> Sequence[Figure]:
    return [
        Figure(f"{case.key}_{quantile}_ms", f"{case.words}: {quantile.replace('_', '.')}", "ms", more_is_better=False)
        for case in _cases(size)
        for quantile in _QUANTILES
    ]


def _measure(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    for group, case in enumerate(_cases(size)):
        rooms = fill(peer, case.rooms, case.members, group)
        rate = case.rate / case.rooms
        with Generator() as generator:
            generator.open(rooms.clients)
            generator.run(_scheduled(rooms.publishers, rate, _WARM_UP_S))
            measured = measure_run(peer, generator, _scheduled(rooms.publishers, rate, 2 * size.seconds))
        latency = measured.run.latency
        figures = {f"{case.key}_{quantile}_ms": getattr(latency, quantile) / 1000 for quantile in _QUANTILES}
        outcome.take(case.key, measured, figures)
    return outcome


def _scheduled(publishers: Sequence[Publisher], rate: float, seconds: float) -> list[Publisher]:
    """Return publishers that send at a rate, in messages a second of each, for a time."""
    count = max(2, int(rate * seconds))
    return [replace(publisher, window=0, rate=rate, count=count) for publisher in publishers]


SCENARIO: Final = Scenario(
    name="latency",
    title="publish to deliver at a fixed rate, from the moment a message was due",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
)

"""How cost grows: with the members of a channel, with channels that are silent, with connections that are idle.

Each kind is measured at several sizes of one running system, which only grows meanwhile, and a line is fitted through the
points: cost as a power of the size, so that 0 is flat and 1 is as steep as the size.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.load.plan import Client
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Measured, Outcome, Scenario, Size, fitting, measure_at_rest, measure_for
from benchmarks.scenarios.rooms_of_members import Rooms, fill

# As many as one connection may be in, by default.
_CHANNELS_EACH: Final = 100
_BUSY_ROOMS: Final = 10
_BUSY_MEMBERS: Final = 10
_WINDOWS: Final = (1, 16)
_OPEN_DEADLINE_S: Final = 900.0
# After so many connections and joins, services look for cycles among all that is new; two such times are over then.
_SETTLES_S: Final = 10.0
# Measurements at each size; their median counts.
_REPEATS: Final = 3
# Clients that are silent have numbers that no busy one has.
_FIRST_SILENT: Final = 2_000_000

SilentClients = Callable[[Peer, int, int], Iterator[Client]]


@dataclass(frozen=True)
class Growth:
    """Something that there can be more of.

    Args:
        key: In the names of figures.
        words: What there is more of.
        unit: What the cost is counted for.
        sizes: How many.
        few: How many where it only has to be seen that it works.
        flat: The sizes, first and last, between which the cost is to be the same.
        has_rest: Whether it costs something while there are no messages (heartbeats, for one). That is measured by itself,
            and is no part of what a message costs.
        fits: Returns those sizes that this machine allows.
    """

    key: str
    words: str
    unit: str
    sizes: Sequence[int]
    few: Sequence[int]
    flat: tuple[int, int]
    has_rest: bool = True
    fits: Callable[[Sequence[int]], Sequence[int]] = fitting

    def counts(self, size: Size) -> Sequence[int]:
        """Return how many there are, in turn."""
        return self.fits(self.few if size.small else self.sizes)

    def figures(self, size: Size) -> Sequence[Figure]:
        """Return a figure for each point, the change over what is to be flat, and the slope."""
        counts = self.counts(size)
        figures = [figure for window in _WINDOWS for figure in self._figures(counts, window)]
        return figures + [self._at_rest(count) for count in counts] if self.has_rest else figures

    def _at_rest(self, count: int) -> Figure:
        words = f"{count:,} {self.words}, and no message"
        return Figure(f"rest_{count}_ms", words, "CPU ms / s", more_is_better=False)

    def _figures(self, counts: Sequence[int], window: int) -> Iterator[Figure]:
        under_way = f"{window} in flight"
        for count in counts:
            words = f"{count:,} {self.words}, {under_way}"
            yield Figure(f"w{window}_{count}_us", words, f"CPU us / {self.unit}", more_is_better=False)
        first, last = self._ends(counts)
        words = f"{self.words}, {under_way}: change of cost from {first:,} to {last:,}"
        yield Figure(f"w{window}_change", words, "%", more_is_better=False)
        words = f"{self.words}, {under_way}: cost grows with their number to the power of"
        yield Figure(f"w{window}_slope", words, "exponent", more_is_better=False)

    def fit(self, costs_us: Mapping[int, float], window: int) -> dict[str, float]:
        """Return the figures of some points.

        Args:
            costs_us: By the number of what there is more of.
            window: Messages under way in each channel.
        """
        first, last = self._ends(list(costs_us))
        return {
            **{f"w{window}_{count}_us": cost for count, cost in costs_us.items()},
            f"w{window}_change": (costs_us[last] / costs_us[first] - 1) * 100,
            f"w{window}_slope": slope({count: cost for count, cost in costs_us.items() if first <= count <= last}),
        }

    def _ends(self, counts: Sequence[int]) -> tuple[int, int]:
        """Return the first and the last of `counts` within `flat`; of all, where fewer than two are."""
        inside = [count for count in counts if self.flat[0] <= count <= self.flat[1]]
        inside = inside if len(inside) > 1 else list(counts)
        return inside[0], inside[-1]


MEMBERS: Final = Growth(
    "growth-members", "members", "delivery", (10, 100, 1_000, 10_000, 19_000), (10, 50), (100, 10_000), has_rest=False
)
CHANNELS: Final = Growth(
    "growth-channels",
    "silent channels",
    "message",
    (10, 100, 1_000, 10_000, 100_000),
    (10, 200),
    (10, 100_000),
    fits=list,
)
IDLE: Final = Growth(
    "growth-idle", "idle connections", "message", (1_000, 2_000, 5_000, 10_000), (50, 200), (1_000, 10_000)
)


def slope(costs: Mapping[int, float]) -> float:
    """Return the exponent of the power of the size that fits best, by least squares of the logarithms.

    Args:
        costs: By size; two or more.
    """
    sizes = [math.log(size) for size in costs]
    return statistics.linear_regression(sizes, [math.log(cost) for cost in costs.values()]).slope


class _Costs:
    """What was measured at each size, with each number of messages under way."""

    def __init__(self) -> None:
        self._us: dict[int, dict[int, list[float]]] = {window: {} for window in _WINDOWS}

    def add(self, outcome: Outcome, window: int, count: int, measured: Measured, us: float) -> None:
        """Note a measurement, and its details in the outcome."""
        taken = self._us[window].setdefault(count, [])
        taken.append(us)
        outcome.take(f"{count}_w{window}_{len(taken)}", measured)

    def fit(self, growth: Growth) -> dict[str, float]:
        """Return the figures of the medians at each size."""
        figures: dict[str, float] = {}
        for window, taken in self._us.items():
            figures |= growth.fit({count: statistics.median(us) for count, us in taken.items()}, window)
        return figures


def _with_members(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    costs = _Costs()
    for group, count in enumerate(MEMBERS.counts(size)):
        rooms = fill(peer, 1, count, group)
        with Generator() as generator:
            generator.open(rooms.clients, deadline_s=_OPEN_DEADLINE_S)
            for window, measured in _with_each_window(peer, generator, rooms, size):
                costs.add(outcome, window, count, measured, cost_us(measured, measured.run.received))
    outcome.figures |= costs.fit(MEMBERS) if not outcome.faults else {}
    return outcome


def _with_silent(growth: Growth, silent_clients: SilentClients, peer: Peer, size: Size) -> Outcome:
    """Measure the same few busy rooms beside more and more that is silent."""
    outcome = Outcome()
    costs = _Costs()
    rooms = fill(peer, _BUSY_ROOMS, _BUSY_MEMBERS)
    with ExitStack() as stack:
        busy = stack.enter_context(Generator())
        busy.open(rooms.clients)
        for before, count in pairwise((0, *growth.counts(size))):
            silent = stack.enter_context(Generator())
            silent.open(list(silent_clients(peer, before, count)), deadline_s=_OPEN_DEADLINE_S)
            time.sleep(0 if size.small else _SETTLES_S)
            at_rest = measure_at_rest(peer, size)
            outcome.figures[f"rest_{count}_ms"] = at_rest * 1e3
            for window, measured in _with_each_window(peer, busy, rooms, size):
                costs.add(outcome, window, count, measured, cost_us(measured, measured.run.sent, at_rest))
    outcome.figures |= costs.fit(growth) if not outcome.faults else {}
    return outcome


def _idle(peer: Peer, before: int, count: int) -> Iterator[Client]:
    """Yield connections until there are `count` where there were `before`."""
    for number in range(before, count):
        yield peer.subscriber(_FIRST_SILENT + number, [])


def _in_channels(peer: Peer, before: int, count: int) -> Iterator[Client]:
    """Yield few connections that are members of many channels, until there are `count` channels."""
    for first in range(before, count, _CHANNELS_EACH):
        names = [f"silent-{number}" for number in range(first, min(first + _CHANNELS_EACH, count))]
        yield peer.subscriber(_FIRST_SILENT + first, names)


def _with_each_window(peer: Peer, generator: Generator, rooms: Rooms, size: Size) -> Iterator[tuple[int, Measured]]:
    """Measure with few and with many messages under way, in turn and several times."""
    for window in _WINDOWS * (1 if size.small else _REPEATS):
        publishers = [replace(publisher, window=window) for publisher in rooms.publishers]
        yield window, measure_for(peer, generator, publishers, size)


def cost_us(measured: Measured, count: int, at_rest: float = 0.0) -> float:
    """Return the server's CPU time for each, in microseconds; at least a tick of the system's clock in all.

    Args:
        measured: What it took.
        count: For how many.
        at_rest: CPU seconds a second that it takes anyway.
    """
    return max(measured.cpu_seconds - at_rest * measured.run.seconds, 1e-2) / max(count, 1) * 1e6


def _scenario(growth: Growth, title: str, measure: Callable[[Peer, Size], Outcome]) -> Scenario:
    return Scenario(growth.key, title, growth.figures, ("tidewire",), measure)


SCENARIOS: Final = (
    _scenario(MEMBERS, "what a delivery costs as a channel has more members", _with_members),
    _scenario(
        CHANNELS,
        "what a message in ten rooms of ten costs beside more and more silent channels that are joined",
        partial(_with_silent, CHANNELS, _in_channels),
    ),
    _scenario(
        IDLE,
        "what a message in ten rooms of ten costs beside more and more idle connections",
        partial(_with_silent, IDLE, _idle),
    ),
)

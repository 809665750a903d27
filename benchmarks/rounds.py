"""Interleaved rounds: every server once, then every server again, so that what changes on the machine changes for all."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.peers.base import Subject
from benchmarks.scenarios.base import Outcome, Scenario, Size


@dataclass
class Contender:
    """What is known of one server after some rounds.

    Args:
        name: Its name.
        version: Its version, in words.
        outcomes: Of each round, in order.
    """

    name: str
    version: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """What was wrong, with the round."""
        return [f"round {n}: {fault}" for n, outcome in enumerate(self.outcomes, 1) for fault in outcome.faults]

    @property
    def generator_was_the_limit(self) -> list[str]:
        """In which measurements the figures may be the generator's."""
        found = (name for outcome in self.outcomes for name in outcome.generator_was_the_limit)
        return list(dict.fromkeys(found))

    @property
    def generator_share(self) -> float:
        """The share of one core of the generator, at most, in any round."""
        return max((outcome.generator_share for outcome in self.outcomes), default=0.0)

    @property
    def server_to_generator(self) -> float | None:
        """CPU time of the server by that of the generator, at least, in any round; None if it was not used."""
        least = min((outcome.server_to_generator for outcome in self.outcomes), default=math.inf)
        return None if math.isinf(least) else least

    def samples(self, key: str) -> list[float]:
        """Return the figure of each round whose measurement had nothing wrong."""
        return [outcome.figures[key] for outcome in self.outcomes if key in outcome.figures]

    def median(self, key: str) -> float | None:
        """Return the median of a figure; None if no round has one."""
        samples = self.samples(key)
        return statistics.median(samples) if samples else None


@dataclass(frozen=True)
class Result:
    """What a scenario found.

    Args:
        scenario: Which.
        size: How much work.
        rounds: How many.
        contenders: In order, the one that others are compared with first.
        absent: Servers that could not be had, and what they lack.
    """

    scenario: Scenario
    size: Size
    rounds: int
    contenders: Sequence[Contender]
    absent: dict[str, str]

    def ratio(self, contender: Contender, key: str) -> float | None:
        """Return a median in relation to that of the first contender; None if one of them has none."""
        own, first = contender.median(key), self.contenders[0].median(key)
        return own / first if own is not None and first else None


def run_rounds(
    scenario: Scenario,
    subjects: Sequence[type[Subject]],
    rounds: int,
    size: Size,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Result:
    """Measure every server in every round, each time started anew.

    Args:
        scenario: The work.
        subjects: The servers.
        rounds: How many.
        size: How much work.
        say: Told what goes on.
    """
    absent = {peer.name: lack for peer in subjects if (lack := peer().missing())}
    present = [peer for peer in subjects if peer.name not in absent]
    for name, lack in absent.items():
        say(f"{name}: left out, it needs {lack}")
    contenders = [Contender(peer.name, peer().version()) for peer in present]
    for number in range(1, rounds + 1):
        for peer, contender in zip(present, contenders, strict=True):
            say(f"{scenario.name}: round {number} of {rounds}: {peer.name}")
            outcome = _once(scenario, peer(), size)
            contender.outcomes.append(outcome)
            for fault in outcome.faults:
                say(f"  {peer.name}: {fault}")
    return Result(scenario, size, rounds, contenders, absent)


def _once(scenario: Scenario, peer: Subject, size: Size) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="tidewire-bench-") as folder:
        try:
            peer.start(Path(folder), scenario.identities(size))
            return scenario.measure(peer, size)
        except BenchmarkError as error:
            return Outcome(faults=[str(error)])
        finally:
            peer.stop()

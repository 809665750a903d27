"""What a scenario is, and what all of them measure with."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from benchmarks.load.counts import Run
from benchmarks.load.generator import Generator
from benchmarks.load.plan import Publisher
from benchmarks.peers.base import Peer
from benchmarks.usage import by_part, cpu_seconds

MESSAGE_BYTES: Final = 200
RUN_DEADLINE_S: Final = 120.0
# Share of the measured time for which a server runs warm first: some compile what they run.
_WARM_UP: Final = 0.3
_FIRST_MESSAGES: Final = 10
_FEWEST_MESSAGES: Final = 20
# Files that a server may need besides its clients.
_SPARE_FILES: Final = 200


@dataclass(frozen=True)
class Figure:
    """One number that a scenario finds of a server.

    Args:
        key: Short, without spaces: how it is called in the JSON file.
        words: For people.
        unit: Of it.
        more_is_better: Else less is.
    """

    key: str
    words: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True)
class Size:
    """How much work there is.

    Args:
        seconds: About how long each measurement lasts.
        small: Whether this is only to see that everything works.
    """

    seconds: float
    small: bool


FULL: Final = Size(5.0, small=False)
SMALL: Final = Size(0.4, small=True)


@dataclass
class Outcome:
    """What one server showed in one round.

    Args:
        figures: By key.
        details: More numbers, for the JSON file.
        faults: What was wrong with its deliveries. There are no figures of a measurement in which something was.
        generator_was_the_limit: In which measurements the generator was busy or late.
        generator_share: Of one core, in the measurement in which it was busiest.
        server_to_generator: CPU time of the server by that of the generator, where that was least.
    """

    figures: dict[str, float] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    generator_was_the_limit: list[str] = field(default_factory=list)
    generator_share: float = 0.0
    server_to_generator: float = math.inf

    def take(self, name: str, measured: Measured, figures: Mapping[str, float] | None = None) -> None:
        """Note the counts of a measurement and what was wrong in it; if nothing was, the figures that it gave, too."""
        run = measured.run
        self.faults += [f"{name}: {fault}" for fault in run.faults]
        if not run.faults:
            self.figures.update(figures or {})
        if run.generator_was_the_limit:
            self.generator_was_the_limit.append(name)
        self.generator_share = max(self.generator_share, run.generator_share)
        ratio = measured.cpu_seconds / max(run.cpu_seconds, 1e-6)
        self.server_to_generator = min(self.server_to_generator, ratio)
        self.details[name] = {
            "seconds": run.seconds,
            "sent": run.sent,
            "received": run.received,
            "confirmed": run.confirmations,
            "server_cpu_seconds": measured.cpu_by_part,
            "generator_cpu_seconds": run.cpu_seconds,
            "generator_share_of_a_core": run.generator_share,
            "server_to_generator_cpu": ratio,
            "latency_us": _short(run.latency),
            "confirmation_us": _short(run.confirmation),
            "late_sends_us": _short(run.lateness),
        }


@dataclass(frozen=True)
class Measured:
    """A run of the generator, and what the server used for it.

    Args:
        run: What came.
        cpu_by_part: CPU seconds of each part of the server.
        cpu_seconds: Of all parts that are the server's own.
    """

    run: Run
    cpu_by_part: Mapping[str, float]
    cpu_seconds: float


@dataclass(frozen=True)
class Scenario:
    """Work that several servers can do.

    Args:
        name: As on the command line.
        title: What is done, in a line.
        figures: What comes out of it, the headline first.
        peers: Names of the servers that can do it; the first is what the others are compared with.
        measure: Does it once, on a server that runs: a subject of the kind that `peers` name.
        identities: How many different credentials clients have.
    """

    name: str
    title: str
    figures: Callable[[Size], Sequence[Figure]]
    peers: Sequence[str]
    measure: Callable[[Any, Size], Outcome]
    identities: Callable[[Size], int] = lambda size: 10


def fitting(wanted: Sequence[int]) -> Sequence[int]:
    """Return numbers of connections, without those that this machine's limit of open files does not allow."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return [count for count in wanted if limit == resource.RLIM_INFINITY or count + _SPARE_FILES <= limit]


def measure_run(peer: Peer, generator: Generator, publishers: Sequence[Publisher]) -> Measured:
    """Run once and count the server's CPU in that time."""
    before = {name: cpu_seconds(pids) for name, pids in by_part(peer.parts()).items()}
    run = generator.run(publishers, deadline_s=RUN_DEADLINE_S)
    used = {name: cpu_seconds(pids) - before.get(name, 0.0) for name, pids in by_part(peer.parts()).items()}
    return Measured(run, used, sum(seconds for name, seconds in used.items() if name not in peer.apart))


def measure_at_rest(peer: Peer, size: Size) -> float:
    """Return the CPU seconds a second that the server takes while nobody sends it anything.

    Args:
        peer: The server.
        size: How long to look: twice as long as a measurement, as there is little to see.
    """
    before, began_s = _own_cpu_seconds(peer), time.monotonic()
    time.sleep(2 * size.seconds)
    return (_own_cpu_seconds(peer) - before) / (time.monotonic() - began_s)


def _own_cpu_seconds(peer: Peer) -> float:
    return sum(cpu_seconds(pids) for name, pids in by_part(peer.parts()).items() if name not in peer.apart)


def measure_for(peer: Peer, generator: Generator, publishers: Sequence[Publisher], size: Size) -> Measured:
    """Run warm, then as many messages as fit into the size's time.

    Args:
        peer: The server.
        generator: With its clients open.
        publishers: With a window; their `count` is chosen here.
        size: How long.
    """

    def counted(count: int) -> list[Publisher]:
        return [replace(publisher, count=count) for publisher in publishers]

    first = generator.run(counted(_FIRST_MESSAGES), deadline_s=RUN_DEADLINE_S)
    each_s = max(first.seconds / _FIRST_MESSAGES, 1e-5)
    warm = generator.run(
        counted(max(_FEWEST_MESSAGES, int(_WARM_UP * size.seconds / each_s))), deadline_s=RUN_DEADLINE_S
    )
    each_s = max(warm.seconds / max(warm.sent / len(publishers), 1), 1e-6)
    measured = measure_run(peer, generator, counted(max(_FEWEST_MESSAGES, int(size.seconds / each_s))))
    faults = (*first.faults, *warm.faults, *measured.run.faults)
    return replace(measured, run=replace(measured.run, faults=faults))


def _short(times: object) -> dict[str, object]:
    """Return a histogram without its buckets."""
    return {name: value for name, value in vars(times).items() if name != "buckets"}

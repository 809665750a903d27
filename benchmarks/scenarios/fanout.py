"""One publisher, many members: what a delivery costs, one message at a time and with sixteen under way."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, measure_for
from benchmarks.scenarios.rooms_of_members import fill

_WINDOWS: Final = (1, 16)
_MEMBERS: Final = (1_000, 10_000)
_FEW_MEMBERS: Final = (200,)
# Files that a server may need besides its clients.
_SPARE_FILES: Final = 200


def members(size: Size) -> Sequence[int]:
    """Return how many members there are, leaving out what this machine's limit of open files does not allow."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _FEW_MEMBERS if size.small else _MEMBERS
    return [count for count in wanted if limit == resource.RLIM_INFINITY or count + _SPARE_FILES <= limit]


def _figures(size: Size) -> Sequence[Figure]:
    return [
        Figure(f"deliveries_per_cpu_s_{count}_w{window}", f"1 to {count:,}, {window} in flight", "deliveries / CPU s")
        for count in members(size)
        for window in _WINDOWS
    ]


def _measure(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    for count in members(size):
        rooms = fill(peer, 1, count)
        with Generator() as generator:
            generator.open(rooms.clients)
            for window in _WINDOWS:
                name = f"{count}_w{window}"
                publishers = [replace(rooms.publishers[0], window=window)]
                measured = measure_for(peer, generator, publishers, size)
                outcome.take(name, measured)
                figure = measured.run.received / max(measured.cpu_seconds, 1e-2)
                outcome.figures[f"deliveries_per_cpu_s_{name}"] = figure
    return outcome


SCENARIO: Final = Scenario(
    name="fanout",
    title="one publisher, many members of one channel, 200-byte messages",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
)

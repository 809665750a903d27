"""One publisher, many members: what a delivery costs, one message at a time and with sixteen under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, fitting, measure_for
from benchmarks.scenarios.rooms_of_members import fill

_WINDOWS: Final = (1, 16)
_MEMBERS: Final = (1, 10, 100, 1_000, 10_000)
_FEW_MEMBERS: Final = (1, 200)
# From so many members on, a measurement takes its full time.
_MANY: Final = 1_000
_SHORTER: Final = 0.4


def _members(size: Size) -> Sequence[int]:
    return fitting(_FEW_MEMBERS if size.small else _MEMBERS)


def _figures(size: Size) -> Sequence[Figure]:
    return [
        Figure(f"deliveries_per_cpu_s_{count}_w{window}", f"1 to {count:,}, {window} in flight", "deliveries / CPU s")
        for count in _members(size)
        for window in _WINDOWS
    ]


def _measure(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    for group, count in enumerate(_members(size)):
        rooms = fill(peer, 1, count, group)
        time = size if count >= _MANY else replace(size, seconds=size.seconds * _SHORTER)
        with Generator() as generator:
            generator.open(rooms.clients)
            for window in _WINDOWS:
                name = f"{count}_w{window}"
                publishers = [replace(rooms.publishers[0], window=window)]
                measured = measure_for(peer, generator, publishers, time)
                figure = measured.run.received / max(measured.cpu_seconds, 1e-2)
                outcome.take(name, measured, {f"deliveries_per_cpu_s_{name}": figure})
    return outcome


SCENARIO: Final = Scenario(
    name="fanout",
    title="one publisher, many members of one channel, 200-byte messages",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
)

"""Many rooms of ten members, each room with one message under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, measure_for
from benchmarks.scenarios.rooms_of_members import fill

_MEMBERS: Final = 10
_ROOMS: Final = 100
_FEW_ROOMS: Final = 10


def _figures(size: Size) -> Sequence[Figure]:
    return [
        Figure("deliveries_per_cpu_s", f"{_rooms(size)} rooms of {_MEMBERS}", "deliveries / CPU s"),
        Figure("deliveries_per_s", "the same, by the clock", "deliveries / s"),
    ]


def _rooms(size: Size) -> int:
    return _FEW_ROOMS if size.small else _ROOMS


def _measure(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    rooms = fill(peer, _rooms(size), _MEMBERS)
    with Generator() as generator:
        generator.open(rooms.clients)
        measured = measure_for(peer, generator, rooms.publishers, size)
    figures = {
        "deliveries_per_cpu_s": measured.run.received / max(measured.cpu_seconds, 1e-2),
        "deliveries_per_s": measured.run.received / measured.run.seconds,
    }
    outcome.take("rooms", measured, figures)
    return outcome


SCENARIO: Final = Scenario(
    name="rooms",
    title="many rooms of ten members, one message under way in each; Tidewire confirms and stores every one",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
)

"""Confirmed publishing: every message is stored and confirmed, and goes to nobody but a publisher that is a member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, measure_for
from benchmarks.scenarios.rooms_of_members import fill

_PUBLISHERS: Final = 64
_FEW_PUBLISHERS: Final = 4
_WINDOW: Final = 8


def _figures(size: Size) -> Sequence[Figure]:
    publishers = _publishers(size)
    return [
        Figure("confirmed_per_cpu_s", f"{publishers} publishers, {_WINDOW} in flight each", "messages / CPU s"),
        Figure("confirmed_per_s", "the same, by the clock", "messages / s"),
        Figure("confirmation_p99_ms", "the same: p99 of a confirmation", "ms", more_is_better=False),
    ]


def _publishers(size: Size) -> int:
    return _FEW_PUBLISHERS if size.small else _PUBLISHERS


def _measure(peer: Peer, size: Size) -> Outcome:
    outcome = Outcome()
    rooms = fill(peer, _publishers(size), 1 if peer.publisher_is_member else 0)
    publishers = [replace(publisher, window=_WINDOW) for publisher in rooms.publishers]
    with Generator() as generator:
        generator.open(rooms.clients)
        measured = measure_for(peer, generator, publishers, size)
    figures = {
        "confirmed_per_cpu_s": measured.run.confirmations / max(measured.cpu_seconds, 1e-2),
        "confirmed_per_s": measured.run.confirmations / measured.run.seconds,
        "confirmation_p99_ms": measured.run.confirmation.p99 / 1000,
    }
    outcome.take("publish", measured, figures)
    return outcome


SCENARIO: Final = Scenario(
    name="publish",
    title="stored and confirmed messages; servers that store nothing are left out",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats-jetstream"),
    measure=_measure,
)

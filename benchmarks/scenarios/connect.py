"""Connecting: what a connection costs until it may send, and how many a second there can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size
from benchmarks.usage import by_part, cpu_seconds

_CONNECTIONS: Final = 4_000
_FEW_CONNECTIONS: Final = 100
_KEYS: Final = 500
_FEW_KEYS: Final = 10
_PARALLEL: Final = 64
_WARM_UP: Final = 50


def _figures(size: Size) -> Sequence[Figure]:
    return [
        Figure("connects_per_cpu_s", f"{_connections(size):,} connections, {_PARALLEL} at once", "connects / CPU s"),
        Figure("connects_per_s", "the same, by the clock", "connects / s"),
        Figure("p99_ms", "the same: p99 of a connect", "ms", more_is_better=False),
    ]


def _connections(size: Size) -> int:
    return _FEW_CONNECTIONS if size.small else _CONNECTIONS


def _measure(peer: Peer, size: Size) -> Outcome:
    with Generator() as warming:
        # With few of the keys: most of those that are measured are new to the server.
        warming.open([peer.subscriber(-1 - number, []) for number in range(_WARM_UP)], parallel=_PARALLEL)
    count = _connections(size)
    clients = [peer.subscriber(number, []) for number in range(count)]
    with Generator() as generator:
        before = sum(cpu_seconds(pids) for pids in by_part(peer.parts()).values())
        opening = generator.open(clients, parallel=_PARALLEL)
        used_s = sum(cpu_seconds(pids) for pids in by_part(peer.parts()).values()) - before
    return Outcome(
        figures={
            "connects_per_cpu_s": count / max(used_s, 1e-2),
            "connects_per_s": count / opening.seconds,
            "p99_ms": opening.time.p99 / 1000,
        },
        details={"server_cpu_seconds": used_s, "generator_cpu_seconds": opening.cpu_seconds},
    )


SCENARIO: Final = Scenario(
    name="connect",
    title="connect until the handshake is done; with Tidewire authenticated, each key used by eight connections",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
    identities=lambda size: _FEW_KEYS if size.small else _KEYS,
)

"""Memory of a connection that is silent, and of one that is member of five channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.load.generator import Generator
from benchmarks.load.plan import Client
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import Figure, Outcome, Scenario, Size, fitting
from benchmarks.usage import by_part, memory_kb, resident_kb

_IDLE: Final = 10_000
_JOINED: Final = 4_000
_FEW_CONNECTIONS: Final = 200
_CHANNELS: Final = 5
# Members that share the same five channels.
_GROUP: Final = 10
_WARM_UP: Final = 50
_EDGES: Final = ("edge", "edge-2", "server")


def _figures(size: Size) -> Sequence[Figure]:
    idle, joined = _connections(size)
    each, each_joined = f"{idle:,} connections", f"{joined:,} more"
    return [
        Figure("edge_idle_kb", f"{each}, silent: the process that holds them", "KB", more_is_better=False),
        Figure("idle_kb", f"{each}, silent: all processes", "KB", more_is_better=False),
        Figure(
            "edge_joined_kb", f"{each_joined} in {_CHANNELS} channels: the same process", "KB", more_is_better=False
        ),
        Figure("joined_kb", f"{each_joined} in {_CHANNELS} channels: all processes", "KB", more_is_better=False),
    ]


def _connections(size: Size) -> tuple[int, int]:
    """Return how many connections are silent, and how many more join channels."""
    if size.small:
        return _FEW_CONNECTIONS, _FEW_CONNECTIONS
    return (_IDLE if fitting([_IDLE + _JOINED]) else _JOINED), _JOINED


def _measure(peer: Peer, size: Size) -> Outcome:
    idle_count, joined_count = _connections(size)
    both = idle_count + joined_count
    idle = [peer.subscriber(number, []) for number in range(idle_count)]
    joined = [peer.subscriber(idle_count + number, _channels(number // _GROUP)) for number in range(joined_count)]
    with Generator() as warming:
        warming.open([peer.subscriber(both + number, _channels(number)) for number in range(_WARM_UP)])
    with Generator() as first, Generator() as second:
        empty = _memory(peer)
        with_idle = _after(first, idle, peer)
        with_joined = _after(second, joined, peer)
    idle_kb = {part: (with_idle[part] - empty[part]) / idle_count for part in empty}
    joined_kb = {part: (with_joined[part] - with_idle[part]) / joined_count for part in empty}
    return Outcome(
        figures={
            "edge_idle_kb": sum(idle_kb.get(part, 0.0) for part in _EDGES),
            "idle_kb": sum(idle_kb.values()),
            "edge_joined_kb": sum(joined_kb.get(part, 0.0) for part in _EDGES),
            "joined_kb": sum(joined_kb.values()),
        },
        details={
            "idle_kb_by_part": idle_kb,
            "joined_kb_by_part": joined_kb,
            "empty_kb": empty,
            "resident_kb_at_the_end": {part: resident_kb(pids) for part, pids in by_part(peer.parts()).items()},
        },
    )


def _channels(group: int) -> list[str]:
    return [f"room-{group}-{channel}" for channel in range(_CHANNELS)]


def _after(generator: Generator, clients: Sequence[Client], peer: Peer) -> Mapping[str, float]:
    generator.open(clients)
    return _memory(peer)


def _memory(peer: Peer) -> dict[str, float]:
    return {part: memory_kb(pids) for part, pids in by_part(peer.parts()).items()}


SCENARIO: Final = Scenario(
    name="memory",
    title="proportional memory (PSS) for each connection",
    figures=_figures,
    peers=("tidewire", "tidewire-2-edges-redis", "nats", "nchan", "mosquitto", "socketio-node", "python-socketio"),
    measure=_measure,
)

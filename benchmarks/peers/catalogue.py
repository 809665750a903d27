"""All that can be measured, by name: servers, and stores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.peers.base import Peer, Subject
from benchmarks.peers.mosquitto import Mosquitto
from benchmarks.peers.nats import Nats, NatsJetStream
from benchmarks.peers.nchan import Nchan
from benchmarks.peers.socketio import PythonSocketIo, SocketIoNode
from benchmarks.peers.tidewire import Tidewire, TidewireTwoEdges
from benchmarks.stores.redis import RedisBenchmark, RedisStore
from benchmarks.stores.sqlite import BareSqlite, SqliteStore

PEERS: Final[Mapping[str, type[Peer]]] = {
    peer.name: peer
    for peer in (Tidewire, TidewireTwoEdges, Nats, NatsJetStream, Nchan, Mosquitto, SocketIoNode, PythonSocketIo)
}
SUBJECTS: Final[Mapping[str, type[Subject]]] = {
    **PEERS,
    **{store.name: store for store in (SqliteStore, BareSqlite, RedisStore, RedisBenchmark)},
}


def chosen(names: Sequence[str]) -> list[type[Subject]]:
    """Return servers and stores by name.

    Raises:
        BenchmarkError: a name is unknown.
    """
    unknown = [name for name in names if name not in SUBJECTS]
    if unknown:
        raise BenchmarkError(f"no such server: {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    return [SUBJECTS[name] for name in names]

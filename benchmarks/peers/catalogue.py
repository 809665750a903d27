"""All servers that can be measured, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.peers.base import Peer
from benchmarks.peers.mosquitto import Mosquitto
from benchmarks.peers.nats import Nats, NatsJetStream
from benchmarks.peers.nchan import Nchan
from benchmarks.peers.socketio import PythonSocketIo, SocketIoNode
from benchmarks.peers.tidewire import Tidewire, TidewireTwoEdges

PEERS: Final[Mapping[str, type[Peer]]] = {
    peer.name: peer
    for peer in (Tidewire, TidewireTwoEdges, Nats, NatsJetStream, Nchan, Mosquitto, SocketIoNode, PythonSocketIo)
}


def chosen(names: Sequence[str]) -> list[type[Peer]]:
    """Return servers by name.

    Raises:
        BenchmarkError: a name is unknown.
    """
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise BenchmarkError(f"no such server: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return [PEERS[name] for name in names]

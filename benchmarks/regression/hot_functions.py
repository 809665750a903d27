"""The hot functions of the message path, the real ones, each ready to be called again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, cast

from tidewire.session.v1 import edge_stream_pb2 as pb

from benchmarks.regression.known_permission import PERMISSION
from session_service.adapters import grpc_codec
from session_service.core.hub import Hub
from session_service.core.model import Position as StoredPosition
from session_service.core.model import StoredMessage as StoredInService
from session_service.core.ring import RingBudget
from session_service.core.sessions import SessionFacts
from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verdict_cache import VerdictCache
from tidewire_client.verifier import KeyVerifier
from ws_edge.adapters.keys_client import VerifiedKeys
from ws_edge.adapters.session_events import message_of
from ws_edge.core import client_frames, server_frames
from ws_edge.core.connection import Connection
from ws_edge.core.fanout import Fanout
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.outbox import Outbox, OutboxFlusher
from ws_edge.core.ports import Position, SessionLink, StoredMessage
from ws_edge.core.stats import EdgeStats
from ws_edge.core.topics import TopicTable
from ws_edge.core.websocket_frame import text_frame

MEMBERS: Final = 100
BATCH: Final = 64
_TOPIC: Final = "bench/main/room"
_EPOCH: Final = "e1"
_NOW_MS: Final = 1_800_000_000_000
_DATA: Final = b'{"content":"' + b"x" * 200 + b'"}'
_FRAME: Final = b'{"type":"chat_message","id":"m-1","channel":"room","data":' + _DATA + b"}"
_STORED: Final = StoredMessage("chat_message", "m-1", "alice", _EPOCH, 1, _NOW_MS, _DATA)


class _Clock:
    def now_ms(self) -> int:
        return _NOW_MS

    def monotonic_s(self) -> float:
        return 0.0


class _Sink:
    """A peer that takes everything at once."""

    unsent = 0

    def write(self, data: bytes, bound: int) -> int:
        return 0

    def close(self, last: bytes, code: int, reason: str) -> None:
        pass


class _Outlet:
    def push(self, event: bytes) -> None:
        pass


def hot_functions(verifier: KeyVerifier) -> Mapping[str, Callable[[], object]]:
    """Return all of them by name.

    Args:
        verifier: Knows the permission `PERMISSION`.
    """
    return {
        "edge: decode a client's message frame": decode_client_frame(),
        "edge: build the frame of a delivery": build_server_frame(),
        f"edge: deliver to {MEMBERS} members and flush": fan_out(),
        "edge: permission that is known": permission_hit(verifier),
        "client: verdict that is cached": verdict_cache_hit(),
        "session: accept a stored message in its channel": accept_in_channel(),
        f"session: encode {BATCH} deliveries": encode_deliveries(),
        f"edge: decode {BATCH} deliveries": decode_deliveries(),
    }


def decode_client_frame() -> Callable[[], object]:
    """Envelope and data of a message frame."""
    decoder = client_frames.DataDecoder(client_frames.MessageData)

    def decode() -> object:
        return decoder.decode(client_frames.decode_envelope(_FRAME))

    return decode


def build_server_frame() -> Callable[[], object]:
    """The WebSocket frame of a delivery."""
    return lambda: text_frame(server_frames.message(_STORED, "room"))


def fan_out() -> Callable[[], object]:
    """A delivery to the outboxes of 100 members, and their flush."""
    stats = EdgeStats()
    flusher = OutboxFlusher(lambda callback: None, lambda number: None, stats)
    topics, clock = TopicTable(), _Clock()
    for number in range(MEMBERS):
        member = Connection(number, f"client-{number}", debug=False, limits=ConnectionLimits(), clock=clock)
        member.outbox = Outbox(number, _Sink(), 1 << 20, flusher)
        topics.add(_TOPIC, "room", Position(_EPOCH, 0), member, presence=False)
    # Without a gap nothing is asked of the link.
    fanout = Fanout(topics, cast(SessionLink, None), flusher, stats)
    offsets = count(1)

    def deliver() -> None:
        fanout.deliver(_TOPIC, StoredMessage("chat_message", "m", "alice", _EPOCH, next(offsets), _NOW_MS, _DATA))
        flusher.flush()

    return deliver


def permission_hit(verifier: KeyVerifier) -> Callable[[], object]:
    """A permission that the edge knows, by its own way to the cache.

    Args:
        verifier: Knows it: see `known_permission`.
    """
    keys = VerifiedKeys(verifier)
    if keys.check_cached(*PERMISSION) is None:
        raise AssertionError("the permission is not known")
    return lambda: keys.check_cached(*PERMISSION)


def verdict_cache_hit() -> Callable[[], object]:
    """A verdict out of a cache of a thousand."""
    cache, now_s = VerdictCache(10_000), time.time()
    for number in range(1_000):
        question = (f"k{number}", "publish", "room", "bench", "main")
        cache.put(question, Verdict(VerdictCode.VALID, f"k{number}", cache_ttl_s=60.0))
    asked = ("k500", "publish", "room", "bench", "main")
    if cache.get(asked, now_s) is None:
        raise AssertionError("the cache does not hold what was put into it")
    return lambda: cache.get(asked, now_s)


def accept_in_channel() -> Callable[[], object]:
    """A stored message into the channel's ring, and the edges that it goes to."""
    hub = Hub(RingBudget(1_000, 1 << 20, 1 << 24))
    edge = hub.attach("edge", _Outlet())
    channel = hub.activate(_TOPIC, StoredPosition(_EPOCH, 0))
    for number in range(10):
        who = SessionFacts(f"s{number}", f"client-{number}", "bench", "main", "chat", "k1")
        session, _ = hub.open_session(edge, number, who)
        hub.join(session, channel, watch=False, first=0, now_ms=_NOW_MS)
    offsets = count(1)
    return lambda: hub.deliver(_stored_in_service(next(offsets)))


def encode_deliveries() -> Callable[[], object]:
    """64 deliveries as they go onto the edge stream."""
    batch = [_stored_in_service(offset) for offset in range(1, BATCH + 1)]
    return lambda: b"".join([grpc_codec.framed_delivery(message) for message in batch])


def decode_deliveries() -> Callable[[], object]:
    """The same 64 as the edge reads them."""
    body = encode_deliveries()()
    if not isinstance(body, bytes):
        raise AssertionError("deliveries are encoded as bytes")

    def decode() -> list[StoredMessage]:
        return [message_of(event.delivery) for event in pb.AttachResponse.FromString(body).events]

    return decode


def _stored_in_service(offset: int) -> StoredInService:
    return StoredInService(_TOPIC, "chat_message", "m-1", "alice", _EPOCH, offset, _NOW_MS, _DATA)

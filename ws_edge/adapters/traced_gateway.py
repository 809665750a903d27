"""The gateway with traces: a sampled frame is worked on under a span, which ends with the last answer that it waits for.

It stands in for `Gateway` only where tracing is on; otherwise nothing of this is on a message's way. Of frames that are not
sampled it looks at one number.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from service_runtime.tracing.traceparent import TraceParent
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Attribute, Kind, Work, current_work
from ws_edge.core.client_frames import decode_envelope
from ws_edge.core.connection import Connection
from ws_edge.core.errors import FrameError
from ws_edge.core.gateway import Gateway

OTHER_TYPE: Final = "other"
"""Stands for types of frames that are none of ours: a client chose their name."""


def make_gateway(tracing: Tracing | None, **parts: Any) -> Gateway:
    """Return a gateway, with traces if there is what traces."""
    return Gateway(**parts) if tracing is None else TracedGateway(tracing, **parts)


class TracedGateway(Gateway):
    """See above.

    Args:
        tracing: What traces.
        parts: Those of a `Gateway`.
    """

    def __init__(self, tracing: Tracing, **parts: Any) -> None:
        super().__init__(**parts)
        self._tracing = tracing
        self._frame_types = self._handlers.types | {"connect", "disconnect"}
        # Connections that belong to a trace of their own, by number.
        self._parents: dict[int, TraceParent] = {}
        # Frames that were taken in when the next one is traced.
        self._next_sampled = tracing.sampler.steps() - 1

    def adopt(self, connection: Connection, parent: TraceParent) -> None:
        """Have all frames of a connection belong to the trace that its handshake named, sampled as that is."""
        if not connection.closed:
            self._parents[connection.number] = parent

    def receive(self, connection: Connection, text: bytes) -> Awaitable[None] | None:
        """See `Gateway.receive`."""
        if self.stats.frames_in < self._next_sampled and not self._parents:
            return Gateway.receive(self, connection, text)
        parent = self._parents.get(connection.number)
        if not self._is_sampled(parent):
            return Gateway.receive(self, connection, text)
        work = self._tracing.begin(
            "edge.frame", Kind.SERVER, parent, frame_type=self._type_of(text), **_ids(connection)
        )
        with work.active():
            pending = Gateway.receive(self, connection, text)
        if pending is not None:
            return _worked_on(work, pending)
        work.done()
        return None

    def refuse(self, connection: Connection, problem: FrameError, frame_id: str | None) -> None:
        """See `Gateway.refuse`; what was worked on has failed."""
        work = current_work()
        if work is not None:
            work.error = problem.error_type.value
        super().refuse(connection, problem, frame_id)

    def _forget(self, connection: Connection) -> None:
        self._parents.pop(connection.number, None)
        super()._forget(connection)

    def _is_sampled(self, parent: TraceParent | None) -> bool:
        sampler = self._tracing.sampler
        if parent is not None:
            return sampler.wants(parent)
        if self.stats.frames_in < self._next_sampled:
            return False
        self._next_sampled = self.stats.frames_in + sampler.steps()
        return sampler.has_room()

    def _type_of(self, text: bytes) -> str:
        try:
            frame_type = decode_envelope(text).type
        except FrameError:
            return OTHER_TYPE
        return frame_type if frame_type in self._frame_types else OTHER_TYPE


async def _worked_on(work: Work, pending: Awaitable[None]) -> None:
    try:
        with work.active():
            await pending
    finally:
        work.done()


def _ids(connection: Connection) -> dict[str, Attribute]:
    """Return what a connection is known by."""
    facts = connection.facts
    if facts is None:
        return {"connection": connection.number}
    return {"connection": connection.number, "session": facts.session_id, "key_id": facts.key_id}

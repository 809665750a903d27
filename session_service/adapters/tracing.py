"""Traces in the session service: a command that carries a context is carried out under a span, from its arrival to its answer;
so is its way into the engine, and what the engine delivers of it carries the context on.

All of this stands in for what it extends only where tracing is on; otherwise nothing of it is on a message's way. Of a command
that is not traced it looks at one field.
"""

from __future__ import annotations

from collections import OrderedDict
from contextvars import Context
from typing import Any, Final

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.tracing.traceparent import read_traceparent
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Attribute, Kind, Work, current_work
from session_service.adapters import grpc_codec as codec
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.publishing import Appender
from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Stored, StoredMessage
from session_service.core.ports import OnStored

MAX_EXPECTED: Final = 1024
"""Messages that were stored, and are not yet delivered, at most: of more, the oldest are delivered without their context."""


class TracedDeliveries:
    """Knows which messages that come from the engine belong to which work.

    Args:
        tracing: What traces.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._expected: OrderedDict[tuple[str, str], Work] = OrderedDict()

    def expect(self, message: NewMessage, work: Work) -> None:
        """Have a message that is stored now belong to work, when it comes from the engine."""
        self._expected[message.topic, message.id] = work
        if len(self._expected) > MAX_EXPECTED:
            self._expected.popitem(last=False)

    def framed(self, message: StoredMessage) -> bytes:
        """Return what edges are sent of a message."""
        work = self._expected.pop((message.topic, message.id), None) if self._expected else None
        if work is None:
            return codec.framed_delivery(message)
        span = work.child("session.deliver", Kind.PRODUCER, epoch=message.epoch, offset=message.offset)
        try:
            return codec.framed_delivery(message, str(span.parent))
        finally:
            span.end()


class TracedAppends:
    """Implements `publishing.Appender`: a message of sampled work is stored under a span.

    Args:
        engine: Stores.
        deliveries: Told what to expect.
        name: Of the engine, e.g. `sqlite`.
    """

    def __init__(self, engine: Appender, deliveries: TracedDeliveries, name: str) -> None:
        self._engine = engine
        self._deliveries = deliveries
        self._name = name

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message."""
        work = current_work()
        if work is None:
            self._engine.append(message, on_stored)
            return
        span = work.child("engine.append", Kind.CLIENT, engine=self._name)
        work.hold()
        self._deliveries.expect(message, work)

        def stored(result: Stored | SessionError) -> None:
            if isinstance(result, Stored):
                span.note(epoch=result.epoch, offset=result.offset, duplicate=result.duplicate)
                span.end()
            else:
                span.end(type(result).__name__)
            try:
                with work.active():
                    on_stored(result)
            finally:
                work.done()

        # What the engine begins here for all (timers, batches) does not belong to this work.
        Context().run(self._engine.append, message, stored)


class TracedReplies(EdgeReplies):
    """Ends the work on a command when it is answered.

    Args:
        arguments: Those of `EdgeReplies`.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: dict[int, Work] = {}

    def begin(self, ref: int, work: Work) -> None:
        """Have work end with the answer to a command."""
        self._open[ref] = work

    def tell(self, event: pb.Event) -> None:
        """See `EdgeReplies.tell`."""
        super().tell(event)
        if self._open:
            self._answered(event.ref, "failed" if event.HasField("failed") else "")

    def published(self, ref: int, session: int, message: NewMessage, stored: Stored) -> None:
        """See `EdgeReplies.published`."""
        super().published(ref, session, message, stored)
        if self._open:
            self._answered(ref, "")

    def close(self) -> None:
        """End all work that was not answered."""
        for ref in list(self._open):
            self._answered(ref, "stream ended")

    def _answered(self, ref: int, error: str) -> None:
        work = self._open.pop(ref, None)
        if work is not None:
            work.error = error
            work.done()


class TracedEdgeCommands(EdgeCommands):
    """Carries out commands that carry a context under spans.

    Args:
        tracing: What traces.
        replies: Where answers go.
        parts: Further ones of `EdgeCommands`.
    """

    def __init__(self, tracing: Tracing, replies: TracedReplies, **parts: Any) -> None:
        super().__init__(replies=replies, **parts)
        self._tracing = tracing
        self._traced_replies = replies

    def execute(self, command: pb.Command) -> None:
        """See `EdgeCommands.execute`."""
        parent = read_traceparent(command.traceparent) if command.traceparent else None
        if parent is None:
            EdgeCommands.execute(self, command)
            return
        command.ClearField("traceparent")  # it may come here again, from behind a join
        kind = command.WhichOneof("command") or ""
        ids: dict[str, Attribute] = {"edge": self._edge.edge_id, "connection": command.session}
        work = self._tracing.begin(f"session.{kind}", Kind.SERVER, parent, **ids)
        if command.ref:
            work.hold()
            self._traced_replies.begin(command.ref, work)
        # Only what it publishes is asked for under it: what other commands begin in the engine is for all.
        if kind == "publish":
            with work.active():
                EdgeCommands.execute(self, command)
        else:
            EdgeCommands.execute(self, command)
        work.done()

    def close(self) -> None:
        """See `EdgeCommands.close`."""
        super().close()
        self._traced_replies.close()

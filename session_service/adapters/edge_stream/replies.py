"""What one edge is told: answers, notices and failures, each encoded into its outbox."""

from __future__ import annotations

from typing import Any

from tidewire.session.v1 import edge_stream_pb2 as pb

from session_service.adapters import grpc_codec as codec
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.grpc_errors import command_failed
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Stored


class EdgeReplies:
    """Writes to one edge; never waits.

    Args:
        outbox: Where events go.
        metrics: Counters.
    """

    def __init__(self, outbox: EdgeOutbox, metrics: StreamMetrics) -> None:
        self._outbox = outbox
        self._metrics = metrics

    @property
    def closed(self) -> bool:
        """The stream is over."""
        return self._outbox.closed

    def tell(self, event: pb.Event) -> None:
        """Push an event, whether or not its command wanted an answer."""
        self._outbox.push(codec.framed(event))

    def answer(self, ref: int, session: int, **event: Any) -> None:
        """Push the answer to a command; ref 0: none is wanted."""
        if ref:
            self.tell(pb.Event(ref=ref, session=session, **event))

    def published(self, ref: int, session: int, message: NewMessage, stored: Stored) -> None:
        """Push the answer to a publish; ref 0: none is wanted."""
        if ref:
            self._outbox.push(codec.framed_published(ref, session, message.topic, message.id, stored))

    def fail(self, ref: int, session: int, error: SessionError) -> None:
        """Say that a command was not done."""
        self.count_failure()
        self.tell(pb.Event(ref=ref, session=session, failed=command_failed(error)))

    def count_failure(self) -> None:
        """Count a failure that is not told, because it is made good later."""
        self._metrics.failed.inc()

    async def drained(self) -> None:
        """Wait until everything was written."""
        await self._outbox.drained()

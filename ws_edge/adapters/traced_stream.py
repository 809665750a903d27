"""The edge stream with traces: commands of sampled work carry its context, and so do the deliveries that come of them.

It stands in for what it wraps only where tracing is on.
"""

from __future__ import annotations

from typing import Any

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.tracing.traceparent import read_traceparent
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Attribute, Kind, current_work
from ws_edge.adapters.grpc_session_stream import SessionStream
from ws_edge.adapters.session_commands import CommandSink
from ws_edge.core.ports import Answer, Failed, OnAnswer


def make_stream(tracing: Tracing | None, *arguments: Any, **more: Any) -> SessionStream:
    """Return a stream, with traces if there is what traces."""
    return SessionStream(*arguments, **more) if tracing is None else TracedSessionStream(tracing, *arguments, **more)


class TracedCommands:
    """Implements `session_commands.CommandSink`: makes a span of each command that sampled work asks.

    Args:
        sink: Where commands go.
    """

    def __init__(self, sink: CommandSink) -> None:
        self._sink = sink
        self.close_session = sink.close_session

    def ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        """Take a command that wants an answer; the work that asked goes on until that has come."""
        work = current_work()
        if work is None:
            self._sink.ask(command, on_answer)
            return
        kind = command.WhichOneof("command") or ""
        span = work.child("edge.command", Kind.CLIENT, command=kind, connection=command.session)
        command.traceparent = str(span.parent)
        work.hold()

        def answered(answer: Answer) -> None:
            span.end(answer.kind.value if isinstance(answer, Failed) else "")
            try:
                with work.active():
                    on_answer(answer)
            finally:
                work.done()

        self._sink.ask(command, answered)

    def tell(self, command: pb.Command) -> None:
        """Take a command that wants none."""
        work = current_work()
        if work is not None:
            command.traceparent = str(work.span.parent)
        self._sink.tell(command)


class TracedSessionStream(SessionStream):
    """The stream; a delivery of a sampled message is put into outboxes under a span.

    Args:
        tracing: What traces.
        arguments: Those of a `SessionStream`.
    """

    def __init__(self, tracing: Tracing, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._tracing = tracing

    def _command_sink(self) -> CommandSink:
        return TracedCommands(super()._command_sink())

    def _handle(self, event: pb.Event) -> None:
        parent = read_traceparent(event.traceparent) if event.traceparent else None
        if parent is None:
            SessionStream._handle(self, event)
            return
        place: dict[str, Attribute] = {"epoch": event.delivery.epoch, "offset": event.delivery.offset}
        work = self._tracing.begin("edge.deliver", Kind.CONSUMER, parent, **place)
        try:
            with work.active():
                SessionStream._handle(self, event)
        finally:
            work.done()

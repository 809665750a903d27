"""The life of connections: from the upgrade, through authentication and frames, to the close.

What each frame of an authenticated client does is in `frame_handlers`; what a `connect` does is in `authentication`; what a
change of a key does is in `live_keys`.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

from ws_edge.core.authentication import Authentication
from ws_edge.core.client_frames import Envelope, decode_envelope, frame_id_of
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import Connection, State
from ws_edge.core.errors import ErrorType, FrameError, defect_error
from ws_edge.core.fanout import Fanout, members_of
from ws_edge.core.frame_handlers import FrameHandlers
from ws_edge.core.handler_base import HandlerParts
from ws_edge.core.key_terms import KeyTerms
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.live_keys import LiveKeys
from ws_edge.core.names import topic_of
from ws_edge.core.outbox import Outbox, OutboxFlusher, Ticker
from ws_edge.core.ports import ByteSink, Clock, Keys, Position, SessionFacts, SessionLink
from ws_edge.core.registry import Registry
from ws_edge.core.stats import EdgeStats
from ws_edge.core.topics import TopicTable


class Gateway:
    """All connections of one edge process.

    Args:
        keys: Verification of keys.
        link: The stream to a session service.
        clock: The time.
        call_soon: The event loop's `call_soon`.
        flush_soon: The same, for the flush of all outboxes alone, so that it can be timed.
        random: Uniform in [0, 1).
        new_id: Makes an unguessable id.
        limits: What a connection may do unless its key says otherwise.
        max_connections: How many connections this edge holds at most.
        heartbeat_ms: Told to clients: the edge pings this often, in milliseconds.
        on_defect: Called with an exception that nobody foresaw, and the connection that it concerns, for the log.
        on_close: Called before the edge closes a connection, with the code and the reason, for the log.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        link: SessionLink,
        clock: Clock,
        call_soon: Ticker,
        flush_soon: Ticker,
        random: Callable[[], float],
        new_id: Callable[[], str],
        limits: ConnectionLimits,
        max_connections: int,
        heartbeat_ms: int,
        on_defect: Callable[[Connection | None, BaseException], None],
        on_close: Callable[[Connection, CloseCode, str], None],
    ) -> None:
        self.stats = EdgeStats()
        self.topics = TopicTable()
        self.registry = Registry(max_connections)
        self._flusher = OutboxFlusher(flush_soon, self._too_slow, self.stats, limits.max_replay_bytes)
        self._call_soon = call_soon
        self._told: list[Connection] = []
        self.fanout = Fanout(self.topics, link, self._flusher, self.stats)
        # Told to stop: not ready. Clients are taken in until balancers know.
        self.leaving = False
        # Lets its clients go, and takes none.
        self.draining = False
        self._link = link
        self._clock = clock
        self._random = random
        self._limits = limits
        self._on_defect = on_defect
        self._on_close = on_close
        self._numbers = itertools.count(1)
        self._handlers = FrameHandlers(
            HandlerParts(keys, link, clock, new_id, self.topics, self.registry.changes, self.refuse)
        )
        terms = KeyTerms(limits, self.registry, clock)
        self._authentication = Authentication(
            keys=keys,
            link=link,
            clock=clock,
            new_id=new_id,
            topics=self.topics,
            registry=self.registry,
            terms=terms,
            membership=self._handlers.membership,
            heartbeat_ms=heartbeat_ms,
            stats=self.stats,
            refuse=self.refuse,
        )
        self.live_keys = LiveKeys(keys, clock, self.registry, terms, self._handlers.membership, self.refuse)

    # Connections come and go.

    def accept(self, client_id: str, sink: ByteSink, *, debug: bool, client_address: str = "") -> Connection:
        """Take in a connection whose upgrade was accepted; when the edge is full or draining it is closed at once.

        Args:
            client_id: From the URL, already checked.
            sink: Where bytes for it go.
            debug: It came by the debug endpoint.
            client_address: The IP address that it came from; empty: not known.
        """
        connection = Connection(
            next(self._numbers),
            client_id,
            debug=debug,
            limits=self._limits,
            clock=self._clock,
            client_address=client_address,
        )
        connection.outbox = Outbox(connection.number, sink, self._limits.max_outbox_bytes, self._flusher)
        full = self.registry.full
        self.registry.add(connection)
        if full or self.draining:
            self.stats.connections_refused += 1
            self.close(connection, CloseCode.TRY_AGAIN_LATER, "Edge is full" if full else "Edge is draining")
            return connection
        self.stats.connections_opened += 1
        connection.send_frame(
            "connection_established", {"message": "Connection established, waiting for authentication"}
        )
        return connection

    def lost(self, connection: Connection) -> None:
        """Forget a connection whose peer is gone. Idempotent."""
        if not connection.closed:
            connection.lose()
        self._forget(connection)

    def authentication_deadline(self, connection: Connection) -> None:
        """Close a connection that has not sent `connect` in time."""
        if connection.state is State.AWAITING_KEY:
            self.refuse(connection, FrameError(ErrorType.AUTH_TIMEOUT), None)

    def close(
        self,
        connection: Connection,
        code: CloseCode,
        reason: str,
        *,
        retry_after_ms: int | None = None,
        frame_id: str | None = None,
    ) -> None:
        """Send `disconnect` and the close frame, and forget the connection, after others that are told now. Idempotent."""
        if connection.closed:
            return
        self.stats.closes[int(code)] += 1
        self._on_close(connection, code, reason)
        wait = retry_after_ms if retry_after_ms is not None else self._jittered(2000)
        connection.finish(code, reason, retry_after_ms=wait, frame_id=frame_id)
        if not self._told:
            self._call_soon(self._forget_told)
        self._told.append(connection)

    def _jittered(self, middle_ms: float) -> int:
        """Return between half and one and a half of `middle_ms`, so that clients do not come back all at once."""
        return int(middle_ms * (0.5 + self._random()))

    def _forget_told(self) -> None:
        told, self._told = self._told, []
        for connection in told:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        if not self.registry.remove(connection) or connection.facts is None:
            return
        who = connection.who
        for channel in (*connection.channels, *self._authentication.standing_channels(who)):
            self.topics.remove(topic_of(who.domain, who.workspace, channel), connection)
        connection.channels.clear()
        self._link.close(connection.number)

    def _too_slow(self, number: int) -> None:
        connection = self.registry.get(number)
        if connection is not None:
            self.stats.slow_consumers += 1
            self.close(connection, CloseCode.TRY_AGAIN_LATER, "Client reads too slowly")

    # Frames come in.

    def receive(self, connection: Connection, text: bytes) -> Awaitable[None] | None:
        """Handle one text message.

        Returns:
            None when it is done; else what must be awaited before the next message of this connection.
        """
        if connection.closed:
            return None
        self.stats.frames_in += 1
        self.stats.bytes_in += len(text)
        frame_id: str | None = None
        try:
            self._check_limits(connection, text)
            envelope = decode_envelope(text)
            frame_id = envelope.id
            pending = self._dispatch(connection, envelope)
        except FrameError as problem:
            self.refuse(connection, problem, frame_id or frame_id_of(text))
            return None
        except Exception as exc:
            self.refuse(connection, defect_error(exc), frame_id)
            return None
        return None if pending is None else self._guarded(connection, frame_id, pending)

    def receive_binary(self, connection: Connection) -> None:
        """Refuse a binary message."""
        if not connection.closed:
            problem = FrameError(
                ErrorType.INVALID_FORMAT,
                "Invalid frame: binary messages are not allowed",
                close=CloseCode.INVALID_FORMAT,
            )
            self.refuse(connection, problem, None)

    def too_big(self, connection: Connection) -> None:
        """Close a connection that sent more than a frame may hold."""
        self.close(
            connection,
            CloseCode.MESSAGE_TOO_BIG,
            f"Frame is larger than {connection.limits.max_frame_bytes} bytes",
        )

    def malformed(self, connection: Connection) -> None:
        """Refuse what is no WebSocket text at all: a bad frame, or text that is not UTF-8."""
        if not connection.closed:
            problem = FrameError(
                ErrorType.INVALID_FORMAT,
                "Invalid frame: not a valid WebSocket text message",
                close=CloseCode.INVALID_FORMAT,
            )
            self.refuse(connection, problem, None)

    def _check_limits(self, connection: Connection, text: bytes) -> None:
        wait_s = connection.guard.admit(len(text), self._clock.monotonic_s())
        if not wait_s:
            return
        self.stats.rate_limited += 1
        wait_ms = max(1, int(wait_s * 1000))
        ended = connection.guard.patience_ended
        raise FrameError(
            ErrorType.RATE_LIMITED,
            retry_after_ms=wait_ms,
            close=CloseCode.RATE_LIMIT if ended else None,
        )

    def _dispatch(self, connection: Connection, envelope: Envelope) -> Awaitable[None] | None:
        if connection.state is State.AUTHENTICATED:
            if envelope.type == "connect":
                raise FrameError(ErrorType.ALREADY_AUTHENTICATED)
            if envelope.type == "disconnect":
                self._asked_to_leave(connection, envelope)
                return None
            return self._handlers.handle(connection, envelope)
        if envelope.type == "connect":
            return self._authentication.connect(connection, envelope)
        if envelope.type == "disconnect":
            self._asked_to_leave(connection, envelope)
            return None
        raise FrameError(ErrorType.NOT_AUTHENTICATED, f"Not authenticated: send `connect` before `{envelope.type}`")

    def _asked_to_leave(self, connection: Connection, envelope: Envelope) -> None:
        self.close(connection, CloseCode.NORMAL, "Client asked to disconnect", frame_id=envelope.id)

    async def _guarded(self, connection: Connection, frame_id: str | None, pending: Awaitable[None]) -> None:
        try:
            await pending
        except FrameError as problem:
            self.refuse(connection, problem, frame_id)
        except Exception as exc:
            self.refuse(connection, defect_error(exc), frame_id)

    def refuse(self, connection: Connection, problem: FrameError, frame_id: str | None) -> None:
        """Answer a frame with an error, and close the connection if the table says so."""
        if problem.error_type is ErrorType.SERVER_ERROR:
            self._note_defect(connection, problem.__cause__ or problem)
        if connection.closed:
            return
        self.stats.errors[problem.error_type.value] += 1
        connection.send_error(problem, frame_id)
        if problem.close is not None:
            wait = problem.retry_after_ms
            self.close(
                connection,
                problem.close,
                problem.message,
                retry_after_ms=None if wait is None else wait + self._jittered(1000),
                frame_id=frame_id,
            )

    def defect(self, number: int, exc: Exception) -> None:
        """Note an exception that nobody foresaw, and end the connection that it concerns; number 0: none."""
        connection = self.registry.get(number)
        if connection is None:
            self._note_defect(None, exc)
        else:
            self.refuse(connection, defect_error(exc), None)

    def _note_defect(self, connection: Connection | None, exc: BaseException) -> None:
        self.stats.defects += 1
        self._on_defect(connection, exc)

    # The session service asks, or comes back.

    def disconnect_session(self, number: int, reason: str, *, reconnect: bool) -> None:
        """Close a connection because a back end asked for it."""
        connection = self.registry.get(number)
        if connection is not None:
            code = CloseCode.GOING_AWAY if reconnect else CloseCode.NORMAL
            self.close(connection, code, reason or "Disconnected by the server")

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        """Return every authenticated connection with the position of its inbox, to be told to a new session service."""
        found = []
        for connection in self.registry:
            if connection.state is State.AUTHENTICATED:
                who = connection.who
                topic = self.topics.get(self._authentication.inbox_topic(who))
                found.append((who, None if topic is None else topic.position))
        return found

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        """Return every topic with its position and members, to be told to a new session service."""
        return [(topic.name, topic.position, *members_of(topic)) for topic in self.topics]

    # The edge stops.

    def close_for_drain(self, connection: Connection, spread_ms: int) -> None:
        """Let a client go because this edge stops; it comes back within `spread_ms`."""
        self.stats.connections_drained += not connection.closed
        self.close(
            connection,
            CloseCode.GOING_AWAY,
            "Edge is draining",
            retry_after_ms=int(self._random() * spread_ms),
        )

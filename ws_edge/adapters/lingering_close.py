"""Ends a connection without taking back what was just written.

A socket that is closed while bytes of the peer are unread is reset by the kernel (RFC 1122 section 4.2.2.13), and with it what
the peer has not read yet: the error, `disconnect` and close frame that say why. So the edge closes its own side first, reads
what still comes without looking at it, and ends when the peer has closed its side, or after a while. Over TLS the end of its
side is the alert `close_notify` (RFC 8446 section 6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class LingeringCloses:
    """All connections that are being ended."""

    def __init__(self) -> None:
        self._told: list[tuple[asyncio.Transport, float]] = []
        self._open: set[LingeringClose] = set()
        self._none = asyncio.Event()
        self._none.set()

    def begin(self, transport: asyncio.Transport, wait_s: float) -> None:
        """End a connection; where many are let go at once, all are told why before the first of them is ended.

        Args:
            transport: All that is to be said has been written to it; its protocol ignores what may still come.
            wait_s: How long the peer may take to read it and to close, in seconds.
        """
        if not self._told:
            asyncio.get_running_loop().call_soon(self._end_told)
            self._none.clear()
        self._told.append((transport, wait_s))

    def _end_told(self) -> None:
        told, self._told = self._told, []
        for transport, wait_s in told:
            if not transport.is_closing():
                self._open.add(LingeringClose(transport, wait_s, self._done))
        self._note_none()

    def _done(self, close: LingeringClose) -> None:
        self._open.discard(close)
        self._note_none()

    def _note_none(self) -> None:
        if not self._open and not self._told:
            self._none.set()

    async def wait(self, wait_s: float) -> None:
        """Wait until all are ended, or for so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._none.wait()


class LingeringClose(asyncio.Protocol):
    """Takes a transport over from its protocol, which is told when the connection is gone.

    Args:
        transport: All that is to be said has been written to it.
        wait_s: How long the peer may take to read it and to close, in seconds.
        on_done: Told of the end.
    """

    def __init__(self, transport: asyncio.Transport, wait_s: float, on_done: Callable[[LingeringClose], None]) -> None:
        self._on_done = on_done
        self._owner = transport.get_protocol()
        self._timer = asyncio.get_running_loop().call_later(wait_s, transport.abort)
        transport.set_protocol(self)
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        else:  # TLS knows no half-closed connection: this says `close_notify`, and reads on until the peer does
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Drop what the peer sent before it knew."""

    def eof_received(self) -> bool:
        """Let the transport close itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol that the connection is gone."""
        self._timer.cancel()
        self._owner.connection_lost(exc)
        self._on_done(self)

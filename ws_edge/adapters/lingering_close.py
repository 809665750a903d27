"""Ends a connection without taking back what was just written.

A socket that is closed while bytes of the peer are unread is reset by the kernel (RFC 1122 section 4.2.2.13), and with it what
the peer has not read yet: the error, `disconnect` and close frame that say why. So the edge closes its own side first, reads
what still comes without looking at it, and ends when the peer has closed its side, or after a while. Over TLS the end of its
side is the alert `close_notify` (RFC 8446 section 6.1).
"""

from __future__ import annotations

import asyncio


class LingeringClose(asyncio.Protocol):
    """Takes a transport over from its protocol, which is told when the connection is gone.

    Args:
        transport: All that is to be said has been written to it.
        wait_s: How long the peer may take to read it and to close, in seconds.
    """

    def __init__(self, transport: asyncio.Transport, wait_s: float) -> None:
        self.done = asyncio.Event()
        self._transport = transport
        self._owner = transport.get_protocol()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait_s, transport.abort)
        transport.set_protocol(self)
        transport.resume_reading()
        # Not now: where many are let go at once, all are told why before the first of them is ended.
        loop.call_soon(self._end_own_side)

    def _end_own_side(self) -> None:
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS knows no half-closed connection: this says `close_notify`, and reads on until the peer does
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Drop what the peer sent before it knew."""

    def eof_received(self) -> bool:
        """Let the transport close itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol that the connection is gone."""
        self._timer.cancel()
        self._owner.connection_lost(exc)
        self.done.set()

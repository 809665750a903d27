"""How HTTP servers of services listen, and what they answer to what is no HTTP: that it was none, and never what it was."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import http_exceptions, web

from service_runtime.accepting import Acceptor, bound

KEEPALIVE_S: Final = 75.0
_UNREADABLE: Final = "Bad Request: what was sent cannot be read as HTTP/1.1"
_REASONS: Final = (
    (http_exceptions.LineTooLong, "Bad Request: the first line, or a header, is too long"),
    (http_exceptions.InvalidHeader, "Bad Request: a header cannot be read"),
    (http_exceptions.BadStatusLine, "Bad Request: the first line cannot be read as one of HTTP/1.1"),
    (http_exceptions.InvalidURLError, "Bad Request: the URL cannot be read"),
)


class HttpHandler(web.RequestHandler):
    """aiohttp's reader of requests; its own answer quotes the line that it cannot read, and that may hold a key.

    Args:
        server: Whose requests it reads.
        logger: Of what goes wrong.
        keepalive_s: Seconds that a connection stays open without a request.
    """

    __slots__ = ()

    def __init__(self, server: web.Server, logger: logging.Logger, keepalive_s: float = KEEPALIVE_S) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes it, and logs no requests
            logger=logger,
            keepalive_timeout=keepalive_s,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read, or what failed, and end the connection; see `web.RequestHandler`."""
        if isinstance(exc, http_exceptions.HttpProcessingError):
            message = next((words for kind, words in _REASONS if isinstance(exc, kind)), _UNREADABLE)
        return super().handle_error(request, status, exc, message)


Reader = Callable[[socket.socket, str], Awaitable[HttpHandler | None]]
"""Is given a connection and the address of its peer; returns who reads the requests; None: it is not wanted."""


class _Site(web.BaseSite):
    """As `web.TCPSite`, with readers of requests of our own.

    Args:
        runner: Of the application.
        listening: Bound and listening.
        reader: Chooses who reads.
        tls: For HTTPS; None: plain text.
    """

    __slots__ = ("_acceptors", "_reader")

    def __init__(
        self, runner: web.AppRunner, listening: list[socket.socket], reader: Reader, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._acceptors = [Acceptor(one, self._take) for one in listening]
        self._reader = reader

    @property
    def name(self) -> str:
        """For people."""
        host, port = self._acceptors[0].address
        return f"tcp://{host}:{port}"

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        for acceptor in self._acceptors:
            acceptor.start()

    async def stop(self) -> None:
        """Accept nothing more; connections that were accepted go on."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        await super().stop()

    async def _take(self, connection: socket.socket, peer: str) -> None:
        handed_over = False
        try:
            handler = await self._reader(connection, peer)
            if handler is not None:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: handler, connection, ssl=self._ssl_context
                )
                handed_over = True
        except OSError:  # the peer is gone, or speaks no TLS
            pass
        finally:
            if not handed_over:
                connection.close()


async def listen(
    runner: web.AppRunner,
    host: str,
    port: int,
    logger: logging.Logger,
    *,
    tls: ssl.SSLContext | None = None,
    keepalive_s: float = KEEPALIVE_S,
    shared: bool = False,
) -> int:
    """Listen for requests.

    Args:
        runner: Of the application, set up.
        host: On which address.
        port: Where; 0: any free port.
        logger: Of what goes wrong.
        tls: Of the port; None: plain text.
        keepalive_s: Seconds that a connection stays open without a request.
        shared: Other processes listen on the port too (SO_REUSEPORT), and the kernel spreads connections over them.

    Returns:
        The port.

    Raises:
        PortTakenError: It cannot listen there.
    """
    server = server_of(runner)

    async def reader(_connection: socket.socket, _peer: str) -> HttpHandler:
        return HttpHandler(server, logger, keepalive_s)

    return await listen_with(reader, runner, host, port, tls=tls, shared=shared)


async def listen_with(
    reader: Reader, runner: web.AppRunner, host: str, port: int, *, tls: ssl.SSLContext | None, shared: bool
) -> int:
    """Listen for connections, of each of which is decided who reads its requests; for the rest see `listen`.

    Args:
        reader: Decides, before TLS.
        runner: Of the application, set up.
        host: On which address.
        port: Where; 0: any free port.
        tls: Of the port; None: plain text.
        shared: Other processes listen on the port too.

    Returns:
        The port.

    Raises:
        PortTakenError: It cannot listen there.
    """
    listening = await bound(host, port, shared=shared)
    await _Site(runner, listening, reader, tls).start()
    return int(listening[0].getsockname()[1])


def server_of(runner: web.AppRunner) -> web.Server:
    """Return the server of a runner that is set up."""
    assert runner.server is not None, "the runner is set up"
    return runner.server

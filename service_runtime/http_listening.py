"""How HTTP servers of services listen, and what they answer to what is no HTTP: that it was none, and never what it was."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import http_exceptions, web

from service_runtime.listening import PortTakenError

KEEPALIVE_S: Final = 75.0
# Connections that may wait to be accepted.
BACKLOG: Final = 4096
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


class _Site(web.BaseSite):
    """As `web.TCPSite`, with a reader of requests of our own."""

    __slots__ = ("_host", "_make_handler", "_port", "_shared")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        make_handler: Callable[[], HttpHandler],
        *,
        tls: ssl.SSLContext | None,
        shared: bool,
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=BACKLOG)
        self._host = host
        self._port = port
        self._make_handler = make_handler
        self._shared = shared

    @property
    def name(self) -> str:
        """For people."""
        return f"tcp://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self._make_handler,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            reuse_port=self._shared or None,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port


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
    server = runner.server
    assert server is not None, "the runner is set up"
    site = _Site(
        runner,
        host,
        port,
        lambda: HttpHandler(server, logger, keepalive_s),
        tls=tls,
        shared=shared,
    )
    try:
        await site.start()
    except OSError:
        raise PortTakenError(host, port) from None
    return site.port

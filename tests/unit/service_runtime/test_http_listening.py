"""HTTP servers answer what they cannot read by saying so, and quote none of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from service_runtime.http_listening import listen
from service_runtime.http_logs import quiet_about_content
from service_runtime.listening import PortTakenError

HOST = "127.0.0.1"
SECRET = "canary-of-a-key"
GOOD = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
UNREADABLE = {
    "no HTTP": (f"{SECRET}\r\n\r\n", "the first line cannot be read as one of HTTP/1.1"),
    "another version": (f"GET /?key={SECRET} HTTP/9.x\r\n\r\n", "the first line cannot be read as one of HTTP/1.1"),
    "a header with NUL": (f"GET / HTTP/1.1\r\nX-API-Key: {SECRET}\0\r\n\r\n", "cannot be read"),
    "a header without a colon": (f"GET / HTTP/1.1\r\nX-API-Key {SECRET}\r\n\r\n", "cannot be read"),
    "too long a header": (f"GET / HTTP/1.1\r\nX: {SECRET}{'x' * 9000}\r\n\r\n", "or a header, is too long"),
    "too long a path": (f"GET /{SECRET}{'x' * 9000} HTTP/1.1\r\n\r\n", "the first line, or a header, is too long"),
    "no URL": (f"GET http://[{SECRET}/ HTTP/1.1\r\nHost: here\r\n\r\n", "the URL cannot be read"),
    "no length": (f"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: {SECRET}\r\n\r\n", "cannot be read"),
}


async def fine(_: web.Request) -> web.Response:
    return web.Response(text="fine")


async def defect(_: web.Request) -> web.Response:
    raise ValueError("a defect")


@pytest_asyncio.fixture
async def runner() -> AsyncIterator[web.AppRunner]:
    application = web.Application()
    application.add_routes([web.get("/", fine), web.get("/defect", defect)])
    made = web.AppRunner(application, shutdown_timeout=0.1)
    await made.setup()
    yield made
    await made.cleanup()


async def exchange(port: int, request: bytes) -> str:
    """Return everything that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return (await reader.read()).decode()
    finally:
        writer.close()


@pytest.mark.parametrize(("request_text", "reason"), UNREADABLE.values(), ids=list(UNREADABLE))
async def test_what_cannot_be_read_is_named_and_not_quoted(
    runner: web.AppRunner, request_text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = await listen(runner, HOST, 0, quiet_about_content(logging.getLogger("tests.http_listening")))
    answer = await exchange(port, request_text.encode())
    assert answer.startswith(("HTTP/1.0 400 Bad Request\r\n", "HTTP/1.1 400 Bad Request\r\n"))
    assert reason in answer.partition("\r\n\r\n")[2]
    assert SECRET not in answer
    assert SECRET not in caplog.text
    assert "fine" in await exchange(port, GOOD)


async def test_a_defect_is_answered_by_500_and_logged(runner: web.AppRunner, caplog: pytest.LogCaptureFixture) -> None:
    port = await listen(runner, HOST, 0, logging.getLogger("tests.http_listening.defects"))
    answer = await exchange(port, GOOD.replace(b"GET /", b"GET /defect"))
    assert answer.startswith("HTTP/1.1 500 Internal Server Error\r\n")
    assert "a defect" not in answer
    assert "ValueError: a defect" in caplog.text


async def test_a_connection_without_a_request_is_closed(runner: web.AppRunner) -> None:
    port = await listen(runner, HOST, 0, logging.getLogger("tests.http_listening"), keepalive_s=0.2)
    assert "fine" in await exchange(port, GOOD.replace(b"Connection: close\r\n", b""))


async def test_a_port_that_is_taken_is_named(runner: web.AppRunner) -> None:
    logger = logging.getLogger("tests.http_listening")
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"cannot listen on {HOST}:{port}"):
            await listen(runner, HOST, port, logger)


async def test_a_port_is_shared_by_those_who_say_so(runner: web.AppRunner) -> None:
    logger = logging.getLogger("tests.http_listening")
    port = await listen(runner, HOST, 0, logger, shared=True)
    assert await listen(runner, HOST, port, logger, shared=True) == port
    with pytest.raises(PortTakenError):
        await listen(runner, HOST, port, logger)

"""Threads over HTTP at the edge: any bytes on a real connection, and a real session service behind it."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import grpc
import msgspec
from aiohttp import web
from google.protobuf import json_format
from tidewire.auth.v1 import auth_pb2
from tidewire.edge.v1 import threads_api_pb2
from tidewire.session.v1 import session_pb2_grpc, threads_pb2_grpc

from service_runtime.http_listening import listen
from tests.fuzz.target import Check, Target
from tests.fuzz.worlds.grpc_call import SERVICE_TOKEN
from tests.fuzz.worlds.http_exchange import HOST, Answered, exchange, request
from tests.fuzz.worlds.loops import on_a_loop
from tests.fuzz.worlds.session import MAX_MESSAGE_BYTES, SessionWorld, session_world
from ws_edge.adapters import http_threads
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.grpc_threads import ThreadsClient
from ws_edge.adapters.http_threads import ThreadsApi
from ws_edge.core.ports import KeyVerdict

KEY: Final = "tw_live_fuzz"
NOW_MS: Final = 1_800_000_000_000
MAX_BODY_BYTES: Final = 65_536


class OneKey:
    """One key is good for everything; whatever is asked must fit into the question to the auth service."""

    async def verify(self, api_key: str, domain: str, workspace: str, client_address: str) -> KeyVerdict:
        auth_pb2.VerifyKeyRequest(
            api_key=api_key, domain=domain, workspace=workspace, client_address=client_address
        ).SerializeToString()
        return KeyVerdict("VALID", "k1") if api_key == KEY else KeyVerdict("NOT_FOUND")

    async def check(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict:
        auth_pb2.CheckPermissionRequest(
            key_id=key_id, action=action, channel=channel, domain=domain, workspace=workspace
        ).SerializeToString()
        return KeyVerdict("VALID", key_id)


class StillClock:
    """Time that stands."""

    def now_ms(self) -> int:
        return NOW_MS


async def check(data: bytes, folder: Path) -> None:
    """Send the input, and judge every answer."""
    DEFECTS.told.clear()
    async with session_world(folder) as world, _grpc(world) as target:
        threads = ThreadsClient(target, None, service_token=SERVICE_TOKEN, deadline_s=10.0)
        try:
            async with _http(threads) as port:
                answers = await exchange(port, data)
        finally:
            await threads.close()
    for answer in answers:
        _judge(answer)
    assert not DEFECTS.told, f"a request was a defect of the edge's own: {DEFECTS.told}"


class Defects:
    """Stands in for the log of the API, for a defect whose answer does not arrive."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def exception(self, event: str, **_: object) -> None:
        self.told.append(f"{event}: {sys.exception()!r}")


DEFECTS: Final = Defects()


@asynccontextmanager
async def _grpc(world: SessionWorld) -> AsyncIterator[str]:
    server = grpc.aio.server()
    session_pb2_grpc.add_SessionServiceServicer_to_server(world.sessions, server)
    threads_pb2_grpc.add_ThreadServiceServicer_to_server(world.threads, server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        yield f"{HOST}:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def _http(threads: ThreadsClient) -> AsyncIterator[int]:
    keys: Any = OneKey()
    clock: Any = StillClock()
    api = ThreadsApi(threads, keys, clock, lambda: "new-id", MAX_MESSAGE_BYTES, ClientAddresses(["127.0.0.0/8"]))
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.add_routes(api.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield await listen(runner, HOST, 0, logging.getLogger("tests.fuzz.edge_http"))
    finally:
        await runner.cleanup()


def _judge(answer: Answered) -> None:
    assert answer.status < 500, answer
    if answer.headers.get("content-type", "").startswith("application/json") and answer.body:
        body = msgspec.json.decode(answer.body, type=dict[str, Any])
        if "error" in body:
            json_format.ParseDict(body, threads_api_pb2.HttpErrorBody())
            assert body["error"]["code"] == answer.status
            assert body["error"]["message"]
        elif "thread" in body:
            _check_reply(body)


def _check_reply(body: Any) -> None:
    body["thread"][
        "metadata"
    ] = {}  # it may be deeper than protobuf's own parser goes, with numbers that it does not take
    json_format.ParseDict(body, threads_api_pb2.ThreadReplyBody())


@contextmanager
def opened() -> Iterator[Check]:
    """Each input has an edge's API and a session service of its own."""
    with mock.patch.object(http_threads, "log", DEFECTS), on_a_loop(check) as made:
        yield made


def seeds() -> dict[str, bytes]:
    """Return requests of each endpoint."""
    bearer = {"Authorization": f"Bearer {KEY}"}
    at = "/api/chat/threads"
    made = request(f"POST {at}", b'{"thread_id":"plans","title":"Plans","metadata":{"a":1}}', **bearer)
    return {
        "create": made,
        "create-in-workspace": request(f"POST {at}", b'{"domain":"d","workspace":"w","channel":"chat"}', X_API_Key=KEY),
        "create-and-list": made + request(f"GET {at}?limit=1&cursor=1", **bearer),
        "create-and-read": made + request(f"GET {at}/plans", **bearer),
        "create-post-and-read": made
        + request(f"POST {at}/plans/messages", b'{"content":"hello","id":"m-1","more":[1,2.5]}', **bearer)
        + request(f"GET {at}/plans/messages?limit=10", **bearer),
        "no-key": request(f"GET {at}"),
        "key-that-is-not-utf-8": b"GET /api/chat/threads HTTP/1.1\r\nHost: a\r\nX-API-Key: \xff\r\n\r\n",
        "limit-with-zeros": request(f"GET {at}?limit=000000000199999999999", **bearer),
        "cursor-that-is-not-utf-8": request(f"GET {at}?cursor=%ff%ed%a0%80", **bearer),
        "number-of-many-digits": made
        + request(f"POST {at}/plans/messages", b'{"content":1,"a":%b}' % (b"9" * 5000), **bearer),
        "deep": made
        + request(f"POST {at}/plans/messages", b'{"content":1,"a":%b}' % (b"[" * 900 + b"]" * 900), **bearer),
        "number-too-large": made + request(f"POST {at}/plans/messages", b'{"content":1,"a":1e400}', **bearer),
        "metadata-deep": request(f"POST {at}", b'{"metadata":{"a":%b}}' % (b"[" * 900 + b"]" * 900), **bearer),
    }


TARGET = Target(
    oracle="an answer of the contract that the request has earned, never 500 for what is in it",
    opened=opened,
    seeds=seeds,
    words=(
        *(b"/api/chat/threads", b"/messages", b"?limit=", b"&cursor=", b"&domain=", b'"thread_id":', b'"metadata":'),
        *(b'"content":', b"\\ud800", b"%ff", b"%00", b"1e400", b"9" * 4400, f"Bearer {KEY}".encode(), b"\r\n\r\n"),
    ),
    max_bytes=8192,
)

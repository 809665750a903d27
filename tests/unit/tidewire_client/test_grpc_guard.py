"""The gRPC interceptor on a real server, with a real auth peer behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from tidewire.auth.v1 import auth_pb2

from service_runtime.grpc_errors import error_info
from tests.unit.tidewire_client.auth_peer import GOOD_KEY, WRONG_KEY, AuthPeer
from tests.unit.tidewire_client.peers import serving_auth
from tidewire_client.client_address import address_of_peer
from tidewire_client.grpc_guard import ERROR_DOMAIN, KeyInterceptor, current_verdict
from tidewire_client.verifier import KeyVerifier

BEARER = (("authorization", f"Bearer {GOOD_KEY}"),)
PERMISSIONS = {"/shop.Orders/*": ("", ""), "/shop.Orders/Place": ("publish", "orders")}


async def _place(request: bytes, _: Any) -> bytes:
    return request + current_verdict().key_id.encode()


async def _watch(request: bytes, _: Any) -> AsyncIterator[bytes]:
    for number in range(2):
        yield request + current_verdict().key_id.encode() + str(number).encode()


async def _upload(requests: AsyncIterator[bytes], _: Any) -> bytes:
    return b"".join([part async for part in requests]) + current_verdict().key_id.encode()


async def _talk(_: Any, context: Any) -> None:
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request + current_verdict().key_id.encode())


def _blocking(request: bytes, _: Any) -> bytes:
    return request


async def _health(_: bytes, __: Any) -> bytes:
    try:
        current_verdict()
    except LookupError:
        return b"unknown"
    return b"known"


HANDLERS = {
    "Place": grpc.unary_unary_rpc_method_handler(_place),
    "Watch": grpc.unary_stream_rpc_method_handler(_watch),
    "Upload": grpc.stream_unary_rpc_method_handler(_upload),
    "Talk": grpc.stream_stream_rpc_method_handler(_talk),
    "Block": grpc.unary_unary_rpc_method_handler(_blocking),
}
HEALTH = {"Check": grpc.unary_unary_rpc_method_handler(_health)}


class World:
    """A protected server, and the auth service behind it."""

    def __init__(self, peer: AuthPeer, channel: grpc.aio.Channel) -> None:
        self.peer = peer
        self.channel = channel

    async def place(self, metadata: Any = BEARER, method: str = "/shop.Orders/Place") -> bytes:
        answer: bytes = await self.channel.unary_unary(method)(b"a", metadata=metadata, timeout=10)
        return answer

    async def refused(
        self, metadata: Any = BEARER, method: str = "/shop.Orders/Place"
    ) -> tuple[str, str, dict[str, str]]:
        """Call what is refused; returns status, reason and metadata of it."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.place(metadata, method)
        info = error_info(caught.value)
        assert info is not None
        assert info.domain == ERROR_DOMAIN
        assert GOOD_KEY not in str(caught.value)
        return caught.value.code().name, info.reason, dict(info.metadata)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    peer = AuthPeer()
    async with serving_auth(peer) as target:
        verifier = KeyVerifier(target, service_token="t", deadline_s=0.5)
        server = grpc.aio.server(interceptors=[KeyInterceptor(verifier, PERMISSIONS, exempt=["/health.Health/*"])])
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler("shop.Orders", HANDLERS),
                grpc.method_handlers_generic_handler("shop.Hidden", {"Place": HANDLERS["Place"]}),
                grpc.method_handlers_generic_handler("health.Health", HEALTH),
            ]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield World(peer, channel)
        finally:
            await server.stop(None)
            await verifier.close()


@pytest.mark.parametrize("metadata", [BEARER, (("x-api-key", GOOD_KEY),)])
async def test_the_holder_of_a_good_key_is_let_in_and_known(metadata: Any) -> None:
    async with world() as w:
        assert await w.place(metadata) == b"ak1"
        assert w.peer.asked_for == [
            auth_pb2.VerifyKeyRequest(api_key=GOOD_KEY, action="publish", channel="orders", client_address="127.0.0.1")
        ]


async def test_every_kind_of_call_is_guarded() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with world() as w:
        watch = w.channel.unary_stream("/shop.Orders/Watch")(b"a", metadata=BEARER, timeout=10)
        assert [answer async for answer in watch] == [b"ak10", b"ak11"]
        assert await w.channel.stream_unary("/shop.Orders/Upload")(parts(), metadata=BEARER, timeout=10) == b"abk1"
        talk = w.channel.stream_stream("/shop.Orders/Talk")(parts(), metadata=BEARER, timeout=10)
        assert [answer async for answer in talk] == [b"ak1", b"bk1"]
        assert {one.action for one in w.peer.asked_for} == {""}
        for call in (
            w.channel.unary_stream("/shop.Orders/Watch")(b"a", timeout=10),
            w.channel.stream_stream("/shop.Orders/Talk")(parts(), timeout=10),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="an API key is required"):
                await call.read()
        with pytest.raises(grpc.aio.AioRpcError, match="an API key is required"):
            await w.channel.stream_unary("/shop.Orders/Upload")(parts(), timeout=10)


async def test_each_call_is_a_use() -> None:
    async with world() as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 1
        assert await w.place() == b"ak1"
        assert await w.refused() == ("RESOURCE_EXHAUSTED", "USAGE_EXCEEDED", {})


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "NO_KEY"),
        ((("authorization", "Basic YTpi"),), "NO_KEY"),
        ((*BEARER, ("x-api-key", "other")), "SEVERAL_KEYS"),
        ((("x-api-key", WRONG_KEY),), "NOT_FOUND"),
    ],
)
async def test_who_is_not_known_is_unauthenticated(metadata: Any, reason: str) -> None:
    async with world() as w:
        assert await w.refused(metadata) == ("UNAUTHENTICATED", reason, {})


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("DISABLED", "UNAUTHENTICATED"),
        ("REVOKED", "UNAUTHENTICATED"),
        ("EXPIRED", "UNAUTHENTICATED"),
        ("FORBIDDEN", "PERMISSION_DENIED"),
        ("INSUFFICIENT_PERMISSIONS", "PERMISSION_DENIED"),
        ("UNSPECIFIED", "PERMISSION_DENIED"),
        ("USAGE_EXCEEDED", "RESOURCE_EXHAUSTED"),
    ],
)
async def test_each_denial_has_its_status(code: str, status: str) -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VerdictCode.Value(f"VERDICT_CODE_{code}")
        assert await w.refused() == (status, code, {})


async def test_what_is_missing_and_when_to_come_again_are_told() -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VERDICT_CODE_INSUFFICIENT_PERMISSIONS
        w.peer.more = {"missing": "publish:orders"}
        assert (await w.refused())[2] == {"missing": "publish:orders"}
        w.peer.code = auth_pb2.VERDICT_CODE_RATE_LIMITED
        w.peer.more = {"retry_after": {"seconds": 1, "nanos": 1_000_000}}
        assert await w.refused() == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", {"retry_after_ms": "1001"})


async def test_without_an_answer_nobody_is_let_in() -> None:
    async with world() as w:
        w.peer.away = True
        assert await w.refused() == ("UNAVAILABLE", "NOT_VERIFIED", {})


async def test_a_method_that_nobody_thought_of_is_open_to_no_key() -> None:
    async with world() as w:
        assert await w.refused(method="/shop.Hidden/Place") == ("PERMISSION_DENIED", "METHOD_NOT_LISTED", {})
        assert await w.refused((), "/shop.Hidden/Place") == ("UNAUTHENTICATED", "NO_KEY", {})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await w.place(method="/shop.Orders/Nothing")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_exempt_method_needs_no_key_and_knows_none() -> None:
    async with world() as w:
        await w.place()
        assert await w.place((), "/health.Health/Check") == b"unknown"


async def test_a_handler_that_blocks_is_refused() -> None:
    async with world() as w:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await w.place(method="/shop.Orders/Block")
        assert caught.value.code() is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("ipv6:[::1]:50000", "::1"),
        ("unix:/run/socket", ""),
        ("ipv4:x", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    assert address_of_peer(peer) == address

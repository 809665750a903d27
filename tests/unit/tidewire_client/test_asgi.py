"""The ASGI middleware against a real auth peer, called as an ASGI server calls it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tidewire.auth.v1 import auth_pb2

from tests.unit.tidewire_client.auth_peer import GOOD_KEY, WRONG_KEY, AuthPeer
from tests.unit.tidewire_client.peers import serving_auth
from tidewire_client.asgi import KeyMiddleware, client_of_scope, verdict_of_scope
from tidewire_client.verdict import VerdictCode
from tidewire_client.verifier import KeyVerifier

Headers = list[tuple[bytes, bytes]]
BEARER: Headers = [(b"authorization", f"Bearer {GOOD_KEY}".encode())]


class App:
    """An application that notes what reaches it, and answers."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                self.events.append((await receive())["type"])
                await send({"type": f"lifespan.{event}.complete"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"in"})
        else:
            await receive()
            await send({"type": "websocket.accept"})


class World:
    """A protected application, and the auth service behind it."""

    def __init__(self, peer: AuthPeer, verifier: KeyVerifier, **options: Any) -> None:
        self.peer = peer
        self.app = App()
        self.guarded = KeyMiddleware(self.app, verifier, **options)

    async def ask(self, headers: Headers, path: str = "/orders", **scope: Any) -> list[Any]:
        """Send a request; returns what was sent back."""
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        asked = {"type": "http", "path": path, "headers": headers, "client": ("192.0.2.1", 5), **scope}
        await self.guarded(asked, receive, send)
        return sent

    async def refused(self, headers: Headers, **scope: Any) -> tuple[int, str, dict[str, str]]:
        """Send a request that is refused; returns status, error and headers of the answer."""
        start, body = await self.ask(headers, **scope)
        assert self.app.scopes == []
        fields = {name.decode(): value.decode() for name, value in start["headers"]}
        assert fields["content-type"] == "application/json"
        assert int(fields["content-length"]) == len(body["body"])
        return start["status"], json.loads(body["body"])["error"], fields


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    peer = AuthPeer()
    async with serving_auth(peer) as target:
        verifier = KeyVerifier(target, service_token="t", deadline_s=0.5)
        try:
            yield World(peer, verifier, **options)
        finally:
            await verifier.close()


@pytest.mark.parametrize("headers", [BEARER, [(b"X-API-Key", b" good-key ")], [*BEARER, (b"x-api-key", b"good-key")]])
async def test_the_holder_of_a_good_key_is_let_in_and_known(headers: Headers) -> None:
    async with world(action="join", channel="orders", domain="d", workspace="w") as w:
        assert (await w.ask(headers))[0]["status"] == 200
        verdict = verdict_of_scope(w.app.scopes[0])
        assert (verdict.code, verdict.key_id, verdict.owner) == (VerdictCode.VALID, "k1", "ann")
        assert w.peer.asked_for == [
            auth_pb2.VerifyKeyRequest(
                api_key=GOOD_KEY,
                action="join",
                channel="orders",
                domain="d",
                workspace="w",
                client_address="192.0.2.1",
            )
        ]


async def test_what_a_key_is_wanted_for_may_depend_on_the_request() -> None:
    async with world(action=lambda scope: scope["method"].lower(), channel=lambda scope: scope["path"][1:]) as w:
        await w.ask(BEARER, method="POST")
        assert (w.peer.asked_for[0].action, w.peer.asked_for[0].channel) == ("post", "orders")


async def test_each_request_is_a_use() -> None:
    async with world() as w:
        w.peer.ttl_s, w.peer.uses_left = 0, 2
        statuses = [(await w.ask(BEARER))[0]["status"] for _ in range(3)]
        assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    "headers", [[], [(b"authorization", b"Basic YTpi")], [(b"authorization", b"Bearer ")], [(b"x-api-key", b" ")]]
)
async def test_without_a_key_no_error_is_named(headers: Headers) -> None:
    async with world(realm='or"ders') as w:
        status, _, fields = await w.refused(headers)
        assert (status, fields["www-authenticate"]) == (401, 'Bearer realm="or?ders"')
        assert w.peer.batches == []


async def test_different_keys_at_once_are_refused() -> None:
    async with world() as w:
        status, error, fields = await w.refused([*BEARER, (b"x-api-key", b"other")])
        assert (status, error) == (400, "invalid_request")
        assert 'error="invalid_request"' in fields["www-authenticate"]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("DISABLED", 401, "invalid_token"),
        ("REVOKED", 401, "invalid_token"),
        ("EXPIRED", 401, "invalid_token"),
        ("FORBIDDEN", 403, "insufficient_scope"),
        ("INSUFFICIENT_PERMISSIONS", 403, "insufficient_scope"),
        ("UNSPECIFIED", 403, "insufficient_scope"),
        ("RATE_LIMITED", 429, "rate_limited"),
        ("USAGE_EXCEEDED", 429, "usage_exceeded"),
    ],
)
async def test_each_denial_has_its_answer(code: str, status: int, error: str) -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VerdictCode.Value(f"VERDICT_CODE_{code}")
        told = await w.refused(BEARER)
        assert told[:2] == (status, error)
        assert (f'error="{error}"' in told[2].get("www-authenticate", "")) is (status in (401, 403))
        assert GOOD_KEY not in str(told)


async def test_an_unknown_key_is_told_nothing_more() -> None:
    async with world() as w:
        status, error, fields = await w.refused([(b"x-api-key", WRONG_KEY.encode())])
        assert (status, error) == (401, "invalid_token")
        assert 'error_description="the API key is not known"' in fields["www-authenticate"]


async def test_a_missing_permission_is_named() -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VERDICT_CODE_INSUFFICIENT_PERMISSIONS
        w.peer.more = {"missing": 'publish:or"ders\u00fc'}
        _, _, fields = await w.refused(BEARER)
        assert fields["www-authenticate"].endswith('scope="publish:or?ders?"')


async def test_when_to_come_again_is_told_in_whole_seconds() -> None:
    async with world() as w:
        w.peer.code = auth_pb2.VERDICT_CODE_RATE_LIMITED
        w.peer.more = {"retry_after": {"seconds": 2, "nanos": 1_000_000}}
        assert (await w.refused(BEARER))[2]["retry-after"] == "3"


async def test_without_an_answer_nobody_is_let_in() -> None:
    async with world() as w:
        w.peer.away = True
        status, error, fields = await w.refused(BEARER)
        assert (status, error, fields["retry-after"]) == (503, "unavailable", "1")


async def test_what_the_client_says_of_itself_is_taken_out() -> None:
    async with world(exempt=["/health"]) as w:
        made_up = (b"X-Tidewire-Owner", b"root")
        for path in ("/orders", "/health"):
            await w.ask([*BEARER, made_up], path, **{"tidewire.verdict": "made up"})
        for scope in w.app.scopes:
            assert scope["headers"] == BEARER
        assert verdict_of_scope(w.app.scopes[0]).allowed
        with pytest.raises(LookupError, match="exempt"):
            verdict_of_scope(w.app.scopes[1])


@pytest.mark.parametrize(
    ("path", "open_"),
    [
        ("/health", True),
        ("/health/", False),
        ("/healthy", False),
        ("/docs", False),
        ("/docs/", True),
        ("/docs/a", True),
        ("/docs/../orders", False),
        ("/", False),
    ],
)
async def test_only_exempt_paths_need_no_key(path: str, open_: bool) -> None:
    async with world(exempt=["/health", "/docs/*"]) as w:
        assert ((await w.ask([], path))[0]["status"] == 200) is open_


async def test_a_websocket_is_let_in() -> None:
    async with world() as w:
        assert await w.ask(BEARER, type="websocket") == [{"type": "websocket.accept"}]


async def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    async with world() as w:
        [closed] = await w.ask([], type="websocket")
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
        start, body = await w.ask([], type="websocket", extensions={"websocket.http.response": {}})
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert body["type"] == "websocket.http.response.body"
        assert w.app.scopes == []


async def test_another_kind_of_scope_passes() -> None:
    async with world() as w:
        assert await w.ask([], type="something") == [{"type": "websocket.accept"}]


@pytest.mark.parametrize(
    ("client", "address"),
    [(("192.0.2.1", 1), "192.0.2.1"), (("fe80::1%eth0", 1), "fe80::1"), (("testclient", 1), ""), (None, "")],
)
def test_the_address_is_what_the_server_says(client: Any, address: str) -> None:
    assert client_of_scope({"client": client}) == address
    assert client_of_scope({}) == ""


async def test_a_verifier_that_the_middleware_makes_lives_with_the_application() -> None:
    async with serving_auth(AuthPeer()) as target:
        made: list[KeyVerifier] = []

        def make() -> KeyVerifier:
            made.append(KeyVerifier(target, service_token="t"))
            return made[-1]

        app = App()
        guarded = KeyMiddleware(app, make)
        assert made == []
        messages, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], list[str]()

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])
            watching = made[0]._watch_task
            assert watching is not None
            assert watching.done() is (message["type"] == "lifespan.shutdown.complete")

        await guarded({"type": "lifespan"}, receive, send)
        assert app.events == ["lifespan.startup", "lifespan.shutdown"]
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert len(made) == 1


async def test_a_verifier_of_the_caller_is_the_callers_to_close() -> None:
    async with world() as w:
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(_: Any) -> None:
            pass

        await w.guarded({"type": "lifespan"}, receive, send)
        assert (await w.ask(BEARER))[0]["status"] == 200


async def test_where_no_lifespan_is_told_the_first_request_starts_the_verifier() -> None:
    async with serving_auth(AuthPeer()) as target:
        made: list[KeyVerifier] = []

        def make() -> KeyVerifier:
            made.append(KeyVerifier(target, service_token="t"))
            return made[-1]

        w = World(AuthPeer(), make)  # type: ignore[arg-type]
        assert [(await w.ask(BEARER))[0]["status"] for _ in range(2)] == [200, 200]
        assert len(made) == 1
        await made[0].close()

"""Introspection (RFC 7662), verification and permission checks over HTTP, on both stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.auth_client import AuthClient
from tests.support.http_auth import DEADLINE_S, UNKNOWN_KEY, Answered, HttpAuth, request
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.integration

PATHS = ("/v1/introspect", "/v1/verify", "/v1/check")


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def auth(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpAuth]:
    """An auth service that no test stops."""
    folder = tmp_path_factory.mktemp("auth")
    redis = None
    variables = {}
    if request.param == "redis":
        redis = RedisServer(tmp_path_factory.mktemp("redis"))
        redis.start()
        variables = {"TIDEWIRE_AUTH_STORE_URL": redis.url, "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40}
    running = HttpAuth(folder, {"metrics-port": 0}, variables)
    running.process.start()
    yield running
    running.end()
    if redis is not None:
        redis.stop()


@pytest.fixture
async def client(auth: HttpAuth) -> AsyncIterator[AuthClient]:
    async with auth.client() as made:
        yield made


async def introspect(auth: HttpAuth, text: str, **more: str) -> Answered:
    return await auth.call("POST", "/v1/introspect", headers=auth.caller(), data={"token": text, **more})


async def verify(auth: HttpAuth, **fields: str) -> Answered:
    return await auth.call("POST", "/v1/verify", headers=auth.caller(), json=fields)


async def check(auth: HttpAuth, **fields: str) -> Answered:
    return await auth.call("POST", "/v1/check", headers=auth.caller(), json=fields)


# Introspection.


async def test_a_good_key_is_active_and_shown(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create(["join:a", "publish:b-*"], owner="team Zoë", expires_in_s=3600)
    answer = await introspect(auth, text, token_type_hint="access_token", whatever="else")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json == {
        "active": True,
        "scope": "join:a publish:b-*",
        "client_id": key.key_id,
        "sub": "team Zoë",
        "token_type": "Bearer",
        "iat": key.create_time.seconds,
        "exp": key.expire_time.seconds,
    }
    assert answer.json["iat"] <= time.time() < answer.json["exp"]


async def test_a_key_without_an_end_has_no_exp(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    assert "exp" not in (await introspect(auth, text)).json


@pytest.mark.parametrize("text", [UNKNOWN_KEY, "nonsense", "näh", "a b"])
async def test_of_an_unknown_key_nothing_is_said(auth: HttpAuth, text: str) -> None:
    answer = await introspect(auth, text)
    assert (answer.status, answer.json) == (200, {"active": False})


async def test_a_key_that_was_disabled_or_revoked_is_not_active_at_once(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create()
    await client.disable(key.key_id)
    assert (await introspect(auth, text)).json == {"active": False}
    await client.enable(key.key_id)
    assert (await introspect(auth, text)).json["active"] is True
    await client.revoke(key.key_id)
    assert (await introspect(auth, text)).json == {"active": False}


async def test_introspection_charges_nothing_and_sees_what_is_used_up(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(max_uses=1)
    for _ in range(3):
        assert (await introspect(auth, text)).json["active"] is True
    assert (await verify(auth, apiKey=text)).json["verdict"]["code"] == "VERDICT_CODE_VALID"
    assert (await introspect(auth, text)).json == {"active": False}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("token_type_hint=x", "token"),
        ("token=", "token"),
        ("token=a&token=b", "token"),
        ("&".join(f"f{number}=x" for number in range(17)), "body"),
        (b"token=\xff", "body"),
    ],
)
async def test_a_form_that_cannot_be_meant_is_400(auth: HttpAuth, body: str | bytes, field: str) -> None:
    headers = {**auth.caller(), "Content-Type": "application/x-www-form-urlencoded"}
    answer = await auth.call("POST", "/v1/introspect", headers=headers, data=body)
    assert (answer.status, answer.json["error"]["reason"]) == (400, "INVALID_FIELD")
    assert answer.json["error"]["metadata"] == {"field": field}


async def test_what_is_no_form_is_400(auth: HttpAuth) -> None:
    answer = await auth.call("POST", "/v1/introspect", headers=auth.caller(), json={"token": "x"})
    assert (answer.status, answer.json["error"]["metadata"]) == (400, {"field": "Content-Type"})


# Verification.


async def test_a_key_is_verified_as_over_grpc(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create(["join:chat-*"], owner="team", expires_in_s=3600)
    answer = await verify(auth, apiKey=text, action="join", channel="chat-1", clientAddress="192.0.2.1")
    assert answer.status == 200
    verdict = answer.json["verdict"]
    assert verdict["code"] == "VERDICT_CODE_VALID"
    assert (verdict["keyId"], verdict["owner"], verdict["permissions"]) == (key.key_id, "team", ["join:chat-*"])
    assert verdict["expireTime"].endswith("Z")
    assert int(verdict["revision"]) >= key.revision
    assert verdict["cacheTtl"] == "30s"


async def test_a_denial_is_an_answer(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(["join:chat-*"])
    answer = await verify(auth, api_key=text, action="publish", channel="chat-1")
    assert (answer.status, answer.json["verdict"]["missing"]) == (200, "publish:chat-1")
    answer = await verify(auth, apiKey=UNKNOWN_KEY)
    assert (answer.status, answer.json["verdict"]["code"]) == (200, "VERDICT_CODE_NOT_FOUND")


async def test_a_permission_is_checked_by_the_id_alone(auth: HttpAuth, client: AuthClient) -> None:
    key, _ = await client.create(["join:chat-*"])
    answer = await check(auth, keyId=key.key_id, action="join", channel="chat-1")
    assert answer.json["verdict"]["code"] == "VERDICT_CODE_VALID"
    answer = await check(auth, keyId=key.key_id, action="publish", channel="chat-1")
    assert answer.json["verdict"]["code"] == "VERDICT_CODE_INSUFFICIENT_PERMISSIONS"


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        ("/v1/verify", {"apiKey": "x", "action": "jump"}, "action"),
        ("/v1/verify", {"apiKey": "x", "clientAddress": "somewhere"}, "client_address"),
        ("/v1/check", {"keyId": "tw_live_whole_key"}, "key_id"),
        ("/v1/check", {"keyId": "k", "action": "join"}, "channel"),
    ],
)
async def test_a_field_that_breaks_a_rule_is_400_and_named(
    auth: HttpAuth, path: str, fields: dict[str, str], field: str
) -> None:
    answer = await auth.call("POST", path, headers=auth.caller(), json=fields)
    assert (answer.status, answer.code) == (400, "INVALID_FIELD")
    error = answer.json["error"]
    assert (error["reason"], error["domain"], error["metadata"]) == (
        "INVALID_FIELD",
        "auth.tidewire",
        {"field": field},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'["apiKey"]',
        b"{",
        b'{"apiKey": 5}',
        b'{"apiKey": ["canary-in-a-body"]}',
        b'{"canary-in-a-body": "x"}',
        b'{"apiKey": "\\ud800"}',
        b"\xff",
        b"[" * 60_000,
        b'{"apiKey":' * 6000,
    ],
)
async def test_a_body_that_is_no_request_is_400_and_not_quoted(auth: HttpAuth, body: bytes) -> None:
    answer = await auth.call("POST", "/v1/verify", headers=auth.caller(), data=body)
    assert (answer.status, answer.json["error"]["metadata"]) == (400, {"field": "body"})
    assert b"canary" not in answer.body
    assert "apiKey domain workspace" in answer.json["error"]["message"]


BROKEN_BODIES = {
    "no gzip": b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\ntoken=x",
    "bad chunks": b"Transfer-Encoding: chunked\r\n\r\nzz\r\ntoken=x\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("path", ["/v1/introspect", "/v1/verify", "/v1/check"])
@pytest.mark.parametrize("rest", BROKEN_BODIES.values(), ids=list(BROKEN_BODIES))
async def test_a_body_that_is_not_what_its_headers_say_is_400_and_no_defect(
    auth: HttpAuth, path: str, rest: bytes
) -> None:
    """The fixture fails if a traceback is in the log."""
    reader, writer = await asyncio.open_connection("127.0.0.1", auth.http_port)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {auth.token}\r\n"
    writer.write(head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n" + rest)
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readline()).split()[1] == b"400"
    finally:
        writer.close()


async def test_who_goes_in_the_middle_of_a_body_is_no_defect(auth: HttpAuth) -> None:
    """The fixture fails if a traceback is in the log."""
    _, writer = await asyncio.open_connection("127.0.0.1", auth.http_port)
    head = f"POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {auth.token}\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode() + b"{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await verify(auth, apiKey=UNKNOWN_KEY)).status == 200


# Who may call.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("credential", [None, "Bearer wrong", "Basic abc", f"Bearer {UNKNOWN_KEY}"])
async def test_a_caller_that_is_not_known_is_401(auth: HttpAuth, path: str, credential: str | None) -> None:
    headers = {} if credential is None else {"Authorization": credential}
    answer = await auth.call("POST", path, headers=headers, json={})
    assert (answer.status, answer.code) == (401, "CALLER_UNKNOWN")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tidewire"'


@pytest.mark.parametrize(("path", "group"), [(PATHS[0], "verify"), (PATHS[1], "verify"), (PATHS[2], "check")])
async def test_a_caller_is_let_in_for_its_group_alone(
    auth: HttpAuth, client: AuthClient, path: str, group: str
) -> None:
    key, text = await client.create()
    other = "check" if group == "verify" else "verify"
    _, allowed = await client.create([f"admin:{group}"])
    _, refused = await client.create([f"admin:{other}", "join:*"])
    body: dict[str, Any] = {"json": {"keyId": key.key_id} if path == "/v1/check" else {"apiKey": text}}
    if path == "/v1/introspect":
        body = {"data": {"token": text}}
    assert (await auth.call("POST", path, headers=auth.caller(allowed), **body)).status == 200
    answer = await auth.call("POST", path, headers=auth.caller(refused), **body)
    assert (answer.status, answer.code) == (403, "CALLER_NOT_ALLOWED")


async def test_requests_are_counted_by_endpoint_and_status(auth: HttpAuth) -> None:
    await introspect(auth, UNKNOWN_KEY)
    await auth.call("GET", "/v1/nothing")
    url = f"http://127.0.0.1:{auth.process.facts['metrics_port']}/metrics"
    text = (await request("GET", url)).body.decode()
    assert 'tidewire_auth_http_requests_total{endpoint="/v1/introspect",status="200"}' in text
    assert 'tidewire_auth_http_requests_total{endpoint="none",status="404"}' in text

"""Forward authorization over HTTP, asked as proxies ask: every verdict, every fault, and what the answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from auth_service.core.key_format import SECRET_CHARS
from tests.support.auth_client import AuthClient
from tests.support.http_auth import UNKNOWN_KEY, HttpAuth
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

ASKED = "?action=join&channel=chat-1"


@pytest.fixture(scope="module")
def auth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpAuth]:
    """An auth service on SQLite that no test stops."""
    running = HttpAuth(tmp_path_factory.mktemp("auth"))
    running.process.start()
    yield running
    running.end()


@pytest.fixture
async def client(auth: HttpAuth) -> AsyncIterator[AuthClient]:
    async with auth.client() as made:
        yield made


# Verdicts.


async def test_a_good_key_is_let_through_with_its_identity(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create(["join:chat-*", "publish:chat-*"], owner="team Zoë")
    answer = await auth.forward_auth(text, ASKED)
    assert (answer.status, answer.code, answer.body) == (200, "VALID", b"")
    assert answer.headers["x-tidewire-key-id"] == key.key_id
    assert answer.headers["x-tidewire-owner"] == "team%20Zo%C3%AB"
    assert unquote(answer.headers["x-tidewire-owner"]) == "team Zoë"
    assert answer.headers["x-tidewire-permissions"] == "join:chat-* publish:chat-*"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_key_may_come_in_its_own_header(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    headers = {**auth.proxy(), "X-API-Key": text}
    assert (await auth.call("GET", f"/v1/forward-auth{ASKED}", headers=headers)).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_is_answered(auth: HttpAuth, client: AuthClient, method: str) -> None:
    _, text = await client.create()
    assert (await auth.call(method, "/v1/forward-auth", headers=auth.proxy(text))).status == 200


async def test_no_key_is_401(auth: HttpAuth) -> None:
    answer = await auth.forward_auth(None)
    assert (answer.status, answer.code) == (401, "NO_KEY")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tidewire"'
    assert answer.json == {"error": "missing_token", "code": "NO_KEY"}


@pytest.mark.parametrize("text", [UNKNOWN_KEY, "nonsense", "näh", "a b", "x" * 4000])
async def test_an_unknown_key_is_401(auth: HttpAuth, text: str) -> None:
    answer = await auth.forward_auth(text)
    assert (answer.status, answer.code) == (401, "NOT_FOUND")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tidewire", error="invalid_token"'


async def test_two_keys_in_one_request_are_none(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    headers = [("Tidewire-Service-Authorization", f"Bearer {auth.token}"), *[("Authorization", f"Bearer {text}")] * 2]
    answer = await auth.call("GET", "/v1/forward-auth", headers=headers)
    assert (answer.status, answer.code) == (401, "NOT_FOUND")


async def test_a_key_that_was_disabled_or_revoked_is_refused_at_once(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create()
    assert (await auth.forward_auth(text)).status == 200
    await client.disable(key.key_id)
    answer = await auth.forward_auth(text)
    assert (answer.status, answer.code) == (401, "DISABLED")
    await client.enable(key.key_id)
    assert (await auth.forward_auth(text)).status == 200
    await client.revoke(key.key_id)
    answer = await auth.forward_auth(text)
    assert (answer.status, answer.code) == (401, "REVOKED")
    assert "x-tidewire-owner" not in answer.headers


async def test_a_key_whose_time_is_over_is_401(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(expires_in_s=0.5)

    async def expired() -> bool:
        return (await auth.forward_auth(text)).code == "EXPIRED"

    await eventually(expired)
    assert (await auth.forward_auth(text)).status == 401


async def test_a_missing_permission_is_403_and_named(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(["join:chat-*"])
    answer = await auth.forward_auth(text, "?action=publish&channel=chat-1")
    assert (answer.status, answer.code) == (403, "INSUFFICIENT_PERMISSIONS")
    assert 'error="insufficient_scope", scope="publish:chat-1"' in answer.headers["www-authenticate"]
    assert answer.json == {"error": "insufficient_scope", "code": "INSUFFICIENT_PERMISSIONS"}


async def test_the_wrong_place_is_403(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(allowed_domains=["here"], allowed_workspaces=["mine"])
    assert (await auth.forward_auth(text, "?domain=here&workspace=mine")).status == 200
    for query in ("?domain=there", "?workspace=yours"):
        answer = await auth.forward_auth(text, query)
        assert (answer.status, answer.code) == (403, "FORBIDDEN")


async def test_a_key_is_charged_and_then_used_up(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(max_uses=2)
    assert [(await auth.forward_auth(text)).status for _ in range(3)] == [200, 200, 429]
    answer = await auth.forward_auth(text, "?limited=403")
    assert (answer.status, answer.code) == (403, "USAGE_EXCEEDED")
    assert "retry-after" not in answer.headers


async def test_failed_attempts_from_one_address_have_to_wait(auth: HttpAuth) -> None:
    """Counted by the last entry of X-Forwarded-For, which is the proxy's own; other addresses go on."""

    async def attempt(forwarded_for: str, query: str = "") -> tuple[int, str, str]:
        headers = {**auth.proxy(UNKNOWN_KEY), "X-Forwarded-For": forwarded_for}
        answer = await auth.call("GET", f"/v1/forward-auth{query}", headers=headers)
        return answer.status, answer.code, answer.headers.get("retry-after", "")

    for number in range(10):
        assert await attempt(f"198.51.100.{number}, 192.0.2.7") == (401, "NOT_FOUND", "")
    status, code, retry_after = await attempt("198.51.100.99, 192.0.2.7:4711")
    assert (status, code) == (429, "RATE_LIMITED")
    assert int(retry_after) >= 1
    assert (await attempt("192.0.2.7", "?limited=403"))[:2] == (403, "RATE_LIMITED")
    assert (await attempt("192.0.2.7, 192.0.2.8"))[:2] == (401, "NOT_FOUND")
    assert (await attempt("unknown"))[:2] == (401, "NOT_FOUND")


# What is asked.


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?chanel=x&action=join", "chanel"),
        ("?channel=x", "action"),
        ("?action=jump&channel=x", "action"),
        ("?action=join", "channel"),
        ("?action=join&channel=a&channel=b", "channel"),
        ("?domain=a%20b", "domain"),
        ("?workspace=%0d%0a", "workspace"),
        ("?limited=200", "limited"),
    ],
)
async def test_a_question_that_cannot_be_meant_is_400_and_names_the_parameter(
    auth: HttpAuth, client: AuthClient, query: str, field: str
) -> None:
    _, text = await client.create()
    answer = await auth.forward_auth(text, query)
    assert (answer.status, answer.code) == (400, "INVALID_FIELD")
    assert answer.json["error"]["metadata"] == {"field": field}
    assert answer.json["error"]["message"].startswith(f"{field}: ")


async def test_a_key_in_the_place_of_a_parameter_is_not_told(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    secret = text.rpartition("_")[2][:SECRET_CHARS]
    for query in (f"?{text}action=join", f"?{text}&{text}", f"?{secret}"):
        answer = await auth.forward_auth(text, query)
        assert (answer.status, answer.code) == (400, "INVALID_FIELD")
        assert "a name of " in answer.json["error"]["metadata"]["field"]
        assert secret not in str(answer)


# Who asks.


@pytest.mark.parametrize("credential", [None, "Bearer wrong", "Bearer näh", "Basic abc", f"Bearer {UNKNOWN_KEY}"])
async def test_a_proxy_that_is_not_known_is_a_fault_and_no_denial(
    auth: HttpAuth, client: AuthClient, credential: str | None
) -> None:
    _, text = await client.create()
    headers = {"Authorization": f"Bearer {text}"}
    if credential is not None:
        headers["Tidewire-Service-Authorization"] = credential
    answer = await auth.call("GET", "/v1/forward-auth", headers=headers)
    assert (answer.status, answer.code) == (500, "CALLER_UNKNOWN")
    assert "x-tidewire-key-id" not in answer.headers


async def test_a_proxy_may_show_a_key_that_permits_just_this(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    _, allowed = await client.create(["admin:verify"])
    _, other = await client.create(["admin:check", "join:*"])
    path = "/v1/forward-auth"
    assert (await auth.call("GET", path, headers=auth.proxy(text, allowed))).status == 200
    answer = await auth.call("GET", path, headers=auth.proxy(text, other))
    assert (answer.status, answer.code) == (500, "CALLER_NOT_ALLOWED")


async def test_a_trusted_address_needs_no_credential_for_this_alone(tmp_path: Path) -> None:
    running = HttpAuth(tmp_path, {"http-trusted-peers": "192.0.2.0/24, 127.0.0.1/32"})
    running.process.start()
    async with running.client() as client:
        _, text = await client.create()
    for headers in ({}, {"Tidewire-Service-Authorization": "Bearer whatever a client sent"}):
        answer = await running.call("GET", "/v1/forward-auth", headers={"X-API-Key": text, **headers})
        assert answer.status == 200
    assert (await running.call("POST", "/v1/introspect", data={"token": text})).status == 401
    running.end()


async def test_an_address_that_is_not_trusted_cannot_say_that_it_is(tmp_path: Path) -> None:
    running = HttpAuth(tmp_path, {"http-trusted-peers": "192.0.2.0/24"})
    running.process.start()
    answer = await running.call("GET", "/v1/forward-auth", headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status, answer.code) == (500, "CALLER_UNKNOWN")
    running.end()


# Requests exactly as Traefik's ForwardAuth sends them (its documentation, "ForwardAuth"): always GET, hop-by-hop headers gone.


async def test_what_traefik_sends(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create(["join:chat-*"])
    headers = {
        "Tidewire-Service-Authorization": f"Bearer {auth.token}",
        "Authorization": f"Bearer {text}",
        "X-Forwarded-Method": "POST",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-Uri": "/orders?token=abc",
        "X-Forwarded-For": "192.0.2.1",
        "X-Tidewire-Key-Id": "forged",
        "Accept-Encoding": "gzip",
        "User-Agent": "curl/8",
    }
    answer = await auth.call("GET", f"/v1/forward-auth{ASKED}", headers=headers)
    assert (answer.status, answer.headers["x-tidewire-key-id"]) == (200, key.key_id)
    denied = await auth.call("GET", "/v1/forward-auth?action=publish&channel=chat-1", headers=headers)
    assert denied.status == 403


# Faults.


async def test_a_store_that_is_away_is_503_and_never_a_denial(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.directory.mkdir(exist_ok=True)
    redis.start()
    variables = {"TIDEWIRE_AUTH_STORE_URL": redis.url, "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40}
    # Nothing is remembered of keys, so that each question needs the store.
    running = HttpAuth(tmp_path, {"store-timeout-s": 0.5, "record-cache-size": 1}, variables)
    running.process.start()
    async with running.client() as client:
        _, text = await client.create()
        _, other = await client.create(owner="on redis")
    answer = await running.forward_auth(other)
    assert (answer.status, answer.headers["x-tidewire-owner"]) == (200, "on%20redis")
    redis.kill9()
    answer = await running.forward_auth(text)
    assert (answer.status, answer.code) == (503, "STORE_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"
    assert (await running.call("POST", "/v1/introspect", data={"token": text}, headers=running.caller())).status == 503
    redis.start()

    async def healed() -> bool:
        return (await running.forward_auth(text)).status == 200

    await eventually(healed)
    running.end()
    redis.stop()


async def test_requests_that_the_server_itself_refuses(auth: HttpAuth) -> None:
    answer = await auth.call("GET", "/v1/nothing")
    assert (answer.status, answer.json["error"]["metadata"]) == (404, {"field": "path"})
    answer = await auth.call("GET", "/v1/introspect", headers=auth.caller())
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    answer = await auth.call("POST", "/v1/verify", headers=auth.caller(), data=b" " * (64 * 1024 + 1))
    assert (answer.status, answer.json["error"]["metadata"]) == (413, {"field": "body"})


async def test_a_request_that_is_no_http_leaves_no_key_in_the_log(auth: HttpAuth) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", auth.http_port)
    secret = "canary-in-a-broken-request"
    auth.canaries.add(secret)
    writer.write(f"GET /v1/forward-auth?key={secret} HTTP/9.9 {secret}\r\nX-API-Key : {secret}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_does_not_come_ends_at_the_deadline(tmp_path: Path) -> None:
    running = HttpAuth(tmp_path, {"http-deadline-s": 0.3})
    running.process.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
    head = f"POST /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.token}\r\nContent-Length: 99\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(10):
        assert b" 503 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    running.end()


# Connections.


async def test_connections_are_kept(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    reader, writer = await asyncio.open_connection("127.0.0.1", auth.http_port)
    headers = "".join(f"{name}: {value}\r\n" for name, value in auth.proxy(text).items())
    async with asyncio.timeout(10):
        for _ in range(3):
            writer.write(f"GET /v1/forward-auth HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()


async def test_a_service_that_ends_finishes_what_it_began(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    variables = {"TIDEWIRE_AUTH_STORE_URL": redis.url, "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40}
    running = HttpAuth(tmp_path, {"shutdown-grace-s": 10}, variables)
    running.process.start()
    redis.freeze()
    asking = asyncio.create_task(running.forward_auth(UNKNOWN_KEY))
    await eventually(lambda: _waits_for_the_store(running))
    running.process.send_sigterm()
    await eventually(lambda: _refuses(running))
    redis.thaw()
    assert (await asking).code == "NOT_FOUND"
    running.end()
    redis.stop()


async def _waits_for_the_store(running: HttpAuth) -> bool:
    """Return whether the service has a request: one that came later and needs no store is answered."""
    return (await running.forward_auth("nonsense")).code == "NOT_FOUND"


async def _refuses(running: HttpAuth) -> bool:
    """Return whether no new connection is taken any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
    except OSError:
        return True
    writer.close()
    return False


async def test_the_port_that_is_taken_is_named(auth: HttpAuth, tmp_path: Path) -> None:
    other = HttpAuth(tmp_path, {"http-port": auth.http_port})
    other.process.launch()
    await eventually(lambda: _ended(other))
    assert other.process.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{auth.http_port}" in other.process.log()
    assert "Traceback" not in other.process.log()  # what had been started was stopped


async def _ended(running: HttpAuth) -> bool:
    return not running.process.running


async def test_without_the_setting_there_is_no_http(tmp_path: Path) -> None:
    running = HttpAuth(tmp_path, {"http-port": -1})
    running.process.start()
    assert "http_port" not in running.process.facts
    running.end()

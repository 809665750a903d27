"""The HTTP listener of the auth service: any bytes on a real connection to the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from auth_service.adapters.http_api.caller import HttpCallers
from auth_service.adapters.http_api.forward_auth import ForwardAuth
from auth_service.adapters.http_api.introspection import Introspection
from auth_service.adapters.http_api.server import HttpServer
from auth_service.adapters.http_api.verification import Verification
from auth_service.adapters.metrics import RPC_FAULTS
from auth_service.core.keys import KeyLimits
from auth_service.core.validation import KeyRequest
from tests.fuzz.target import Check, Target
from tests.fuzz.worlds.auth import AuthWorld, auth_world, keys_made
from tests.fuzz.worlds.grpc_call import SERVICE_TOKEN
from tests.fuzz.worlds.http_exchange import HOST, Answered, exchange, request
from tests.fuzz.worlds.loops import on_a_loop

(KEY,) = keys_made(1)
ASKED: Final = KeyRequest("team Zoë", "", ("join:chat-*", "publish:*"), (), (), KeyLimits(), None, "")
# A proxy that may not ask is a fault of the installation: that answer is 500 on purpose.
UNKNOWN_CALLER: Final = frozenset({"CALLER_UNKNOWN", "CALLER_NOT_ALLOWED"})


async def check(data: bytes, folder: Path) -> None:
    """Send the input, and judge every answer."""
    async with auth_world(folder) as world:
        record, text = await world.administration.create(ASKED, "fuzz")
        assert (record.key_id, text) == (KEY.key_id, KEY.text)
        server, defects = _server(world), RPC_FAULTS.labels("INTERNAL")._value
        before = defects.get()
        port = await server.start()
        try:
            answers = await exchange(port, data)
        finally:
            await server.stop()
    for answer in answers:
        _judge(data, answer)
    assert defects.get() == before, "a request caused a fault of the service's own"


def _server(world: AuthWorld) -> HttpServer:
    callers = HttpCallers(world.callers, [ip_network("192.0.2.0/24")])
    endpoints = (
        ForwardAuth(callers, world.verifier),
        Introspection(callers, world.verifier),
        Verification(callers, world.verifier),
    )
    routes = [route for endpoint in endpoints for route in endpoint.routes()]
    return HttpServer(routes, host=HOST, port=0, tls=None, deadline_s=10.0, grace_s=0.1)


def _judge(sent: bytes, answer: Answered) -> None:
    code = answer.headers.get("x-tidewire-code", "")
    assert code != "INTERNAL", answer
    assert answer.status < 500 or code in UNKNOWN_CALLER, answer
    # aiohttp quotes what is no HTTP to whoever sent it.
    quoted = answer.status == 400 and not code
    assert quoted or KEY.secret.encode() not in repr(answer).encode(), "a secret is in an answer"
    if answer.headers.get("content-type", "").startswith("application/json") and answer.body:
        said = json.loads(answer.body)
        if said.get("active") is True or said.get("verdict", {}).get("code") == "VERDICT_CODE_VALID":
            assert _shows(sent), answer
    if code == "VALID":
        assert answer.status == 200
        assert answer.headers["x-tidewire-key-id"] == KEY.key_id
        assert _shows(sent), answer


def _shows(sent: bytes) -> bool:
    """Say if a request has the key, perhaps percent-encoded or as JSON, and a service's token."""
    has_key = KEY.secret.encode() in sent or b"%" in sent or b"\\" in sent or KEY.key_id.encode() in sent
    return has_key and SERVICE_TOKEN.encode() in sent


@contextmanager
def opened() -> Iterator[Check]:
    """Each input has an auth service of its own."""
    with on_a_loop(check) as made:
        yield made


def seeds() -> dict[str, bytes]:
    """Return requests of each endpoint."""
    token, form = f"Bearer {SERVICE_TOKEN}", "application/x-www-form-urlencoded"
    bearer = {"Authorization": token}
    proxy = {"Tidewire_Service_Authorization": token}
    asked = "/v1/forward-auth?action=join&channel=chat-1&domain=d&workspace=w&limited=403"
    verify = json.dumps({"apiKey": KEY.text, "action": "join", "channel": "chat-1"}).encode()
    permission = json.dumps({"keyId": KEY.key_id, "action": "publish", "channel": "x"}).encode()
    introspect = f"token={KEY.text}&token_type_hint=access_token".encode()
    garbled = {"Content_Type": form, "Content_Encoding": "gzip", **bearer}
    chunked = request("POST /v1/introspect", Content_Type=form, Transfer_Encoding="chunked", **bearer)
    return {
        "forward-auth": request(
            f"GET {asked}", Authorization=f"Bearer {KEY.text}", X_Forwarded_For="192.0.2.1", **proxy
        ),
        "forward-auth-by-header": request("HEAD /v1/forward-auth", X_API_Key=KEY.text, **proxy),
        "forward-auth-without-key": request(f"GET {asked}", **proxy),
        "introspect": request("POST /v1/introspect", introspect, Content_Type=form, **bearer),
        "introspect-body-that-is-no-gzip": request("POST /v1/introspect", introspect, **garbled),
        "introspect-in-chunks": chunked + b"6\r\ntoken=\r\n1\r\nx\r\n0\r\n\r\n",
        "introspect-in-bad-chunks": chunked + b"zz\r\ntoken=x\r\n0\r\n\r\n",
        "verify": request("POST /v1/verify", verify, **bearer),
        "check": request("POST /v1/check", permission, **bearer),
        "two-on-a-connection": request("POST /v1/check", permission, **bearer)
        + request("GET /v1/forward-auth", **proxy),
        "half-a-body": request("POST /v1/verify", verify, **bearer)[:-20],
    }


TARGET = Target(
    oracle="an answer that the request has earned, never 500 for what is in it; VALID only for who shows the key and a token",
    opened=opened,
    seeds=seeds,
    words=(
        *(KEY.text.encode(), KEY.key_id.encode(), f"Bearer {SERVICE_TOKEN}".encode(), b"Content-Encoding: deflate\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Length: ",
            b"Expect: 100-continue\r\n",
            b"\r\n\r\n",
            b"%00",
            b"%ff",
        ),
        *(b"GET ", b"POST ", b"/v1/introspect", b"/v1/verify", b"/v1/check", b"token=", b"Connection: Upgrade\r\n"),
    ),
)

"""No secret is in a log, an error, a metric or the store, at the most talkative log level, whatever is called and however.

Every method of both auth services is called well and badly, and the edge is connected to with good and bad keys; then
everything that was written or answered is searched for every secret that was used.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.message import Message
from tidewire.auth.v1 import admin_pb2, auth_pb2

from tests.support.auth_client import ADMIN_METHODS, AUTH_METHODS, AuthClient
from tests.support.http_client import http
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients
from tests.support.services import Gateway
from tests.support.target import Target

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PEPPER = f"canarypepper{secrets.token_hex(24)}"
METHODS = (*AUTH_METHODS, *ADMIN_METHODS)
# Where people put a whole key though it belongs elsewhere.
MISTAKEN = ("key_id", "page_token", "action", "channel", "domain", "workspace")
DEBUG: dict[str, object] = {"log-level": "debug", "metrics-port": 0, "admin-port": 0}
# Lines that are no HTTP, with a key in them.
NO_HTTP = ("GET /?key={} HTTP/9.x", "GET / HTTP/1.1\r\nX-Api-Key: {}\0", "{}", "GET / HTTP/1.1\r\nno header {}")


@dataclass
class Heard:
    """What was used, and what came back."""

    gateway: Gateway
    secrets: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)

    def key(self, text: str) -> str:
        """Remember a key, good or bad, whole and in pieces."""
        secret = text.rpartition("_")[2]
        self.secrets |= {text, secret, secret[:16], secret[16:32]} if len(secret) >= 32 else {text}
        return text

    def assert_silent(self, where: str, text: str) -> None:
        found = [secret for secret in self.secrets if secret and secret in text]
        assert not found, f"{where} holds {len(found)} of the secrets that were used, e.g. {found[0][:6]}..."


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that logs as much as it can, with a pepper that can be searched for."""
    monkeypatch.setenv("TIDEWIRE_AUTH_PEPPER", f"1:{PEPPER}")
    made = Gateway(tmp_path, auth={**DEBUG, "http-port": 0}, session=DEBUG, edge=DEBUG)
    try:
        made.start()
        yield made
    finally:
        made.kill()


async def test_nothing_that_is_written_or_answered_holds_a_secret(gateway: Gateway) -> None:
    heard = Heard(gateway, {gateway.service_token, PEPPER})
    async with AuthClient(gateway.auth.address, f"Bearer {gateway.service_token}", heard.key) as client:
        good, text = await client.create()
        _, narrow = await client.create(["join:lobby"])
    bad = {
        "wrong secret": text[:-6] + secrets.token_hex(3),
        "unknown": f"tw_live_{secrets.token_hex(8)}_{secrets.token_hex(19)}",
        "no key at all": f"canary-{secrets.token_hex(20)}",
    }
    for credential in (gateway.service_token, None, text, narrow, *bad.values()):
        await call_everything(heard, credential, good.key_id, [text, narrow, *map(heard.key, bad.values())])
    await use_the_edge(heard, text, list(bad.values()))
    for key in (text, *bad.values()):
        await send_no_http(heard, key)
    for process in (gateway.auth, gateway.session, gateway.edge):
        heard.assert_silent(f"the metrics of {process.name}", metrics_of(gateway, process))
    gateway.stop()
    for process in gateway.processes:
        assert '"level": "debug"' in process.log() or "[debug" in process.log(), process.name
    for file in (path for path in gateway.directory.rglob("*") if path.is_file()):
        heard.assert_silent(str(file), file.read_bytes().decode("latin-1"))
    assert len(heard.answers) > 3 * len(METHODS)
    for answer in heard.answers:
        heard.assert_silent(f"the answer {answer[:80]!r}", answer)


def requests_of(method: str, key_id: str, keys: list[str]) -> Iterator[Message]:
    """Return requests: an empty one, good ones, and ones that have a whole key where it does not belong."""
    module = auth_pb2 if method in AUTH_METHODS else admin_pb2
    kind = getattr(module, f"{method}Request")
    yield kind()
    names = kind.DESCRIPTOR.fields_by_name
    if "key_id" in names:
        yield kind(key_id=key_id)
    for key in keys:
        if "api_key" in names:
            yield kind(api_key=key)
        for name in MISTAKEN:
            if name in names:
                yield kind(**{name: key})
    if method == "VerifyKeys":
        yield kind(requests=[auth_pb2.VerifyKeyRequest(api_key=key, action="join", channel="lobby") for key in keys])


async def call_everything(heard: Heard, credential: str | None, key_id: str, keys: list[str]) -> None:
    """Call each method with each of its requests, and keep what is said of those that fail."""
    authorization = None if credential is None else f"Bearer {credential}"
    async with AuthClient(heard.gateway.auth.address, authorization, heard.key) as client:
        for method in METHODS:
            for request in requests_of(method, key_id, keys):
                if method in ("RevokeKey", "DisableKey", "DeleteKey") and getattr(request, "key_id", "") == key_id:
                    continue  # it is needed to the end
                try:
                    await client.call(method, request)
                except grpc.aio.AioRpcError as error:
                    heard.answers.append(f"{method}: {error.code().name}: {error.details()} {trailer(error)}")


def trailer(error: grpc.aio.AioRpcError) -> str:
    """Return the metadata of a failed call, the rich status among them."""
    values: list[Any] = [value for _, value in error.trailing_metadata() or ()]
    return " ".join(value.decode("latin-1") if isinstance(value, bytes) else value for value in values)


async def use_the_edge(heard: Heard, good: str, bad: list[str]) -> None:
    """Connect with a good key and with bad ones, send keys where they do not belong, and ask over HTTP."""
    target = Target.of(heard.gateway)
    async with Clients(target) as clients:
        client = await clients.connected(api_key=good)
        await client.join("lobby")
        for key in (good, *bad):
            connect = {"api_key": key, "connection_type": "chat", "domain": "tests", "workspace": clients.workspace}
            for wrong in ({"api_key": key}, {**connect, "resume": key}, {**connect, "domain": key + "!"}, connect):
                if (key, wrong) != (good, connect):
                    heard.answers.append(json.dumps(await refused(clients, wrong)))
            for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
                url = f"{target.http_url}/api/chat/threads?domain=tests&workspace={clients.workspace}&api_key={quote(key)}"
                answer = await asyncio.to_thread(http, "GET", url, headers=headers)
                heard.answers.append(answer.body.decode())
        unread = await clients.open()
        await unread.send_text(f'{{"type": "connect", "data": {{"api_key": "{good}"')
        heard.answers.append(json.dumps(await unread.receive()))


async def send_no_http(heard: Heard, key: str) -> None:
    """Send what is no HTTP, with a key in it, to each port that speaks HTTP."""
    ports = dict(http_ports(heard.gateway))
    assert len(ports) == 8
    for name, port in ports.items():
        for nonsense in NO_HTTP:
            answer = await spoken(port, nonsense.format(key))
            # Python's own server, of the metrics ports of two services, takes a header that is none, and says 400 without
            # a line of status to what it takes for HTTP/0.9.
            status = answer.partition("\n")[0]
            theirs = name.endswith("metrics_port") and (" 200 OK" in status or "Error code: 400" in answer)
            assert " 400 " in status or theirs, f"{name}: {answer}"
            heard.answers.append(f"{name}: {answer}")


def http_ports(gateway: Gateway) -> Iterator[tuple[str, int]]:
    """Yield each port that speaks HTTP, and its name."""
    yield "edge", int(gateway.edge.address.rpartition(":")[2])
    for process in (gateway.auth, gateway.session, gateway.edge):
        for name in ("http_port", "metrics_port", "admin_port"):
            if name in process.facts:
                yield f"{process.name} {name}", int(process.facts[name])


async def spoken(port: int, text: str) -> str:
    """Return what is answered to something that is no HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{text}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            return (await reader.read()).decode("latin-1")
    finally:
        writer.close()


async def refused(clients: Clients, connect: dict[str, Any]) -> Any:
    """Return the error that follows a `connect`."""
    client = await clients.open()
    await client.send("connect", connect)
    return await client.expect("error")


def metrics_of(gateway: Gateway, process: ServiceProcess) -> str:
    address = process.address
    if process is not gateway.edge:
        facts = json.loads((gateway.directory / f"{process.name}.ready").read_text())
        address = f"127.0.0.1:{facts['metrics_port']}"
    text = http("GET", f"http://{address}/metrics").body.decode()
    assert "tidewire_" in text
    return text

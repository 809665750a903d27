"""`envoy.service.auth.v3.Authorization`, asked over gRPC as Envoy asks; real Envoy is in `test_proxies.py`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tidewire.envoy.v3 import external_auth_pb2 as envoy_pb2
from tidewire.envoy.v3 import external_auth_pb2_grpc

from service_runtime.grpc_errors import error_info
from tests.support.auth_client import AuthClient
from tests.support.http_auth import UNKNOWN_KEY, HttpAuth

pytestmark = pytest.mark.integration

NAME = "envoy.service.auth.v3.Authorization"
OVERWRITE = envoy_pb2.HeaderValueOption.HEADER_APPEND_ACTION_OVERWRITE_IF_EXISTS_OR_ADD


@pytest.fixture(scope="module")
def auth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpAuth]:
    """An auth service that no test stops; this needs no HTTP."""
    running = HttpAuth(tmp_path_factory.mktemp("auth"), {"http-port": -1})
    running.process.start()
    yield running
    running.end()


@pytest.fixture
async def client(auth: HttpAuth) -> AsyncIterator[AuthClient]:
    async with auth.client() as made:
        yield made


async def check(
    auth: HttpAuth,
    headers: Mapping[str, str],
    *,
    address: str = "",
    credential: str | None = None,
    **extensions: str,
) -> envoy_pb2.CheckResponse:
    """Ask as Envoy does."""
    asked = envoy_pb2.CheckRequest()
    asked.attributes.request.http.headers.update(headers)
    asked.attributes.context_extensions.update(extensions)
    if address:
        asked.attributes.source.address.socket_address.address = address
    shown = auth.token if credential is None else credential
    metadata = (("authorization", f"Bearer {shown}"),) if shown else ()
    async with grpc.aio.insecure_channel(auth.process.address) as channel:
        stub: Any = external_auth_pb2_grpc.AuthorizationStub(channel)
        answer: envoy_pb2.CheckResponse = await stub.Check(asked, metadata=metadata, timeout=10)
        return answer


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def assert_denied(answer: envoy_pb2.CheckResponse, status: int, code: str, rpc_code: int) -> dict[str, str]:
    assert answer.WhichOneof("http_response") == "denied_response"
    denied = answer.denied_response
    headers = {option.header.key: option.header.value for option in denied.headers}
    assert (denied.status.code, headers["X-Tidewire-Code"], answer.status.code) == (status, code, rpc_code)
    assert json.loads(denied.body)["code"] == code
    assert all(option.append_action == OVERWRITE for option in denied.headers)
    return headers


async def test_a_good_key_is_let_through_with_its_identity(auth: HttpAuth, client: AuthClient) -> None:
    key, text = await client.create(["join:a"], owner="team Zoë")
    for headers in (bearer(text), {"x-api-key": text}):
        answer = await check(auth, headers, action="join", channel="a")
        assert answer.status.code == code_pb2.OK
        assert answer.WhichOneof("http_response") == "ok_response"
        set_headers = {option.header.key: option.header.value for option in answer.ok_response.headers}
        assert set_headers == {
            "X-Tidewire-Key-Id": key.key_id,
            "X-Tidewire-Owner": "team%20Zo%C3%AB",
            "X-Tidewire-Permissions": "join:a",
        }
        assert all(option.append_action == OVERWRITE for option in answer.ok_response.headers)


async def test_names_that_look_like_identity_are_removed_and_identity_itself_is_not(
    auth: HttpAuth, client: AuthClient
) -> None:
    """Envoy removes after it sets."""
    _, text = await client.create()
    removed = set((await check(auth, bearer(text))).ok_response.headers_to_remove)
    assert {"x_tidewire_owner", "x-tidewire_owner", "x_tidewire_key_id", "x_tidewire_permissions"} <= removed
    assert not {"x-tidewire-owner", "x-tidewire-key-id", "x-tidewire-permissions"} & removed


async def test_each_denial(auth: HttpAuth, client: AuthClient) -> None:
    unauthenticated, denied = code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED
    headers = assert_denied(await check(auth, {}), 401, "NO_KEY", unauthenticated)
    assert headers["WWW-Authenticate"] == 'Bearer realm="tidewire"'
    headers = assert_denied(await check(auth, bearer(UNKNOWN_KEY)), 401, "NOT_FOUND", unauthenticated)
    assert headers["WWW-Authenticate"] == 'Bearer realm="tidewire", error="invalid_token"'
    assert headers["Content-Type"] == "application/json"
    key, text = await client.create(["join:a"], allowed_domains=["here"], allowed_workspaces=["mine"])
    answer = await check(auth, bearer(text), action="publish", channel="a")
    headers = assert_denied(answer, 403, "INSUFFICIENT_PERMISSIONS", denied)
    assert 'scope="publish:a"' in headers["WWW-Authenticate"]
    assert_denied(await check(auth, bearer(text), domain="there"), 403, "FORBIDDEN", denied)
    assert_denied(await check(auth, bearer(text), workspace="yours"), 403, "FORBIDDEN", denied)
    await client.disable(key.key_id)
    assert_denied(await check(auth, bearer(text)), 401, "DISABLED", unauthenticated)
    await client.revoke(key.key_id)
    assert_denied(await check(auth, bearer(text)), 401, "REVOKED", unauthenticated)


async def test_a_key_is_charged_and_then_used_up(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create(max_uses=1)
    assert (await check(auth, bearer(text))).status.code == code_pb2.OK
    assert_denied(await check(auth, bearer(text)), 429, "USAGE_EXCEEDED", code_pb2.RESOURCE_EXHAUSTED)


async def test_failed_attempts_are_counted_by_the_address_of_the_source(auth: HttpAuth) -> None:
    for _ in range(10):
        assert_denied(
            await check(auth, bearer(UNKNOWN_KEY), address="192.0.2.9"), 401, "NOT_FOUND", code_pb2.UNAUTHENTICATED
        )
    answer = await check(auth, bearer(UNKNOWN_KEY), address="192.0.2.9")
    headers = assert_denied(answer, 429, "RATE_LIMITED", code_pb2.RESOURCE_EXHAUSTED)
    assert int(headers["Retry-After"]) >= 1
    answer = await check(auth, bearer(UNKNOWN_KEY), address="2001:db8::9")
    assert_denied(answer, 401, "NOT_FOUND", code_pb2.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("extensions", "field"),
    [
        ({"chanel": "a"}, "chanel"),
        ({"channel": "a"}, "action"),
        ({"action": "jump"}, "action"),
        ({"domain": " "}, "domain"),
    ],
)
async def test_a_route_that_is_configured_wrongly_is_a_fault(
    auth: HttpAuth, client: AuthClient, extensions: dict[str, str], field: str
) -> None:
    _, text = await client.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(auth, bearer(text), **extensions)
    info = error_info(caught.value)
    assert info is not None
    assert (caught.value.code(), info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert info.metadata["field"] == field


async def test_a_proxy_is_let_in_for_verification_alone(auth: HttpAuth, client: AuthClient) -> None:
    _, text = await client.create()
    _, allowed = await client.create(["admin:verify"])
    _, other = await client.create(["admin:check"])
    assert (await check(auth, bearer(text), credential=allowed)).status.code == code_pb2.OK
    for credential, status in (
        ("", grpc.StatusCode.UNAUTHENTICATED),
        ("wrong", grpc.StatusCode.UNAUTHENTICATED),
        (other, grpc.StatusCode.PERMISSION_DENIED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(auth, bearer(text), credential=credential)
        assert caught.value.code() is status


async def test_it_is_in_health_and_reflection(auth: HttpAuth) -> None:
    async with grpc.aio.insecure_channel(auth.process.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)])
        async for found in reflection.ServerReflectionInfo(asked, timeout=10):
            assert found.file_descriptor_response.file_descriptor_proto


def test_our_part_of_the_contract_has_the_numbers_of_the_whole() -> None:
    """As in envoy/service/auth/v3 of Envoy 1.40; whoever changes one breaks every proxy."""
    numbers = {
        f"{message.name}.{field.name}": field.number
        for message in _messages()
        for field in message.fields
        if not message.GetOptions().map_entry
    }
    assert numbers == {
        "CheckRequest.attributes": 1,
        "AttributeContext.source": 1,
        "AttributeContext.request": 4,
        "AttributeContext.context_extensions": 10,
        "Peer.address": 1,
        "Request.http": 2,
        "HttpRequest.headers": 3,
        "Address.socket_address": 1,
        "SocketAddress.address": 2,
        "CheckResponse.status": 1,
        "CheckResponse.denied_response": 2,
        "CheckResponse.ok_response": 3,
        "Status.code": 1,
        "Status.message": 2,
        "DeniedHttpResponse.status": 1,
        "DeniedHttpResponse.headers": 2,
        "DeniedHttpResponse.body": 3,
        "OkHttpResponse.headers": 2,
        "OkHttpResponse.headers_to_remove": 5,
        "HttpStatus.code": 1,
        "HeaderValueOption.header": 1,
        "HeaderValueOption.append_action": 3,
        "HeaderValue.key": 1,
        "HeaderValue.value": 2,
    }


def _messages() -> list[Any]:
    found = list(envoy_pb2.DESCRIPTOR.message_types_by_name.values())
    for message in found:
        found.extend(message.nested_types)
    return found

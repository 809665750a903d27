"""A key is a caller of the methods of its groups, and of no others."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from tidewire.auth.v1 import admin_pb2, auth_pb2

from auth_service.core.callers import Group
from service_runtime.grpc_errors import error_info
from tests.support.auth_client import ADMIN_METHODS, AUTH_METHODS, AuthClient, refused
from tests.support.processes import ServiceProcess

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"

# As the contracts say: `auth/v1/auth.proto` and `auth/v1/admin.proto`.
GROUP_OF: Final = {
    "VerifyKey": "verify",
    "VerifyKeys": "verify",
    "IntrospectKey": "verify",
    "CheckPermission": "check",
    "WatchKeys": "watch",
    "GetKey": "keys.read",
    "ListKeys": "keys.read",
    "CreateKey": "keys.write",
    "UpdateKey": "keys.write",
    "RotateKey": "keys.write",
    "RevokeKey": "keys.write",
    "DisableKey": "keys.write",
    "EnableKey": "keys.write",
    "DeleteKey": "keys.write",
    "ListAuditEntries": "audit.read",
}
GROUPS: Final = sorted(set(GROUP_OF.values()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that no test stops."""
    folder: Path = tmp_path_factory.mktemp("auth")
    variables = {"TIDEWIRE_MODE": "production", "TIDEWIRE_SERVICE_TOKEN": TOKEN}
    process = ServiceProcess("auth_service", folder, {"data-dir": folder / "data"}, variables)
    process.start()
    yield process
    assert process.stop() == 0, process.log()[-2000:]


@pytest.fixture
async def keys(service: ServiceProcess) -> dict[str, str]:
    """A key for each group, which permits that group alone."""
    async with AuthClient(service.address, f"Bearer {TOKEN}") as client:
        return {group: (await client.create([f"admin:{group}"]))[1] for group in GROUPS}


def a_request(method: str) -> Any:
    """Return a request that does nothing: it names a key that is not there, or lacks what is needed."""
    request = getattr(auth_pb2 if method in AUTH_METHODS else admin_pb2, f"{method}Request")()
    if "key_id" in request.DESCRIPTOR.fields_by_name:
        request.key_id = "nobody"
    return request


async def assert_let_in(service: ServiceProcess, api_key: str, method: str) -> None:
    """Fail if a caller does not get as far as what it asks for."""
    async with AuthClient(service.address, f"Bearer {api_key}") as caller:
        assert await reason_of(caller.call(method, a_request(method))) in (None, "INVALID_FIELD", "KEY_NOT_FOUND")


async def reason_of(call: Awaitable[Any]) -> str | None:
    """Return why a call was refused; None: it was not."""
    try:
        await call
    except grpc.aio.AioRpcError as fault:
        info = error_info(fault)
        return info.reason if info else str(fault)
    return None


def test_every_method_has_a_group_and_every_group_is_known() -> None:
    assert set(GROUP_OF) == {*AUTH_METHODS, *ADMIN_METHODS}
    assert set(GROUPS) == {group.value for group in Group}


@pytest.mark.parametrize("method", GROUP_OF)
async def test_a_key_with_the_group_of_a_method_is_let_in(
    service: ServiceProcess, keys: dict[str, str], method: str
) -> None:
    await assert_let_in(service, keys[GROUP_OF[method]], method)


@pytest.mark.parametrize("method", GROUP_OF)
async def test_a_key_with_any_other_group_is_not(service: ServiceProcess, keys: dict[str, str], method: str) -> None:
    for group in GROUPS:
        if group != GROUP_OF[method]:
            async with AuthClient(service.address, f"Bearer {keys[group]}") as caller:
                with refused("CALLER_NOT_ALLOWED"):
                    await caller.call(method, a_request(method))


@pytest.mark.parametrize("method", GROUP_OF)
async def test_patterns_open_what_they_match(service: ServiceProcess, method: str) -> None:
    async with AuthClient(service.address, f"Bearer {TOKEN}") as client:
        _, text = await client.create(["admin:keys.*", "join:*"])
    if GROUP_OF[method].startswith("keys."):
        await assert_let_in(service, text, method)
        return
    async with AuthClient(service.address, f"Bearer {text}") as caller:
        with refused("CALLER_NOT_ALLOWED"):
            await caller.call(method, a_request(method))

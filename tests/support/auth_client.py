"""Calls the auth service as a service or a back end does, over gRPC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar

import grpc
import pytest
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, auth_pb2, auth_pb2_grpc, keys_pb2

from service_runtime.grpc_channel import ClientTls, open_channel
from service_runtime.grpc_errors import error_info
from tests.support.contracts import documented_reasons

DEADLINE_S = 15.0
REASONS = documented_reasons("tidewire/auth/v1/keys.proto")
ERROR_DOMAIN = "auth.tidewire"

AUTH_METHODS = tuple(auth_pb2.DESCRIPTOR.services_by_name["AuthService"].methods_by_name)
ADMIN_METHODS = tuple(admin_pb2.DESCRIPTOR.services_by_name["KeyAdminService"].methods_by_name)


class Observed:
    """What the tests of a run have seen, so that a test can say that nothing was left out."""

    verdicts: ClassVar[set[str]] = set()
    reasons: ClassVar[set[str]] = set()


class AuthClient:
    """One connection to an auth service.

    Args:
        address: Where it listens.
        credential: The value of `authorization`; None: none at all.
        on_key: Called with the text of each key that is made.
        tls: What it trusts and shows; None: plain text.
    """

    def __init__(
        self,
        address: str,
        credential: str | None = None,
        on_key: Callable[[str], None] = lambda _: None,
        *,
        tls: ClientTls | None = None,
    ) -> None:
        self._channel = open_channel(address, tls)
        self._auth = auth_pb2_grpc.AuthServiceStub(self._channel)
        self._admin = admin_pb2_grpc.KeyAdminServiceStub(self._channel)
        self._metadata = () if credential is None else (("authorization", credential),)
        self._on_key = on_key

    async def __aenter__(self) -> AuthClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def call(self, method: str, request: Any = None, *, timeout_s: float = DEADLINE_S) -> Any:
        """Call any method; without a request, with an empty one. Of a stream: its first response."""
        stub: Any = self._auth if method in AUTH_METHODS else self._admin
        if request is None:
            request = getattr(auth_pb2 if method in AUTH_METHODS else admin_pb2, f"{method}Request")()
        answer = getattr(stub, method)(request, metadata=self._metadata, timeout=timeout_s, wait_for_ready=True)
        if method == "WatchKeys":
            try:
                return await answer.read()
            finally:
                answer.cancel()
        return await answer

    # Verdicts.

    async def verify(self, api_key: str, **use: str) -> Any:
        """Return the verdict on a key."""
        answer = await self.call("VerifyKey", auth_pb2.VerifyKeyRequest(api_key=api_key, **use))
        return answer.verdict

    async def verify_many(self, *requests: dict[str, str]) -> list[Any]:
        """Return the verdicts on several keys."""
        each = [auth_pb2.VerifyKeyRequest(**request) for request in requests]
        return list((await self.call("VerifyKeys", auth_pb2.VerifyKeysRequest(requests=each))).verdicts)

    async def check(self, key_id: str, action: str, channel: str = "", **where: str) -> Any:
        """Return the verdict on what the holder of a key wants to do."""
        request = auth_pb2.CheckPermissionRequest(key_id=key_id, action=action, channel=channel, **where)
        return (await self.call("CheckPermission", request)).verdict

    # Administration.

    async def create(
        self, permissions: Sequence[str] = ("*:*",), *, expires_in_s: float | None = None, **fields: Any
    ) -> tuple[Any, str]:
        """Make a key; return it and its text."""
        request = admin_pb2.CreateKeyRequest(**{"owner": "tests", "permissions": permissions, **fields})
        if expires_in_s is not None:
            request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=expires_in_s))
        answer = await self.call("CreateKey", request)
        self._on_key(answer.api_key)
        return answer.key, answer.api_key

    async def get(self, key_id: str) -> Any:
        return (await self.call("GetKey", admin_pb2.GetKeyRequest(key_id=key_id))).key

    async def list_page(self, page_size: int = 0, page_token: str = "", owner: str = "") -> Any:
        request = admin_pb2.ListKeysRequest(page_size=page_size, page_token=page_token, owner=owner)
        return await self.call("ListKeys", request)

    async def revoke(self, key_id: str, reason: str = "") -> Any:
        return (await self.call("RevokeKey", admin_pb2.RevokeKeyRequest(key_id=key_id, reason=reason))).key

    async def disable(self, key_id: str, reason: str = "") -> Any:
        return (await self.call("DisableKey", admin_pb2.DisableKeyRequest(key_id=key_id, reason=reason))).key

    async def enable(self, key_id: str) -> Any:
        return (await self.call("EnableKey", admin_pb2.EnableKeyRequest(key_id=key_id))).key

    # The watch.

    async def revision(self) -> int:
        """Return a revision that is the present one at least: that of a change made for the purpose."""
        return int((await self.create())[0].revision)

    @asynccontextmanager
    async def watch(self, from_revision: int = 0) -> AsyncIterator[Watch]:
        """Open a watch; its first response has come."""
        call = self._auth.WatchKeys(
            auth_pb2.WatchKeysRequest(from_revision=from_revision),
            metadata=self._metadata,
            timeout=4 * DEADLINE_S,
            wait_for_ready=True,
        )
        watch = Watch(call, from_revision)
        try:
            watch.first = await watch.next()
            yield watch
        finally:
            call.cancel()


class Watch:
    """A stream of key changes.

    Args:
        call: The stream.
        from_revision: What it was asked for.
    """

    def __init__(self, call: Any, from_revision: int) -> None:
        self._call = call
        self._from_revision = from_revision
        self.first: Any = None

    async def next(self) -> Any:
        """Return the next response; None at the end of the stream."""
        response = await self._call.read()
        return None if response is grpc.aio.EOF else response

    async def changes(self, count: int) -> list[tuple[str, str]]:
        """Return the next changes as (key id, verdict); checkpoints between them are left out."""
        found: list[tuple[str, str]] = []
        reached = self._from_revision or self.first.checkpoint.revision
        while len(found) < count:
            response = await self.next()
            assert response is not None, "the stream ended"
            kind = response.WhichOneof("event")
            if kind == "change":
                assert response.change.revision > reached
                reached = response.change.revision
                found.append((response.change.key_id, code_name(response.change.code)))
            else:
                assert kind == "checkpoint", response
                assert response.checkpoint.revision >= reached
        return found

    async def checkpoint(self) -> int:
        """Return the revision of the next checkpoint; nothing else may come before it."""
        response = await self.next()
        assert response is not None, "the stream ended"
        assert response.WhichOneof("event") == "checkpoint", response
        return int(response.checkpoint.revision)

    async def until_resync(self) -> str:
        """Return the reason of the `resync_required` that comes; the stream must end with it."""
        while True:
            response = await self.next()
            assert response is not None, "the stream ended without a word"
            if response.WhichOneof("event") == "resync_required":
                assert await self.next() is None
                return str(response.resync_required.reason)


def code_name(code: int) -> str:
    """Return a verdict code without its prefix."""
    return auth_pb2.VerdictCode.Name(code).removeprefix("VERDICT_CODE_")  # type: ignore[arg-type]


def state_name(state: int) -> str:
    """Return a key's state without its prefix."""
    return keys_pb2.KeyState.Name(state).removeprefix("KEY_STATE_")  # type: ignore[arg-type]


def assert_verdict(verdict: Any, code: str, **fields: Any) -> None:
    """Fail unless a verdict has this code and these fields."""
    assert code_name(verdict.code) == code, verdict
    Observed.verdicts.add(code)
    for name, value in fields.items():
        assert getattr(verdict, name) == value, f"{name} should be {value!r}: {verdict}"


@contextmanager
def refused(reason: str, *, field: str = "") -> Iterator[None]:
    """Fail unless the block is refused for this reason of the contract, with its status, quickly."""
    number, status, _ = REASONS[reason]
    assert number
    started_s = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    fault = caught.value
    info = error_info(fault)
    assert info is not None, fault
    assert (info.reason, info.domain, fault.code()) == (reason, ERROR_DOMAIN, status), fault
    assert info.metadata.get("field", "") == field, fault
    assert fault.details()
    assert time.monotonic() - started_s < DEADLINE_S
    Observed.reasons.add(reason)

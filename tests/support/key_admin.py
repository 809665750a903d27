"""Makes and changes API keys through KeyAdminService, as an administrator does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, keys_pb2

from tests.support.authority import Identity

DEADLINE_S = 30.0
# A change is told at once. Who was told nothing asks again after five seconds: what takes longer than this was not told.
ACTS_WITHIN_S = 4.0


@dataclass(frozen=True)
class MadeKey:
    """A key that was just made."""

    key_id: str
    api_key: str


class KeyAdmin:
    """Talks to one auth service.

    Args:
        target: Its address.
        token: The service token, or a key with the permission `admin`.
        on_key: Called with the text of each key that is made, so that logs can be searched for it.
        tls: What it trusts and shows, read at each call; None: plain text.
    """

    def __init__(
        self,
        target: str,
        token: str,
        on_key: Callable[[str], None] = lambda _: None,
        *,
        tls: Identity | None = None,
    ) -> None:
        self._tls = tls
        self._target = target
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._on_key = on_key

    def _call(self, method: str, request: Any) -> Any:
        with self._channel() as channel:
            stub = admin_pb2_grpc.KeyAdminServiceStub(channel)
            return getattr(stub, method)(request, metadata=self._metadata, timeout=DEADLINE_S, wait_for_ready=True)

    def _channel(self) -> grpc.Channel:
        if self._tls is None:
            return grpc.insecure_channel(self._target)
        content = self._tls.files().read()
        return grpc.secure_channel(self._target, grpc.ssl_channel_credentials(content.ca, content.key, content.cert))

    def create(
        self,
        permissions: Sequence[str] = ("*:*",),
        *,
        domains: Sequence[str] = (),
        workspaces: Sequence[str] = (),
        expires_in_s: float | None = None,
        **limits: int,
    ) -> MadeKey:
        """Make a key."""
        request = admin_pb2.CreateKeyRequest(
            owner="tests",
            name=f"test {secrets.token_hex(4)}",
            permissions=permissions,
            allowed_domains=domains,
            allowed_workspaces=workspaces,
            limits=keys_pb2.KeyLimits(**limits),
            environment="test",
        )
        if expires_in_s is not None:
            request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=expires_in_s))
        answer = self._call("CreateKey", request)
        self._on_key(answer.api_key)
        return MadeKey(answer.key.key_id, answer.api_key)

    def revoke(self, key: MadeKey) -> None:
        self._call("RevokeKey", admin_pb2.RevokeKeyRequest(key_id=key.key_id, reason="test"))

    def disable(self, key: MadeKey) -> None:
        self._call("DisableKey", admin_pb2.DisableKeyRequest(key_id=key.key_id, reason="test"))

    def enable(self, key: MadeKey) -> None:
        self._call("EnableKey", admin_pb2.EnableKeyRequest(key_id=key.key_id))

    def delete(self, key: MadeKey) -> None:
        self._call("DeleteKey", admin_pb2.DeleteKeyRequest(key_id=key.key_id, reason="test"))

    def update(
        self,
        key: MadeKey,
        *,
        permissions: Sequence[str] | None = None,
        domains: Sequence[str] | None = None,
        workspaces: Sequence[str] | None = None,
        expires_in_s: float | None = None,
        limits: dict[str, int] | None = None,
    ) -> None:
        """Change what is given of a key, and nothing else."""
        request = admin_pb2.UpdateKeyRequest(key=keys_pb2.Key(key_id=key.key_id))
        lists = {"permissions": permissions, "allowed_domains": domains, "allowed_workspaces": workspaces}
        for name, values in lists.items():
            if values is not None:
                getattr(request.key, name).extend(values)
                request.update_mask.paths.append(name)
        if expires_in_s is not None:
            request.key.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=expires_in_s))
            request.update_mask.paths.append("expire_time")
        if limits is not None:
            request.key.limits.CopyFrom(keys_pb2.KeyLimits(**limits))
            request.update_mask.paths.append("limits")
        self._call("UpdateKey", request)

    def never_expires(self, key: MadeKey) -> None:
        """Take a key's expiry away."""
        request = admin_pb2.UpdateKeyRequest(key=keys_pb2.Key(key_id=key.key_id))
        request.update_mask.paths.append("expire_time")
        self._call("UpdateKey", request)

    def rotate(self, key: MadeKey, *, grace_s: float) -> MadeKey:
        """Give a key a successor, which is returned, and let it live on for a while."""
        request = admin_pb2.RotateKeyRequest(key_id=key.key_id)
        request.grace.FromMilliseconds(int(grace_s * 1000))
        answer = self._call("RotateKey", request)
        self._on_key(answer.api_key)
        return MadeKey(answer.key.key_id, answer.api_key)

"""Administration of API keys: make, read, change, rotate and remove them, and read who did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Unpack

from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc

from service_runtime.grpc_channel import ClientTls
from tidewire_client.audit import AuditEntry, AuditFilters, AuditPage, audit_request, entry_of
from tidewire_client.key_requests import (
    KeyFields,
    KeyFilters,
    create_request,
    list_request,
    timestamp,
    update_request,
)
from tidewire_client.keys import CreatedKey, Key, KeyPage, RotatedKey, VerificationRate, key_of
from tidewire_client.service_calls import ServiceCalls, ServiceClient
from tidewire_client.verdict import KeyLimits

DEFAULT_DEADLINE_S: Final = 5.0
DEFAULT_ATTEMPT_S: Final = 2.0
NO_LIMITS: Final = KeyLimits()


class KeyAdmin(ServiceClient):
    """The client of the auth service for administrators; `async with` closes the connection at the end.

    Every method raises a `TidewireError` (the tree is in `tidewire_client.errors`).

    Args:
        auth_target: gRPC target of the auth services.
        token: The caller's credential: the service token, or an API key with the permission `admin:*` (or `admin:keys.read`,
            `admin:keys.write`, `admin:audit.read` for a part); empty: `credentials` hold a client certificate that the
            service knows.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each call, repeats included, in seconds.
        attempt_s: For each attempt, in seconds.
    """

    def __init__(
        self,
        auth_target: str,
        *,
        token: str = "",
        credentials: ClientTls | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        attempt_s: float = DEFAULT_ATTEMPT_S,
    ) -> None:
        super().__init__(
            ServiceCalls(
                auth_target,
                service="auth",
                token=token,
                credentials=credentials,
                deadline_s=deadline_s,
                attempt_s=attempt_s,
            )
        )
        self._stub = admin_pb2_grpc.KeyAdminServiceStub(self._calls.channel)

    async def create(
        self,
        owner: str,
        permissions: Sequence[str],
        *,
        name: str = "",
        domains: Sequence[str] = (),
        workspaces: Sequence[str] = (),
        limits: KeyLimits = NO_LIMITS,
        expire_time: datetime | None = None,
        environment: str = "live",
        verification_rate: VerificationRate | None = None,
        max_uses: int = 0,
    ) -> CreatedKey:
        """Make a key. Not idempotent: an error with `safe_to_repeat` false may have left a key that nobody knows.

        Args:
            owner: Who answers for it: 1 to 128 characters.
            permissions: Each `action:channel pattern`, at least one.
            name: For people: up to 128 characters.
            domains: Where it may be used; empty: everywhere.
            workspaces: Where it may be used; empty: everywhere.
            limits: Of its holder.
            expire_time: From this moment on (with time zone) it is refused; None: never.
            environment: `live` or `test`.
            verification_rate: How often it may be verified; None: as often as its holder likes.
            max_uses: Verifications that it is good for in all; 0: without end.

        Raises:
            ValueError: `expire_time` has no time zone, or a number is out of the contract's range.
        """
        more = KeyFields(
            name=name,
            domains=domains,
            workspaces=workspaces,
            limits=limits,
            expire_time=expire_time,
            verification_rate=verification_rate,
            max_uses=max_uses,
        )
        request = create_request(owner, permissions, environment, more)
        answer = await self._calls.once(self._stub.CreateKey, request)
        return CreatedKey(key_of(answer.key), answer.api_key)

    async def get(self, key_id: str) -> Key:
        """Return a key.

        Raises:
            NotFound: There is none with this id.
        """
        answer = await self._calls.repeatable(self._stub.GetKey, admin_pb2.GetKeyRequest(key_id=key_id))
        return key_of(answer.key)

    async def list_page(self, *, page_size: int = 0, page_token: str = "", **filters: Unpack[KeyFilters]) -> KeyPage:
        """Return one page of keys, oldest first; it may hold few keys, or none, and not be the last.

        Args:
            page_size: 1 to 1000; 0: the service's own.
            page_token: Of the page before; empty: the first page.
            filters: `owner`, `states`, `environment`, `name_contains`, `expires_before`: see `KeyFilters`.

        Raises:
            ValueError: A filter cannot be asked for.
        """
        request = list_request(page_size, page_token, filters)
        answer = await self._calls.repeatable(self._stub.ListKeys, request)
        return KeyPage(tuple(map(key_of, answer.keys)), answer.next_page_token)

    async def list_all(self, **filters: Unpack[KeyFilters]) -> AsyncIterator[Key]:
        """Yield every key, oldest first, page by page; only those that fit the filters of `list_page`."""
        token = ""
        while True:
            page = await self.list_page(page_token=token, **filters)
            for key in page.keys:
                yield key
            token = page.next_page_token
            if not token:
                return

    async def update(self, key_id: str, *, etag: str = "", **fields: Unpack[KeyFields]) -> Key:
        """Change fields of a key: those that are given, and no others. What its verdict said before is forgotten everywhere.

        Args:
            key_id: Which key.
            etag: Of the key as it was read: the change is refused if the key has changed since; empty: whatever it is now.
            fields: `name`, `owner`, `permissions`, `domains`, `workspaces`, `limits`, `expire_time`, `verification_rate`,
                `max_uses`: see `KeyFields`.

        Raises:
            NotFound: There is none with this id.
            EtagMismatch: It has changed since it was read.
            FailedPrecondition: It is revoked.
            ValueError: No field is given, or a value is out of the contract's range.
        """
        request = update_request(key_id, etag, fields)
        # Sent again, a change with an etag would be refused for having been made.
        call = self._calls.once if etag else self._calls.repeatable
        return key_of((await call(self._stub.UpdateKey, request)).key)

    async def rotate(self, key_id: str, *, grace: timedelta, expire_time: datetime | None = None) -> RotatedKey:
        """Make a key with a new id and secret in the place of another one, which stays good for a time of grace.

        Not idempotent: an error with `safe_to_repeat` false may have left a key that nobody knows.

        Args:
            key_id: The key to replace.
            grace: How long it stays good: 0 (at once) to 366 days.
            expire_time: From this moment on (with time zone) the new key is refused; None: as the old one was to be.

        Raises:
            NotFound: There is none with this id.
            KeyNotActive: It is disabled or expired.
            FailedPrecondition: It is revoked.
            ValueError: `expire_time` has no time zone.
        """
        request = admin_pb2.RotateKeyRequest(key_id=key_id, expire_time=timestamp("expire_time", expire_time))
        request.grace.FromTimedelta(grace)
        answer = await self._calls.once(self._stub.RotateKey, request)
        return RotatedKey(key_of(answer.key), answer.api_key, key_of(answer.replaced))

    async def revoke(self, key_id: str, *, reason: str = "") -> Key:
        """Refuse a key for ever; its live connections are closed. Idempotent.

        Raises:
            NotFound: There is none with this id.
        """
        request = admin_pb2.RevokeKeyRequest(key_id=key_id, reason=reason)
        return key_of((await self._calls.repeatable(self._stub.RevokeKey, request)).key)

    async def disable(self, key_id: str, *, reason: str = "") -> Key:
        """Refuse a key until it is enabled; its live connections are closed. Idempotent.

        Raises:
            NotFound: There is none with this id.
            FailedPrecondition: It is revoked.
        """
        request = admin_pb2.DisableKeyRequest(key_id=key_id, reason=reason)
        return key_of((await self._calls.repeatable(self._stub.DisableKey, request)).key)

    async def enable(self, key_id: str) -> Key:
        """Let a disabled key in again. Idempotent.

        Raises:
            NotFound: There is none with this id.
            FailedPrecondition: It is revoked.
        """
        request = admin_pb2.EnableKeyRequest(key_id=key_id)
        return key_of((await self._calls.repeatable(self._stub.EnableKey, request)).key)

    async def delete(self, key_id: str, *, reason: str = "") -> None:
        """Remove a key for good; its live connections are closed. The audit log keeps what it was.

        Raises:
            NotFound: There is none with this id, or there is none any more.
        """
        await self._calls.once(self._stub.DeleteKey, admin_pb2.DeleteKeyRequest(key_id=key_id, reason=reason))

    async def audit_page(
        self, *, page_size: int = 0, page_token: str = "", **filters: Unpack[AuditFilters]
    ) -> AuditPage:
        """Return one page of the audit log, newest first; it may hold few entries, or none, and not be the last.

        Args:
            page_size: 1 to 1000; 0: the service's own.
            page_token: Of the page before; empty: the first page.
            filters: `key_id`, `actor`, `actions`, `start_time`, `end_time`: see `AuditFilters`.

        Raises:
            ValueError: A filter cannot be asked for.
        """
        request = audit_request(page_size, page_token, filters)
        answer = await self._calls.repeatable(self._stub.ListAuditEntries, request)
        return AuditPage(tuple(map(entry_of, answer.entries)), answer.next_page_token)

    async def audit(self, **filters: Unpack[AuditFilters]) -> AsyncIterator[AuditEntry]:
        """Yield every entry of the audit log, newest first, page by page; only those that fit the filters of `audit_page`."""
        token = ""
        while True:
            page = await self.audit_page(page_token=token, **filters)
            for entry in page.entries:
                yield entry
            token = page.next_page_token
            if not token:
                return

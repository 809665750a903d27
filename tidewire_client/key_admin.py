"""Administration of API keys: make, read, revoke, disable and enable them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, keys_pb2

from service_runtime.grpc_channel import ClientTls
from tidewire_client.service_calls import ServiceCalls, ServiceClient
from tidewire_client.verdict import KeyLimits, limits_of

DEFAULT_DEADLINE_S: Final = 5.0
DEFAULT_ATTEMPT_S: Final = 2.0
NO_LIMITS: Final = KeyLimits()


class KeyState(Enum):
    """What an administrator decided of a key; expiry is no state, see `Key.expire_time`."""

    UNKNOWN = "unknown"
    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


_STATES: Final = {
    keys_pb2.KEY_STATE_ACTIVE: KeyState.ACTIVE,
    keys_pb2.KEY_STATE_DISABLED: KeyState.DISABLED,
    keys_pb2.KEY_STATE_REVOKED: KeyState.REVOKED,
}


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, all but the secret.

    Attributes:
        key_id: Its public part: safe in logs.
        owner: Who answers for it.
        name: For people.
        environment: `live` or `test`.
        prefix: The first characters of the key, for recognising it.
        permissions: Each `action:channel pattern`.
        allowed_domains: Where it may be used; empty: everywhere.
        allowed_workspaces: Where it may be used; empty: everywhere.
        limits: Of its holder.
        state: What the administrator decided.
        state_reason: Why.
        create_time: In UTC.
        update_time: In UTC.
        expire_time: From this moment on (UTC) it is refused; None: never.
        revision: The store's revision of its last change.
    """

    key_id: str
    owner: str
    name: str
    environment: str
    prefix: str
    permissions: tuple[str, ...]
    allowed_domains: tuple[str, ...]
    allowed_workspaces: tuple[str, ...]
    limits: KeyLimits
    state: KeyState
    state_reason: str
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None
    revision: int

    def usable(self, now: datetime) -> bool:
        """Say if it is accepted at a moment (with time zone): active, and strictly before its expiry."""
        return self.state is KeyState.ACTIVE and (self.expire_time is None or now < self.expire_time)


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that was just made; `api_key`, the whole key, is there this once and not in the `repr`."""

    key: Key
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys, oldest first; the token of the next page; empty: this was the last."""

    keys: tuple[Key, ...]
    next_page_token: str


class KeyAdmin(ServiceClient):
    """The client of the auth service for administrators; `async with` closes the connection at the end.

    Every method raises a `TidewireError` (the tree is in `tidewire_client.errors`).

    Args:
        auth_target: gRPC target of the auth services.
        token: The caller's credential: an API key with the permission `admin:*`, or the service token.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each call, repeats included, in seconds.
        attempt_s: For each attempt, in seconds.
    """

    def __init__(
        self,
        auth_target: str,
        *,
        token: str,
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

        Raises:
            ValueError: `expire_time` has no time zone, or a limit is out of the contract's range.
        """
        request = admin_pb2.CreateKeyRequest(
            owner=owner,
            name=name,
            permissions=permissions,
            allowed_domains=domains,
            allowed_workspaces=workspaces,
            limits=keys_pb2.KeyLimits(**asdict(limits)),
            environment=environment,
        )
        if expire_time is not None:
            if expire_time.tzinfo is None:
                raise ValueError("expire_time needs a time zone")
            request.expire_time.FromDatetime(expire_time)
        answer = await self._calls.once(self._stub.CreateKey, request)
        return CreatedKey(_key(answer.key), answer.api_key)

    async def get(self, key_id: str) -> Key:
        """Return a key.

        Raises:
            NotFound: There is none with this id.
        """
        answer = await self._calls.repeatable(self._stub.GetKey, admin_pb2.GetKeyRequest(key_id=key_id))
        return _key(answer.key)

    async def list_page(self, *, owner: str = "", page_size: int = 0, page_token: str = "") -> KeyPage:
        """Return one page of keys.

        Args:
            owner: Only this owner's; empty: all.
            page_size: 1 to 1000; 0: the service's own.
            page_token: Of the page before; empty: the first page.
        """
        request = admin_pb2.ListKeysRequest(page_size=page_size, page_token=page_token, owner=owner)
        answer = await self._calls.repeatable(self._stub.ListKeys, request)
        return KeyPage(tuple(map(_key, answer.keys)), answer.next_page_token)

    async def list_all(self, *, owner: str = "") -> AsyncIterator[Key]:
        """Yield every key, oldest first, page by page; only those of `owner` if it is not empty."""
        token = ""
        while True:
            page = await self.list_page(owner=owner, page_token=token)
            for key in page.keys:
                yield key
            token = page.next_page_token
            if not token:
                return

    async def revoke(self, key_id: str, *, reason: str = "") -> Key:
        """Refuse a key for ever; its live connections are closed. Idempotent.

        Raises:
            NotFound: There is none with this id.
        """
        request = admin_pb2.RevokeKeyRequest(key_id=key_id, reason=reason)
        return _key((await self._calls.repeatable(self._stub.RevokeKey, request)).key)

    async def disable(self, key_id: str, *, reason: str = "") -> Key:
        """Refuse a key until it is enabled; its live connections are closed. Idempotent.

        Raises:
            NotFound: There is none with this id.
            FailedPrecondition: It is revoked.
        """
        request = admin_pb2.DisableKeyRequest(key_id=key_id, reason=reason)
        return _key((await self._calls.repeatable(self._stub.DisableKey, request)).key)

    async def enable(self, key_id: str) -> Key:
        """Let a disabled key in again. Idempotent.

        Raises:
            NotFound: There is none with this id.
            FailedPrecondition: It is revoked.
        """
        request = admin_pb2.EnableKeyRequest(key_id=key_id)
        return _key((await self._calls.repeatable(self._stub.EnableKey, request)).key)


def _key(key: keys_pb2.Key) -> Key:
    return Key(
        key_id=key.key_id,
        owner=key.owner,
        name=key.name,
        environment=key.environment,
        prefix=key.prefix,
        permissions=tuple(key.permissions),
        allowed_domains=tuple(key.allowed_domains),
        allowed_workspaces=tuple(key.allowed_workspaces),
        limits=limits_of(key.limits),
        state=_STATES.get(key.state, KeyState.UNKNOWN),
        state_reason=key.state_reason,
        create_time=_time(key.create_time),
        update_time=_time(key.update_time),
        expire_time=_time(key.expire_time) if key.HasField("expire_time") else None,
        revision=key.revision,
    )


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)

"""What the auth service says of a key, as values that know nothing of protobuf."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tidewire.auth.v1 import auth_pb2, keys_pb2


class VerdictCode(Enum):
    """The result of a verification; values are those of `tidewire.auth.v1.VerdictCode`."""

    UNSPECIFIED = 0
    VALID = 1
    NOT_FOUND = 2
    DISABLED = 3
    REVOKED = 4
    EXPIRED = 5
    FORBIDDEN = 6
    INSUFFICIENT_PERMISSIONS = 7
    RATE_LIMITED = 8
    USAGE_EXCEEDED = 9


# These hold for one moment only: the next use may fare better, or was refused for another one's sake.
_OF_THE_MOMENT: Final = frozenset({VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of a key's holder; 0: the default of whoever enforces it."""

    frames_per_second: int = 0
    frames_burst: int = 0
    bytes_per_second: int = 0
    max_channels: int = 0
    max_connections: int = 0
    key_frames_per_second: int = 0
    key_bytes_per_second: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the auth service says of a key, or of something its holder wants to do.

    Attributes:
        code: The result.
        key_id: The key's id; empty for NOT_FOUND.
        owner: Who answers for the key.
        permissions: For display; decisions are made by the auth service.
        limits: Limits of the holder.
        expire_time_s: From this moment on (seconds since the Unix epoch) the key is refused; None: never.
        cache_ttl_s: How long the verdict may be used without a watch, in seconds; 0: for one use only, because each use is
            charged.
        revision: The store's revision that it was made at.
        missing: What is missing or forbidden, for people.
        retry_after_s: With RATE_LIMITED: the time after which it is worth trying again, in seconds.
        remaining_uses: Uses that are left after this one; None: the key has no such bound.
    """

    code: VerdictCode
    key_id: str = ""
    owner: str = ""
    permissions: tuple[str, ...] = ()
    limits: KeyLimits = KeyLimits()
    expire_time_s: float | None = None
    cache_ttl_s: float = 0.0
    revision: int = 0
    missing: str = ""
    retry_after_s: float = 0.0
    remaining_uses: int | None = None

    @property
    def allowed(self) -> bool:
        """The key is good for what was asked."""
        return self.code is VerdictCode.VALID

    @property
    def reusable(self) -> bool:
        """It may answer more than the one use that it was asked for."""
        return self.cache_ttl_s > 0 and self.code not in _OF_THE_MOMENT


def code_of(number: int) -> VerdictCode:
    """Return a code; one that this client does not know yet is UNSPECIFIED, which allows nothing."""
    try:
        return VerdictCode(number)
    except ValueError:
        return VerdictCode.UNSPECIFIED


def limits_of(limits: keys_pb2.KeyLimits) -> KeyLimits:
    """Return limits."""
    return KeyLimits(
        limits.frames_per_second,
        limits.frames_burst,
        limits.bytes_per_second,
        limits.max_channels,
        limits.max_connections,
        limits.key_frames_per_second,
        limits.key_bytes_per_second,
    )


def verdict_of(verdict: auth_pb2.Verdict) -> Verdict:
    """Return a verdict."""
    expires = verdict.expire_time.ToMicroseconds() / 1e6 if verdict.HasField("expire_time") else None
    return Verdict(
        code_of(verdict.code),
        verdict.key_id,
        verdict.owner,
        tuple(verdict.permissions),
        limits_of(verdict.limits),
        expires,
        verdict.cache_ttl.ToMicroseconds() / 1e6,
        verdict.revision,
        verdict.missing,
        verdict.retry_after.ToMicroseconds() / 1e6,
        verdict.remaining_uses if verdict.HasField("remaining_uses") else None,
    )

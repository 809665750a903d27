"""The verdict on a key: record, request and the present moment in, a code out.

The codes are decided in the order of `DENIAL_ORDER`; the first that applies is the verdict. What an
administrator did comes before what the clock did, and both come before what the request asked for, so
that the holder of a key that is no good learns nothing about what it would permit.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from auth_service.core.keys import KeyLimits, KeyRecord, KeyState
from auth_service.core.permissions import ADMIN, resource_of

NO_LIMITS: Final = KeyLimits()


class VerdictCode(Enum):
    """The result of a verification (`auth/v1/auth.proto`, `VerdictCode`)."""

    VALID = "valid"
    NOT_FOUND = "not_found"
    DISABLED = "disabled"
    REVOKED = "revoked"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    INSUFFICIENT_PERMISSIONS = "insufficient_permissions"
    RATE_LIMITED = "rate_limited"
    USAGE_EXCEEDED = "usage_exceeded"


DENIAL_ORDER: Final = (
    VerdictCode.NOT_FOUND,
    VerdictCode.REVOKED,
    VerdictCode.DISABLED,
    VerdictCode.EXPIRED,
    VerdictCode.FORBIDDEN,
    VerdictCode.INSUFFICIENT_PERMISSIONS,
    VerdictCode.RATE_LIMITED,
    VerdictCode.USAGE_EXCEEDED,
)
_OF_STATE: Final = {KeyState.REVOKED: VerdictCode.REVOKED, KeyState.DISABLED: VerdictCode.DISABLED}
# Whoever gets one of these holds a key that lives, and may see what it is.
_SHOWS_KEY: Final = (VerdictCode.VALID, VerdictCode.FORBIDDEN, VerdictCode.INSUFFICIENT_PERMISSIONS)


@dataclass(frozen=True, slots=True)
class Use:
    """What a key is wanted for; an empty text means that it is not checked."""

    domain: str = ""
    workspace: str = ""
    action: str = ""
    channel: str = ""


NO_USE: Final = Use()


class Verdict(NamedTuple):
    """What the service says of a key; `revision` is that of the store at which it was made.

    A tuple, because one is made for each verification: that takes half the time of a frozen dataclass.
    """

    code: VerdictCode
    revision: int
    cache_ttl_ms: int
    key_id: str = ""
    owner: str = ""
    permissions: tuple[str, ...] = ()
    limits: KeyLimits = NO_LIMITS
    expire_ms: int | None = None
    missing: str = ""
    retry_after_ms: int = 0
    remaining_uses: int | None = None
    create_ms: int = 0


def standing(record: KeyRecord | None, now_ms: int) -> VerdictCode:
    """Return the verdict on a key as such, without anything that it is wanted for."""
    if record is None:
        return VerdictCode.NOT_FOUND
    if record.state is not KeyState.ACTIVE:
        return _OF_STATE[record.state]
    return VerdictCode.EXPIRED if record.expired(now_ms) else VerdictCode.VALID


def judge(record: KeyRecord | None, use: Use, now_ms: int, *, ttl_ms: int, revision: int) -> Verdict:
    """Return the verdict on a key whose secret was found right (or that is known by its id).

    Args:
        record: the key, or None for one that is not known or whose secret was wrong.
        use: what it is wanted for.
        now_ms: the present moment, Unix milliseconds.
        ttl_ms: how long a verdict may be used at most; never reaches past the key's expiry.
        revision: the store's revision that the caller has seen everything of.
    """
    code = standing(record, now_ms)
    if record is None:
        return Verdict(code, revision, ttl_ms)
    missing = ""
    if code is VerdictCode.VALID:
        code, missing = _judge_use(record, use)
        if record.expire_ms is not None:
            ttl_ms = min(ttl_ms, record.expire_ms - now_ms)
    shows = code in _SHOWS_KEY
    return Verdict(
        code=code,
        revision=max(revision, record.revision),
        cache_ttl_ms=ttl_ms,
        key_id=record.key_id,
        owner=record.owner if shows else "",
        permissions=record.permissions.texts if shows else (),
        limits=record.limits if shows else NO_LIMITS,
        expire_ms=record.expire_ms,
        missing=missing,
        create_ms=record.create_ms if shows else 0,
    )


def _judge_use(record: KeyRecord, use: Use) -> tuple[VerdictCode, str]:
    if use.domain and record.allowed_domains and use.domain not in record.allowed_domains:
        return VerdictCode.FORBIDDEN, f"domain {use.domain}"
    if use.workspace and record.allowed_workspaces and use.workspace not in record.allowed_workspaces:
        return VerdictCode.FORBIDDEN, f"workspace {use.workspace}"
    if use.action == ADMIN:
        if record.allowed_domains and not use.domain:
            return VerdictCode.FORBIDDEN, "every domain"
        if record.allowed_workspaces and not use.workspace:
            return VerdictCode.FORBIDDEN, "every workspace"
    if use.action:
        resource = resource_of(use.action, use.channel)
        if not record.permissions.allows(use.action, resource):
            return VerdictCode.INSUFFICIENT_PERMISSIONS, f"{use.action}:{resource}"
    return VerdictCode.VALID, ""

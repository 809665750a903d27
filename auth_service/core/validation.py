"""Bounds on every field of a request; an error names the field.

`clean_*` functions return the value as it is to be used, and raise `InvalidFieldError` otherwise. The bounds
are those that the contracts state beside each field.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from auth_service.core.errors import InvalidFieldError, LimitExceededError, PermissionSyntaxError
from auth_service.core.key_format import BRAND, DEFAULT_ENVIRONMENT, ENVIRONMENTS
from auth_service.core.keys import KeyLimits, VerificationRate
from auth_service.core.permissions import ACTIONS, ACTIONS_WITHOUT_CHANNEL, PermissionSet
from auth_service.core.verification import Use

MAX_OWNER_CHARS: Final = 128
MAX_NAME_CHARS: Final = 128
MAX_REASON_CHARS: Final = 256
MAX_PERMISSIONS: Final = 100
MAX_PLACES: Final = 100
MAX_LIMIT: Final = 2**53 - 1
# The last millisecond of the year 9999, the end of protobuf's Timestamp.
MAX_TIME_MS: Final = 253_402_300_799_999
MAX_BATCH: Final = 256
DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000
MAX_ACTOR_CHARS: Final = 256
MAX_VERIFICATIONS: Final = 1_000_000
MIN_PERIOD_MS: Final = 1000
MAX_PERIOD_MS: Final = 31 * 86_400_000
MAX_USES: Final = 10**15
MAX_GRACE_MS: Final = 366 * 86_400_000

# A whole key in the place of its id is refused here, before anything repeats it.
_KEY_ID: Final = re.compile(rf"(?!{BRAND}_)[A-Za-z0-9_]{{1,64}}")
_PLACE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A channel's name, or a client_id; also the reserved `*` and `@client_id`.
_CHANNEL: Final = re.compile(r"[A-Za-z0-9_.:/@#*-]{1,128}")
_PAGE_TOKEN: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A new key as it was asked for, not yet checked."""

    owner: str
    name: str
    permissions: Sequence[str]
    allowed_domains: Sequence[str]
    allowed_workspaces: Sequence[str]
    limits: KeyLimits
    expire_ms: int | None
    environment: str
    verification_rate: VerificationRate | None = None
    max_uses: int = 0


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A new key as it shall be: every field within its bounds."""

    owner: str
    name: str
    permissions: PermissionSet
    allowed_domains: tuple[str, ...]
    allowed_workspaces: tuple[str, ...]
    limits: KeyLimits
    expire_ms: int | None
    environment: str
    verification_rate: VerificationRate | None = None
    max_uses: int = 0


# How each field of a key is checked, by its name in the contract: from the request and the present moment to the value.
CLEANERS: Final[Mapping[str, Callable[[KeyRequest, int], Any]]] = {
    "owner": lambda request, _: _clean_text("owner", request.owner, 1, MAX_OWNER_CHARS),
    "name": lambda request, _: _clean_text("name", request.name, 0, MAX_NAME_CHARS),
    "permissions": lambda request, _: _clean_permissions(request.permissions),
    "allowed_domains": lambda request, _: _clean_places("allowed_domains", request.allowed_domains),
    "allowed_workspaces": lambda request, _: _clean_places("allowed_workspaces", request.allowed_workspaces),
    "limits": lambda request, _: _clean_limits(request.limits),
    "expire_time": lambda request, now_ms: clean_expiry(request.expire_ms, now_ms),
    "environment": lambda request, _: _clean_environment(request.environment),
    "verification_rate": lambda request, _: _clean_rate(request.verification_rate),
    "max_uses": lambda request, _: _clean_max_uses(request.max_uses),
}
_SPEC_FIELDS: Final = {"expire_time": "expire_ms"}


def clean_key_request(request: KeyRequest, now_ms: int) -> KeySpec:
    """Check every field of a request for a new key.

    Raises:
        InvalidFieldError: names the first field that breaks a rule.
    """
    return KeySpec(**{_SPEC_FIELDS.get(name, name): clean(request, now_ms) for name, clean in CLEANERS.items()})


def clean_key_id(key_id: str) -> str:
    """Return the id of a key.

    Raises:
        InvalidFieldError: it cannot be one.
    """
    if _KEY_ID.fullmatch(key_id) is None:
        raise InvalidFieldError("key_id", "must be 1 to 64 characters of A-Z a-z 0-9 _, the id alone")
    return key_id


def clean_reason(reason: str) -> str:
    """Return the reason that an administrator gave.

    Raises:
        InvalidFieldError: it is too long, or holds control characters.
    """
    return _clean_text("reason", reason, 0, MAX_REASON_CHARS)


def clean_owner_filter(owner: str) -> str:
    """Return the owner to list keys of; empty means all.

    Raises:
        InvalidFieldError: no key could have that owner.
    """
    return _clean_text("owner", owner, 0, MAX_OWNER_CHARS)


def clean_name_filter(text: str) -> str:
    """Return what the names of keys to list have in them; empty means all.

    Raises:
        InvalidFieldError: no name could have it.
    """
    return _clean_text("name_contains", text, 0, MAX_NAME_CHARS)


def clean_environment_filter(environment: str) -> str:
    """Return the environment to list keys of; empty means all.

    Raises:
        InvalidFieldError: there is none of this name.
    """
    return environment and _clean_environment(environment)


def clean_actor_filter(actor: str) -> str:
    """Return the actor to list changes of; empty means all.

    Raises:
        InvalidFieldError: there can be none of this name.
    """
    return _clean_text("actor", actor, 0, MAX_ACTOR_CHARS)


def clean_grace(grace_ms: int | None) -> int:
    """Return how long a key that is rotated stays good, in milliseconds.

    Raises:
        InvalidFieldError: it is not given, or out of bounds.
    """
    if grace_ms is None or not 0 <= grace_ms <= MAX_GRACE_MS:
        raise InvalidFieldError("grace", "must be given, from 0 (the old key ends at once) to 366 days")
    return grace_ms


def clean_expiry(expire_ms: int | None, now_ms: int) -> int | None:
    """Return when a key is to expire, Unix milliseconds; None: never.

    Raises:
        InvalidFieldError: it does not lie in the future, or beyond the year 9999.
    """
    if expire_ms is not None and not now_ms < expire_ms <= MAX_TIME_MS:
        raise InvalidFieldError("expire_time", "must lie in the future, and before the year 10000")
    return expire_ms


def clean_page_size(page_size: int) -> int:
    """Return the number of entries a page.

    Raises:
        InvalidFieldError: it is out of bounds.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidFieldError("page_size", f"must be 1 to {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}")
    return page_size or DEFAULT_PAGE_SIZE


def clean_page_token(page_token: str) -> int:
    """Return the position that a page starts after; 0 for an empty token.

    Raises:
        InvalidFieldError: no page ever ended with this token.
    """
    if not page_token:
        return 0
    if _PAGE_TOKEN.fullmatch(page_token) is None:
        raise InvalidFieldError("page_token", "must be the next_page_token of the page before, or empty")
    return int(page_token)


def clean_use(use: Use, at: str = "") -> Use:
    """Return what a key is wanted for.

    Args:
        use: as it was asked.
        at: where the fields are in the request, e.g. `requests[3].`.

    Raises:
        InvalidFieldError: names the field that breaks a rule.
    """
    for field, place in (("domain", use.domain), ("workspace", use.workspace)):
        if place and _PLACE.fullmatch(place) is None:
            raise InvalidFieldError(at + field, "must be 1 to 64 characters of A-Z a-z 0-9 _ -, or empty")
    if use.action and use.action not in ACTIONS:
        raise InvalidFieldError(at + "action", f"must be one of {' '.join(ACTIONS)}")
    if use.channel and _CHANNEL.fullmatch(use.channel) is None:
        raise InvalidFieldError(at + "channel", "must be 1 to 128 characters of A-Z a-z 0-9 _ - . : / @ # and *")
    if use.action and not use.channel and use.action not in ACTIONS_WITHOUT_CHANNEL:
        raise InvalidFieldError(at + "channel", f"must be given for the action {use.action}")
    return use


def check_batch(size: int) -> None:
    """Check the size of a batch.

    Raises:
        LimitExceededError: it is too large.
    """
    if size > MAX_BATCH:
        raise LimitExceededError(f"{size} requests in one batch; at most {MAX_BATCH} are allowed")


def _clean_text(field: str, text: str, least: int, most: int) -> str:
    if not least <= len(text) <= most or not text.isprintable():
        raise InvalidFieldError(field, f"must be {least} to {most} printable characters")
    return text


def _clean_permissions(texts: Sequence[str]) -> PermissionSet:
    if not 1 <= len(texts) <= MAX_PERMISSIONS:
        raise InvalidFieldError("permissions", f"must be 1 to {MAX_PERMISSIONS}; given were {len(texts)}")
    for index, text in enumerate(texts):
        try:
            PermissionSet.of([text])
        except PermissionSyntaxError as error:
            raise InvalidFieldError(f"permissions[{index}]", error.problem) from error
    return PermissionSet.of(dict.fromkeys(texts))


def _clean_places(field: str, places: Sequence[str]) -> tuple[str, ...]:
    if len(places) > MAX_PLACES:
        raise InvalidFieldError(field, f"must be at most {MAX_PLACES}; given were {len(places)}")
    for index, place in enumerate(places):
        if _PLACE.fullmatch(place) is None:
            raise InvalidFieldError(f"{field}[{index}]", "must be 1 to 64 characters of A-Z a-z 0-9 _ -")
    return tuple(dict.fromkeys(places))


def _clean_limits(limits: KeyLimits) -> KeyLimits:
    for field, value in asdict(limits).items():
        if not 0 <= value <= MAX_LIMIT:
            raise InvalidFieldError(f"limits.{field}", f"must be 0 to {MAX_LIMIT}")
    return limits


def _clean_rate(rate: VerificationRate | None) -> VerificationRate | None:
    if rate is None:
        return None
    if not 1 <= rate.verifications <= MAX_VERIFICATIONS:
        raise InvalidFieldError("verification_rate.verifications", f"must be 1 to {MAX_VERIFICATIONS}")
    if not MIN_PERIOD_MS <= rate.period_ms <= MAX_PERIOD_MS:
        raise InvalidFieldError("verification_rate.period", "must be 1 second to 31 days")
    return rate


def _clean_max_uses(max_uses: int) -> int:
    if not 0 <= max_uses <= MAX_USES:
        raise InvalidFieldError("max_uses", f"must be 1 to {MAX_USES}, or 0 for no bound")
    return max_uses


def _clean_environment(environment: str) -> str:
    if environment and environment not in ENVIRONMENTS:
        raise InvalidFieldError("environment", f"must be one of {' '.join(ENVIRONMENTS)}, or empty")
    return environment or DEFAULT_ENVIRONMENT

"""A verdict for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tidewire_client.cli.key_words import moment_words, rfc3339
from tidewire_client.verdict import Verdict


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for programs; times are RFC 3339 in UTC, lengths of time are in seconds."""
    expires = _expiry(verdict)
    return {
        "code": verdict.code.name,
        "valid": verdict.allowed,
        "key_id": verdict.key_id,
        "owner": verdict.owner,
        "permissions": list(verdict.permissions),
        "limits": {name: number for name, number in asdict(verdict.limits).items() if number},
        "expire_time": None if expires is None else rfc3339(expires),
        "cache_ttl_s": verdict.cache_ttl_s,
        "missing": verdict.missing,
        "retry_after_s": verdict.retry_after_s,
        "remaining_uses": verdict.remaining_uses,
    }


def verdict_fields(verdict: Verdict) -> list[tuple[str, str]]:
    """Return a verdict as names and values; what is not set is left out."""
    expires = _expiry(verdict)
    pairs = [
        ("verdict", verdict.code.name),
        ("missing", verdict.missing),
        ("try again", f"in {verdict.retry_after_s:g} s" if verdict.retry_after_s else ""),
        ("key id", verdict.key_id),
        ("owner", verdict.owner),
        ("permissions", " ".join(verdict.permissions)),
        ("expires", "" if expires is None else moment_words(expires)),
        ("uses left", "" if verdict.remaining_uses is None else str(verdict.remaining_uses)),
    ]
    return [(name, value) for name, value in pairs if value]


def _expiry(verdict: Verdict) -> datetime | None:
    return None if verdict.expire_time_s is None else datetime.fromtimestamp(verdict.expire_time_s, UTC)

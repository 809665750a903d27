"""What a back end tells the holder of a key that it does not let in; the same over HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidewire_client.verdict import Verdict, VerdictCode

NO_KEY: Final = "an API key is required"
SEVERAL_KEYS: Final = "more than one API key was sent"
NOT_VERIFIED: Final = "the key cannot be verified at the moment"

# Keys that are no good whatever they are wanted for.
BAD_KEYS: Final = frozenset({VerdictCode.NOT_FOUND, VerdictCode.DISABLED, VerdictCode.REVOKED, VerdictCode.EXPIRED})
SPENT: Final = frozenset({VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED})

_WORDS: Final[Mapping[VerdictCode, str]] = {
    VerdictCode.NOT_FOUND: "the API key is not known",
    VerdictCode.DISABLED: "the API key is disabled",
    VerdictCode.REVOKED: "the API key is revoked",
    VerdictCode.EXPIRED: "the API key is expired",
    VerdictCode.FORBIDDEN: "the API key is not allowed here",
    VerdictCode.INSUFFICIENT_PERMISSIONS: "the API key lacks a permission",
    VerdictCode.RATE_LIMITED: "the API key is used too often, or too many attempts from this address failed",
    VerdictCode.USAGE_EXCEEDED: "the API key is used up",
}


def words_of(verdict: Verdict) -> str:
    """Return why a key is not let in, for its holder; what is missing is named."""
    words = _WORDS.get(verdict.code, "the API key is not good for this")
    return f"{words}: {verdict.missing}" if verdict.missing else words

"""The W3C header `traceparent`: which trace a piece of work belongs to (Trace Context level 1, section 3.2)."""

from __future__ import annotations

import re
from random import getrandbits
from typing import Final, NamedTuple

HEADER: Final = "traceparent"
MAX_CHARS: Final = 128
_FORM: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_INVALID_VERSION: Final = "ff"
_SAMPLED: Final = 1


class TraceParent(NamedTuple):
    """A span, wherever it is.

    Attributes:
        trace_id: Of the trace: 32 hexadecimal digits.
        span_id: Of the span in it: 16 hexadecimal digits.
        sampled: Whoever began the trace records it.
    """

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def unsampled() -> TraceParent:
    """Return the parent of work that is not traced, for whoever would decide anew otherwise."""
    return TraceParent(f"{1 + getrandbits(127):032x}", f"{1 + getrandbits(63):016x}", False)


def read_traceparent(text: str | None) -> TraceParent | None:
    """Return what a header names; None for none and for one that breaks the rules, which is then as if it were not there."""
    found = _FORM.fullmatch(text.strip()) if text and len(text) <= MAX_CHARS else None
    if found is None or found["version"] == _INVALID_VERSION or (found["version"] == "00" and found["more"]):
        return None
    if found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return None
    return TraceParent(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))

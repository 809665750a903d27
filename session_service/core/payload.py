"""Checks the payloads of back ends: a JSON object in UTF-8. The bytes themselves are stored as they came.

What comes over the edge stream is not looked at again: the edge validated it.
"""

from __future__ import annotations

import msgspec

from session_service.core.errors import InvalidField, LimitExceeded


def check_payload(field: str, data: bytes, max_bytes: int) -> None:
    """Refuse what is no JSON object, or is larger than `max_bytes`.

    Raises:
        LimitExceeded: it is too large.
        InvalidField: it is no JSON object in UTF-8.
    """
    check_size(field, data, max_bytes)
    try:
        data.decode()
        value = msgspec.json.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidField(field, "must be a JSON object in UTF-8") from error
    if not isinstance(value, dict):
        raise InvalidField(field, "must be a JSON object in UTF-8")


def check_size(field: str, data: bytes, max_bytes: int) -> None:
    """Refuse more than `max_bytes`; raises LimitExceeded."""
    if len(data) > max_bytes:
        raise LimitExceeded(f"{field} has {len(data)} bytes, {max_bytes} are allowed")

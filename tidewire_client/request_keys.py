"""Which API keys a request carries: `Authorization: Bearer <key>` (RFC 6750 section 2.1) or `X-API-Key: <key>`."""

from __future__ import annotations

from collections.abc import Iterable


def keys_in(fields: Iterable[tuple[str | bytes, str | bytes]]) -> set[str]:
    """Return the keys in headers of HTTP or metadata of gRPC: none, one, or different ones."""
    keys = set()
    for name, value in fields:
        field, text = _text(name).lower(), _text(value).strip()
        if field == "authorization":
            scheme, _, token = text.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                keys.add(token.strip())
        elif field == "x-api-key" and text:
            keys.add(text)
    return keys


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value

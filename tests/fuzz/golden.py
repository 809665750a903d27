"""Seeds from the golden frames of the contracts."""

from __future__ import annotations

import json

from tests.support.golden import golden_frames


def client_frames() -> dict[str, bytes]:
    """Return every golden frame of clients as the text that they would send."""
    return _of("client")


def server_frames() -> dict[str, bytes]:
    """Return every golden frame of the edge as its text."""
    return _of("server")


def _of(direction: str) -> dict[str, bytes]:
    found = [golden for golden in golden_frames() if golden.direction == direction]
    return {each.name: json.dumps(each.frame, separators=(",", ":"), ensure_ascii=False).encode() for each in found}

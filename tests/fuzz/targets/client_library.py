"""What the Python client reads of an edge: frames that end in values or in one of its own exceptions.

`tidewire_client/edge_frames.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.golden import server_frames
from tests.fuzz.target import Check, Target
from tidewire_client import edge_frames
from tidewire_client.errors import ServerFault, TidewireError


def check(data: bytes) -> None:
    """Read a frame, and whatever may be asked of it."""
    text = data.decode("utf-8", "replace")
    try:
        frame = edge_frames.parse_frame(text)
    except ServerFault:
        assert not _is_frame(text), "a frame was refused"
        return
    assert _is_frame(text)
    assert frame.text == text
    wait_s = edge_frames.retry_after_s(frame)
    assert wait_s is None or (math.isfinite(wait_s) and wait_s >= 0), "a wait that never ends"
    for error in (edge_frames.error_of(frame), edge_frames.goodbye(frame, frame), edge_frames.goodbye(frame, None)):
        assert isinstance(error, TidewireError)
    edge_frames.passes(frame)
    edge_frames.ends(frame)
    if frame.position is not None:
        assert frame.position.offset >= 0, "no message stands before the first"


def _is_frame(text: str) -> bool:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and isinstance(fields.get("type"), str)


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return every golden frame of the edge."""
    return server_frames()


TARGET = Target(
    oracle="a frame or the client's own exception; every wait is finite, every position one that a message can have",
    opened=opened,
    seeds=seeds,
    words=(
        b'"retry_after_ms":',
        b"1e999",
        b"Infinity",
        b"NaN",
        b"-1",
        b"1" + b"0" * 400,
        b'"offset":',
        b'"epoch":',
        b"true",
    ),
)

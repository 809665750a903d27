"""A target with faults of its own: a run that does not find them would find none of the product's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auth_service.core.permissions import ACTIONS
from tests.fuzz.target import Check, Target


def check(data: bytes) -> None:
    """Fail for one input that only its seed leads to."""
    assert not (data.startswith(b"tide") and b"!" in data), "the planted fault"


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


TARGET = Target(
    oracle=f"never fails, which is wrong; {len(ACTIONS)} actions are imported so that something is instrumented",
    opened=opened,
    seeds=lambda: {"near-it": b"tide"},
    words=(b"!",),
    max_bytes=16,
)

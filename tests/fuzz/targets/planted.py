"""A target with a fault of its own: a run that does not find it would find none of the product's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auth_service.core.errors import PermissionSyntaxError
from auth_service.core.permissions import parse_permission
from tests.fuzz.target import Check, Target


def check(data: bytes) -> None:
    """Fail for some of what the product takes for a permission."""
    try:
        permission = parse_permission(data.decode("latin-1"))
    except PermissionSyntaxError:
        return
    assert permission.action != "broadcast" or ":x" not in permission.pattern, "the planted fault"


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


TARGET = Target(
    oracle="no permission to broadcast has `:x` in its pattern, which is wrong",
    opened=opened,
    seeds=lambda: {"near-it": b"broadcast:a"},
    words=(b":x",),
    max_bytes=32,
)

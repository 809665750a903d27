"""The grammar of permissions, and what they allow (`auth_service/core/permissions.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auth_service.core.permissions import PermissionSet, resource_of
from tests.fuzz.target import Check, Target
from tests.support.permission_reference import ACTIONS, WITHOUT_CHANNEL, agreed, slow_allows


def check(data: bytes) -> None:
    """Parse lines as permissions; the last line is `action channel`, and asked of all of them together."""
    *texts, asked = data.decode("utf-8", "surrogateescape").split("\n")
    good = [text for text in texts if agreed(text)]
    action, _, channel = asked.partition(" ")
    channel = channel[:128]
    resource = resource_of(action, channel)
    assert resource == (channel or ("*" if action in WITHOUT_CHANNEL else ""))
    allowed = PermissionSet.of(good).allows(action, resource)
    assert allowed == slow_allows(good, action, resource), (good, action, resource)
    assert PermissionSet.of(reversed(good)).allows(action, resource) == allowed, "the order must not matter"
    for text in good:
        if PermissionSet.of([text]).allows(action, resource):
            assert allowed, "another permission takes something away"


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return sets of permissions with a question each."""
    return {
        "everything": b"*:*\njoin chat-1",
        "by-pattern": b"join:chat-*\npublish:chat-*\nhistory:*/log\njoin chat-general",
        "middle": b"join:a*b*a\njoin abba",
        "ends-overlap": b"join:ab*ba\njoin aba",
        "without-channel": b"broadcast:*\nadmin:keys\nbroadcast ",
        "longest": b"direct:" + b"x" * 128 + b"\ndirect " + b"x" * 128,
        "no-permission": b"join\n:a\njoin:\nJoin:a\njoin a",
    }


TARGET = Target(
    oracle="the same verdict as a slow matcher that tries every way; the order never matters, and more never takes away",
    opened=opened,
    seeds=seeds,
    words=(*(action.encode() + b":" for action in ACTIONS), b"*:", b"**", b"\n", b"a*a", b"@", b"#", b"/"),
    max_bytes=400,
)

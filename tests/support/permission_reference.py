"""The grammar of permissions and what they allow, the slow and obvious way (shared by unit tests and fuzzing)."""

from __future__ import annotations

from functools import cache

from auth_service.core.errors import PermissionSyntaxError
from auth_service.core.permissions import parse_permission

# Written out again, so that a change of the grammar has to be made twice.
ACTIONS = ["join", "publish", "history", "presence", "broadcast", "direct", "threads", "admin"]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/@#*"
WITHOUT_CHANNEL = ("broadcast", "admin")


def slow_parse(text: str) -> tuple[str, str] | None:
    """Return action and pattern; None if the text is no permission (docs/protocol.md, "Permissions")."""
    if ":" not in text:
        return None
    action, pattern = text[: text.index(":")], text[text.index(":") + 1 :]
    if action != "*" and action not in ACTIONS:
        return None
    if not 1 <= len(pattern) <= 128 or any(letter not in LETTERS for letter in pattern):
        return None
    return action, pattern


def slow_match(pattern: str, channel: str) -> bool:
    """Say if a pattern covers a channel: by every way to spread the channel over the pattern."""

    @cache
    def covers(at: int, seen: int) -> bool:
        if at == len(pattern):
            return seen == len(channel)
        if pattern[at] == "*":
            return covers(at + 1, seen) or (seen < len(channel) and covers(at, seen + 1))
        return seen < len(channel) and channel[seen] == pattern[at] and covers(at + 1, seen + 1)

    return covers(0, 0)


def slow_allows(texts: list[str], action: str, resource: str) -> bool:
    for text in texts:
        parsed = slow_parse(text)
        if parsed is not None and parsed[0] in ("*", action) and slow_match(parsed[1], resource):
            return True
    return False


def agreed(text: str) -> bool:
    """Fail unless both say the same of a text; return if it is a permission."""
    expected = slow_parse(text)
    try:
        permission = parse_permission(text)
    except PermissionSyntaxError:
        assert expected is None, text
        return False
    assert (permission.action, permission.pattern) == expected
    return True

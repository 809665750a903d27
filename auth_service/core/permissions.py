"""Permissions: `action:pattern`, and whether a set of them allows an action on a channel.

In a pattern `*` stands for any run of characters, `/` and the empty run included; every other character
stands for itself. Matching takes time linear in the channel: the pieces between stars are looked for from
left to right, each once, and nothing is ever tried again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from auth_service.core.errors import PermissionSyntaxError

ACTIONS: Final = ("join", "publish", "history", "presence", "broadcast", "direct", "threads", "admin")
# Actions on the workspace or the service as a whole: their channel may be left out, and is then `*`.
ACTIONS_WITHOUT_CHANNEL: Final = frozenset({"broadcast", "admin"})
ADMIN: Final = "admin"
"""On the installation as a whole: a key that is limited to domains or workspaces has it only where these are named."""
EVERYTHING: Final = "*"
MAX_PATTERN_CHARS: Final = 128

_PATTERN: Final = re.compile(rf"[A-Za-z0-9_.:/@#*-]{{1,{MAX_PATTERN_CHARS}}}")


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission, taken apart."""

    action: str
    pattern: str
    pieces: tuple[str, ...] = field(repr=False, compare=False)

    def covers(self, channel: str) -> bool:
        """Return whether the pattern matches the channel as a whole."""
        if len(self.pieces) == 1:
            return channel == self.pattern
        head, *middle, tail = self.pieces
        if len(channel) < len(head) + len(tail) or not channel.startswith(head) or not channel.endswith(tail):
            return False
        position, end = len(head), len(channel) - len(tail)
        for piece in middle:
            found = channel.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True


def parse_permission(text: str) -> Permission:
    """Take a permission apart.

    Raises:
        PermissionSyntaxError: the text is no permission.
    """
    action, colon, pattern = text.partition(":")
    if not colon:
        raise PermissionSyntaxError("must be action:pattern, for example join:chat-*")
    if action != EVERYTHING and action not in ACTIONS:
        raise PermissionSyntaxError(f"unknown action; allowed are {' '.join(ACTIONS)} and *")
    if _PATTERN.fullmatch(pattern) is None:
        raise PermissionSyntaxError(
            f"the pattern must be 1 to {MAX_PATTERN_CHARS} characters of A-Z a-z 0-9 _ - . : / @ # and *"
        )
    return Permission(action, pattern, tuple(pattern.split("*")))


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """The permissions of a key, in the order the administrator gave them.

    `texts` is what is stored and shown; two sets are equal when their texts are.
    """

    texts: tuple[str, ...]
    parsed: tuple[Permission, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "PermissionSet":
        """Build a set from texts.

        Raises:
            PermissionSyntaxError: one of them is no permission.
        """
        kept = tuple(texts)
        return cls(kept, tuple(parse_permission(text) for text in kept))

    def allows(self, action: str, channel: str) -> bool:
        """Return whether any permission allows the action on the channel."""
        return any(
            permission.action in (EVERYTHING, action) and permission.covers(channel) for permission in self.parsed
        )


def resource_of(action: str, channel: str) -> str:
    """Return what an action is checked on: the channel, or `*` where an action may go without one."""
    return channel or ("*" if action in ACTIONS_WITHOUT_CHANNEL else "")

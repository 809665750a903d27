"""Names: topics (`domain/workspace/channel`), clients and threads, parsed and validated.

Two kinds of channel are reserved: `*`, the broadcasts of a workspace, and `@client_id`, the inbox of a client.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from session_service.core.errors import InvalidField

BROADCAST_CHANNEL: Final = "*"
INBOX_PREFIX: Final = "@"
MAX_ID_CHARACTERS: Final = 64
MAX_CACHED_TOPICS: Final = 8192

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CHANNEL: Final = re.compile(r"[A-Za-z0-9_\-.:/@#]{1,128}", re.ASCII)
_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ -"
_CHANNEL_RULE: Final = "1 to 128 of A-Z a-z 0-9 _ - . : / @ #, or the reserved * or @client_id"


class Topic(NamedTuple):
    """The full name of a channel, in its parts."""

    domain: str
    workspace: str
    channel: str

    @property
    def is_broadcast(self) -> bool:
        """It is the workspace's broadcasts."""
        return self.channel == BROADCAST_CHANNEL

    @property
    def is_inbox(self) -> bool:
        """It is the inbox of one client."""
        return self.channel.startswith(INBOX_PREFIX)

    @property
    def addressee(self) -> str:
        """The client whose inbox it is; empty for other channels."""
        return self.channel[1:] if self.is_inbox else ""

    def __str__(self) -> str:
        return f"{self.domain}/{self.workspace}/{self.channel}"


@lru_cache(maxsize=MAX_CACHED_TOPICS)
def parse_topic(text: str) -> Topic:
    """Return the parts of a topic.

    Raises:
        InvalidField: it is not `domain/workspace/channel` with good names.
    """
    parts = text.split("/", 2)
    if len(parts) != 3:
        raise InvalidField("topic", "must be domain/workspace/channel")
    domain, workspace, channel = parts
    check_name("domain", domain)
    check_name("workspace", workspace)
    check_channel("channel", channel)
    return Topic(domain, workspace, channel)


def check_channel(field: str, channel: str) -> None:
    """Refuse what is no name of a channel, reserved ones included; raises InvalidField."""
    if channel == BROADCAST_CHANNEL:
        return
    if channel.startswith(INBOX_PREFIX):
        check_name(field, channel[1:])
    elif _CHANNEL.fullmatch(channel) is None:
        raise InvalidField(field, _CHANNEL_RULE)


def check_name(field: str, value: str) -> None:
    """Refuse what is no name of a domain, workspace, client or thread; raises InvalidField."""
    if _NAME.fullmatch(value) is None:
        raise InvalidField(field, _NAME_RULE)


def check_id(field: str, value: str) -> None:
    """Refuse what is no message id: 1 to 64 characters; raises InvalidField."""
    if not 1 <= len(value) <= MAX_ID_CHARACTERS:
        raise InvalidField(field, f"1 to {MAX_ID_CHARACTERS} characters")


def broadcast_topic(domain: str, workspace: str) -> str:
    """Return the topic of a workspace's broadcasts."""
    return f"{domain}/{workspace}/{BROADCAST_CHANNEL}"


def inbox_topic(domain: str, workspace: str, client_id: str) -> str:
    """Return the topic of a client's inbox."""
    return f"{domain}/{workspace}/{INBOX_PREFIX}{client_id}"

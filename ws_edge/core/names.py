"""Names that clients choose: client ids, domains, workspaces, channels, and the topics made of them.

A *topic* is a channel's full name, `domain/workspace/channel`: the first two parts hold no slash, so it is unambiguous.
Two kinds of channel exist without being joined: `*` (the workspace's broadcasts) and `@client_id` (a client's inbox).
"""

from __future__ import annotations

import re
from typing import Final

BROADCAST_CHANNEL: Final = "*"
INBOX_PREFIX: Final = "@"
MAX_CHANNEL_LENGTH: Final = 128

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CHANNEL: Final = re.compile(r"[A-Za-z0-9_\-.:/@#]{1,128}", re.ASCII)


def is_name(text: str) -> bool:
    """Say if `text` can be a client_id, a domain, a workspace or a thread id: 1 to 64 of `A-Z a-z 0-9 _ -`."""
    return _NAME.fullmatch(text) is not None


def is_channel(text: str) -> bool:
    """Say if `text` can be a channel that clients join: 1 to 128 of `A-Z a-z 0-9 _ - . : / @ #`, not an inbox."""
    return _CHANNEL.fullmatch(text) is not None and not text.startswith(INBOX_PREFIX)


def inbox(client_id: str) -> str:
    """Return the channel that holds a client's direct messages."""
    return INBOX_PREFIX + client_id


def topic_of(domain: str, workspace: str, channel: str) -> str:
    """Return a channel's full name."""
    return f"{domain}/{workspace}/{channel}"


def channel_of(topic: str) -> str:
    """Return the channel's own name of a topic."""
    return topic.split("/", 2)[2]

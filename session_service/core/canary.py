"""The canary's topic: no client can name it, so that nothing but canaries is ever in it."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "!/canary/"
CANARY_TYPE: Final = "canary"


def canary_topic(service_id: str) -> str:
    """Return the topic in which the canaries of one session service go round."""
    return _PREFIX + service_id


def is_canary(topic: str) -> bool:
    """It is a topic of canaries."""
    return topic.startswith(_PREFIX)

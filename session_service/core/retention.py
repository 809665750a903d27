"""How long messages are kept: by count, by age and by bytes, with rules for channels by pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from session_service.core.canary import is_canary


class RetentionRule(NamedTuple):
    """What is kept of one channel: the newest messages that satisfy all three bounds."""

    max_messages: int
    max_age_s: float
    max_bytes: int


class RetentionPolicy:
    """Chooses the rule of a channel: the first whose pattern matches the channel's name, else the default."""

    def __init__(self, default: RetentionRule, rules: Sequence[tuple[str, RetentionRule]] = ()) -> None:
        self._default = default
        self._rules = tuple(rules)
        self._canary = RetentionRule(1, default.max_age_s, default.max_bytes)

    def rule_for(self, topic: str) -> RetentionRule:
        """Return the rule for a topic (`domain/workspace/channel`)."""
        if is_canary(topic):
            return self._canary
        channel = topic.split("/", 2)[-1]
        for pattern, rule in self._rules:
            if fnmatchcase(channel, pattern):
                return rule
        return self._default


def parse_rules(text: str) -> list[tuple[str, RetentionRule]]:
    """Parse `pattern=messages,seconds,bytes; pattern=...`.

    Raises:
        ValueError: it is not of that form, or a number is not positive.
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        pattern, separator, numbers = part.rpartition("=")
        fields = numbers.split(",")
        if not separator or not pattern or len(fields) != 3:
            raise ValueError(f"{part!r} is not pattern=messages,seconds,bytes")
        rule = RetentionRule(int(fields[0]), float(fields[1]), int(fields[2]))
        if min(rule) <= 0:
            raise ValueError(f"{part!r}: every bound must be above 0")
        rules.append((pattern.strip(), rule))
    return rules

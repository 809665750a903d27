"""How long messages are kept: by count, by age and by bytes, with rules for channels by pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from session_service.core.canary import is_canary

MAX_BOUND: Final = 2**40
"""Messages, seconds or bytes: so large means for ever, and still fits every store's numbers as milliseconds."""


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
        ValueError: it is not of that form, or a number is not above 0 and at most `MAX_BOUND`; says what it must be.
    """
    return [_parse_rule(part) for part in (part.strip() for part in text.split(";")) if part]


def _parse_rule(text: str) -> tuple[str, RetentionRule]:
    pattern, _, numbers = text.rpartition("=")
    pattern = pattern.strip()
    try:
        messages, seconds, size = numbers.split(",")
        rule = RetentionRule(int(messages), float(seconds), int(size))
    except ValueError:
        pattern = ""
    if not pattern:
        raise ValueError(f"pattern=messages,seconds,bytes, unlike {text!r}")
    if not all(0 < bound <= MAX_BOUND for bound in rule):
        raise ValueError(f"rules with bounds above 0 and at most {MAX_BOUND}, unlike {text!r}")
    return pattern, rule

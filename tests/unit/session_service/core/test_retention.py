"""How long messages are kept."""

import pytest

from session_service.core.canary import canary_topic
from session_service.core.retention import RetentionPolicy, RetentionRule, parse_rules

DEFAULT = RetentionRule(1000, 86_400.0, 1 << 20)
SHORT = RetentionRule(10, 60.0, 1000)
LONG = RetentionRule(10_000, 604_800.0, 1 << 24)


def test_the_first_pattern_that_matches_the_channel_decides() -> None:
    policy = RetentionPolicy(DEFAULT, [("chat-*", SHORT), ("chat-archive", LONG), ("@*", LONG)])
    assert policy.rule_for("tests/w1/chat-archive") is SHORT
    assert policy.rule_for("tests/w1/@bob") is LONG
    assert policy.rule_for("tests/w1/tasks") is DEFAULT


def test_patterns_are_held_against_the_channel_alone() -> None:
    policy = RetentionPolicy(DEFAULT, [("a/*", SHORT)])
    assert policy.rule_for("a/w1/chat") is DEFAULT
    assert policy.rule_for("tests/w1/a/b") is SHORT


def test_of_canaries_only_the_newest_is_kept_whatever_the_rules() -> None:
    policy = RetentionPolicy(DEFAULT, [("*", LONG)])
    assert policy.rule_for(canary_topic("s1")) == RetentionRule(1, DEFAULT.max_age_s, DEFAULT.max_bytes)


def test_rules_are_read_from_text() -> None:
    assert parse_rules(" chat-* = 10,60,1000 ; a=b=1,0.5,2;; ") == [
        ("chat-*", RetentionRule(10, 60.0, 1000)),
        ("a=b", RetentionRule(1, 0.5, 2)),
    ]
    assert parse_rules("") == []


@pytest.mark.parametrize(
    "text", ["chat", "=1,1,1", " =1,1,1", "chat=1,1", "chat=1,1,1,1", "chat=a,1,1", "chat=1,1,1.5"]
)
def test_what_is_no_rule_is_refused_by_its_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"^pattern=messages,seconds,bytes, unlike") as caught:
        parse_rules(f"tasks=1,1,1; {text}")
    assert repr(text.strip()) in str(caught.value)


@pytest.mark.parametrize("numbers", ["1,1,0", "0,1,1", "1,-1,1", "1,nan,1", "1,inf,1", "1,1e300,1", f"{10**30},1,1"])
def test_bounds_that_no_store_can_keep_are_refused(numbers: str) -> None:
    with pytest.raises(ValueError, match="bounds above 0 and at most"):
        parse_rules(f"chat={numbers}")

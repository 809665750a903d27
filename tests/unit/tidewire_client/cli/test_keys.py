from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.key_options import LIMITS, parse_grace, parse_limits, parse_rate
from tidewire_client.cli.key_words import key_fields, key_record, key_row, state_word
from tidewire_client.keys import Key, KeyState, VerificationRate
from tidewire_client.verdict import KeyLimits

NOW = datetime(2026, 11, 24, 9, 0, 0, 125_000, tzinfo=UTC)


def key(state: KeyState = KeyState.ACTIVE, expire_time: datetime | None = None, reason: str = "") -> Key:
    return Key(
        key_id="4fK2",
        owner="ann",
        name="",
        environment="live",
        prefix="tw_live_4fK2",
        permissions=("join:*", "publish:lobby"),
        allowed_domains=(),
        allowed_workspaces=("a", "b"),
        limits=KeyLimits(max_channels=3),
        state=state,
        state_reason=reason,
        create_time=NOW,
        update_time=NOW,
        expire_time=expire_time,
        revision=7,
    )


@pytest.mark.parametrize(
    ("state", "expires", "word"),
    [
        (KeyState.ACTIVE, None, "active"),
        (KeyState.ACTIVE, NOW + timedelta(seconds=1), "active"),
        (KeyState.ACTIVE, NOW, "expired"),
        (KeyState.DISABLED, NOW, "disabled"),
        (KeyState.REVOKED, None, "revoked"),
    ],
)
def test_the_state_in_one_word(state: KeyState, expires: datetime | None, word: str) -> None:
    assert state_word(key(state, expires), NOW) == word


def test_a_key_for_programs() -> None:
    record = key_record(key(expire_time=NOW), NOW)
    assert record["key_id"] == "4fK2"
    assert record["limits"] == {"max_channels": 3}
    assert record["create_time"] == record["expire_time"] == "2026-11-24T09:00:00.125Z"
    assert key_record(key(), NOW)["expire_time"] is None
    assert {name for name in Key.__dataclass_fields__ if name not in record} == {"revision"}


def test_a_key_for_people() -> None:
    fields = dict(key_fields(key(KeyState.REVOKED, reason="leaked"), NOW))
    assert fields["reason"] == "leaked"
    assert fields["expires"] == "never"
    assert fields["domains"] == "all"
    assert fields["workspaces"] == "a b"
    assert fields["limits"] == "max_channels=3"
    assert "name" not in fields
    assert key_row(key(), NOW) == ["4fK2", "active", "ann", "-", "never", "join:* publish:lobby"]


def test_what_a_key_is_bound_to() -> None:
    bound = replace(
        key(),
        verification_rate=VerificationRate(100, timedelta(minutes=1)),
        max_uses=9,
        use_count=4,
        replaced_by="new",
        replaces="old",
        etag="e1",
    )
    fields = dict(key_fields(bound, NOW))
    assert (fields["rate"], fields["uses"], fields["etag"]) == ("100 in 60 s", "4 of 9", "e1")
    assert (fields["replaced by"], fields["replaces"]) == ("new", "old")
    record = key_record(bound, NOW)
    assert record["verification_rate"] == {"verifications": 100, "period_s": 60.0}
    assert key_record(key(), NOW)["verification_rate"] is None
    assert "uses" not in dict(key_fields(key(), NOW))


def test_rates() -> None:
    assert parse_rate("100/1m") == VerificationRate(100, timedelta(minutes=1))
    for text in ("", "100", "/1m", "0/1m", "1000001/1m", "x/1m", "100/"):
        with pytest.raises(UsageProblem, match="--rate"):
            parse_rate(text)
    with pytest.raises(UsageProblem, match="no length of time"):
        parse_rate("100/soon")


def test_times_of_grace() -> None:
    assert parse_grace("0") == parse_grace("0s") == timedelta()
    assert parse_grace("24h") == timedelta(hours=24)
    with pytest.raises(UsageProblem, match="no length of time"):
        parse_grace("now")


def test_limits_are_those_of_the_contract() -> None:
    assert parse_limits([]) == {}
    assert parse_limits(["max_channels=3", "frames_burst=0"]) == {"max_channels": 3, "frames_burst": 0}
    assert KeyLimits(**parse_limits([f"{name}=1" for name in LIMITS])) == KeyLimits(*[1] * len(LIMITS))


@pytest.mark.parametrize(
    "text", ["", "x=1", "max_channels", "max_channels=", "max_channels=-1", "max_channels=4294967296", "=1"]
)
def test_limits_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageProblem, match="--limit"):
        parse_limits([text])

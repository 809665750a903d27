from datetime import UTC, datetime, timedelta

import pytest

from tidewire_client.cli.durations import expiry, moment_or_span, parse_duration, parse_moment
from tidewire_client.cli.failures import UsageProblem

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("2w", timedelta(weeks=2)),
        ("1d12h", timedelta(days=1, hours=12)),
    ],
)
def test_lengths_of_time(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "1y", "1d ", "٣d", "9999999d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageProblem, match="no length of time"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["2026-11-24T09:00:00Z", "2026-11-24T11:00:00+02:00", "2026-11-24 09:00+00:00"])
def test_moments(text: str) -> None:
    assert parse_moment(text) == NOW


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-11-24", "2026-11-24T09:00:00", "1795510800"])
def test_what_is_no_moment_with_a_time_zone(text: str) -> None:
    with pytest.raises(UsageProblem, match="time zone"):
        parse_moment(text)


def test_when_a_key_expires() -> None:
    assert expiry(None, None, NOW) is None
    assert expiry("1h", None, NOW) == NOW + timedelta(hours=1)
    assert expiry(None, "2026-11-24T09:00:01Z", NOW) == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("expires_in", "expires_at", "words"),
    [
        ("1h", "2027-01-01T00:00:00Z", "together"),
        (None, "2026-11-24T09:00:00Z", "is over"),
        ("999999w", None, "too long"),
    ],
)
def test_expiries_that_cannot_be(expires_in: str | None, expires_at: str | None, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        expiry(expires_in, expires_at, NOW)


def test_a_moment_or_a_length_of_time_from_now() -> None:
    assert moment_or_span("--x", None, NOW) is None
    assert moment_or_span("--x", "7d", NOW) == NOW + timedelta(days=7)
    assert moment_or_span("--x", "7d", NOW, ago=True) == NOW - timedelta(days=7)
    assert moment_or_span("--x", "2026-11-24T09:00:00Z", NOW, ago=True) == NOW


@pytest.mark.parametrize("text", ["soon", "2026-11-24T09:00:00", "999999w"])
def test_what_is_neither_names_the_option(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^--x: "):
        moment_or_span("--x", text, NOW)

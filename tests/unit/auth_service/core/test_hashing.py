"""Secrets at rest."""

import hashlib
import hmac

import pytest

from auth_service.core.errors import PepperError
from auth_service.core.hashing import Peppers, parse_peppers
from tests.unit.auth_service.fakes import PEPPERS, a_record

OLD, NEW = "o" * 32, "n" * 32


def test_the_hash_is_hmac_sha_256_under_the_current_pepper() -> None:
    assert PEPPERS.hash("s") == hmac.new(b"p" * 32, b"s", hashlib.sha256).digest()


def test_matches_the_right_secret_only() -> None:
    assert PEPPERS.matches(a_record(), "secret")
    assert not PEPPERS.matches(a_record(), "Secret")
    assert not PEPPERS.matches(a_record(), "")


def test_an_unknown_key_matches_nothing() -> None:
    assert not PEPPERS.matches(None, "secret")


def test_a_key_of_an_unknown_pepper_matches_nothing() -> None:
    assert not PEPPERS.matches(a_record(pepper_version=9), "secret")


@pytest.mark.parametrize("record", [None, a_record(), a_record(pepper_version=9)])
def test_the_same_work_is_done_for_every_key(monkeypatch: pytest.MonkeyPatch, record: object) -> None:
    done: list[str] = []
    real_digest, real_compare = hmac.digest, hmac.compare_digest
    monkeypatch.setattr(hmac, "digest", lambda *given: (done.append("mac"), real_digest(*given))[1])
    monkeypatch.setattr(hmac, "compare_digest", lambda *given: (done.append("compare"), real_compare(*given))[1])
    PEPPERS.matches(record, "wrong")  # type: ignore[arg-type]
    assert done == ["mac", "compare"]


def test_keys_of_an_old_pepper_stay_good_after_a_rotation() -> None:
    before, after = parse_peppers(f"1:{OLD}"), parse_peppers(f"2:{NEW},1:{OLD}")
    assert after.current == 2
    assert after.matches(a_record(secret_hash=before.hash("s"), pepper_version=1), "s")
    assert after.matches(a_record(secret_hash=after.hash("s"), pepper_version=2), "s")
    assert before.hash("s") != after.hash("s")


def test_one_pepper_may_go_without_a_version() -> None:
    assert parse_peppers(OLD) == parse_peppers(f"1:{OLD}") == Peppers(1, {1: OLD.encode()})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        f"0:{OLD}",
        f"-1:{OLD}",
        f"x:{OLD}",
        f"٣:{OLD}",
        f"9999999999:{OLD}",
        f"1:{OLD},1:{NEW}",
        f"1:{OLD},",
    ],
)
def test_bad_peppers_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(PepperError) as caught:
        parse_peppers(text)
    assert OLD not in str(caught.value)


def test_fingerprints_tell_peppers_apart_and_show_none() -> None:
    one, other = parse_peppers(f"1:{OLD}"), parse_peppers(f"1:{NEW}")
    assert one.fingerprints() != other.fingerprints()
    assert one.fingerprints().keys() == {1}
    assert OLD not in repr(one)
    assert len(one.fingerprints()[1]) == 16

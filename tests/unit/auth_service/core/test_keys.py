"""States of a key, and its end."""

import pytest

from auth_service.core.errors import KeyRevokedError
from auth_service.core.keys import TRANSITIONS, KeyState, change_state
from auth_service.core.ports import now_ms
from tests.unit.auth_service.fakes import NOW_MS, FakeClock, a_record

STATES = list(KeyState)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wanted", STATES)
def test_every_change_of_state(state: KeyState, wanted: KeyState) -> None:
    record = a_record(state=state, state_reason="before")
    if wanted is state:
        assert change_state(record, wanted, "again", NOW_MS + 1) is record
    elif wanted in TRANSITIONS[state]:
        after = change_state(record, wanted, "why", NOW_MS + 1)
        assert (after.state, after.state_reason, after.update_ms) == (wanted, "why", NOW_MS + 1)
    else:
        with pytest.raises(KeyRevokedError) as caught:
            change_state(record, wanted, "why", NOW_MS)
        assert caught.value.key_id == record.key_id


def test_only_a_revoked_key_never_changes() -> None:
    assert {state for state in STATES if not TRANSITIONS[state]} == {KeyState.REVOKED}


def test_update_time_never_goes_back() -> None:
    assert change_state(a_record(), KeyState.DISABLED, "", NOW_MS - 5).update_ms == NOW_MS


def test_a_key_is_good_strictly_before_its_expiry() -> None:
    record = a_record(expire_ms=NOW_MS)
    assert [record.expired(NOW_MS + step) for step in (-1, 0, 1)] == [False, True, True]
    assert not a_record().expired(2**60)


def test_repr_shows_no_hash() -> None:
    assert repr(a_record().secret_hash) not in repr(a_record())


def test_the_present_moment_is_rounded_down() -> None:
    assert now_ms(FakeClock(NOW_MS)) == NOW_MS

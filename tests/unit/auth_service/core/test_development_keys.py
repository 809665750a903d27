"""Keys that development mode knows by name."""

from dataclasses import replace

from auth_service.core.development_keys import DEVELOPMENT_KEY_IDS, development_records, restored
from auth_service.core.keys import KeyState
from auth_service.core.verification import VerdictCode, standing
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS


def test_the_keys_of_the_testing_guide() -> None:
    codes = {record.key_id: standing(record, NOW_MS) for record in development_records(PEPPERS, NOW_MS)}
    assert codes == {
        "dev_development": VerdictCode.VALID,
        "dev_valid_test_key": VerdictCode.VALID,
        "dev_expired_test_key": VerdictCode.EXPIRED,
    }


def test_they_are_marked_and_match_their_names() -> None:
    for (name, key_id), record in zip(DEVELOPMENT_KEY_IDS.items(), development_records(PEPPERS, NOW_MS), strict=True):
        assert record.key_id == key_id
        assert record.development
        assert record.permissions.texts == ("*:*",)
        assert PEPPERS.matches(record, name)
        assert name not in (record.prefix, record.name)


def test_a_restart_makes_them_active_again_and_leaves_good_ones_alone() -> None:
    stored = replace(development_records(PEPPERS, NOW_MS)[0], revision=4)
    fresh = development_records(PEPPERS, NOW_MS + 9)[0]
    assert restored(fresh, stored) is stored
    revived = restored(fresh, replace(stored, state=KeyState.REVOKED, state_reason="test"))
    assert (revived.state, revived.state_reason, revived.create_ms) == (KeyState.ACTIVE, "", NOW_MS)
    assert revived.update_ms == NOW_MS + 9

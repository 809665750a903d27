"""Changes by a mask, and rotation."""

import secrets
from dataclasses import replace
from typing import Any

import pytest

from auth_service.core.errors import EtagMismatchError, InvalidFieldError, KeyNotActiveError, KeyRevokedError
from auth_service.core.key_format import generate
from auth_service.core.key_update import UPDATABLE, Rotation, clean_patch, etag_of
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet
from auth_service.core.validation import KeyRequest
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, a_record

RATE = VerificationRate(5, 60_000)
WANTED = KeyRequest(
    owner="else",
    name="other",
    permissions=["join:x"],
    allowed_domains=["d"],
    allowed_workspaces=["w"],
    limits=KeyLimits(frames_per_second=7, max_channels=3),
    expire_ms=NOW_MS + 1000,
    environment="",
    verification_rate=RATE,
    max_uses=9,
)
RECORD = a_record(revision=26)
LATER = NOW_MS + 50


@pytest.mark.parametrize(
    ("paths", "changes"),
    [
        (["owner"], {"owner": "else"}),
        (["name"], {"name": "other"}),
        (["permissions"], {"permissions": PermissionSet.of(["join:x"])}),
        (["allowed_domains"], {"allowed_domains": ("d",)}),
        (["allowed_workspaces"], {"allowed_workspaces": ("w",)}),
        (["limits"], {"limits": WANTED.limits}),
        (["limits.max_channels"], {"limits": KeyLimits(max_channels=3)}),
        (["limits.max_channels", "limits.frames_per_second"], {"limits": WANTED.limits}),
        (["expire_time"], {"expire_ms": NOW_MS + 1000}),
        (["verification_rate"], {"verification_rate": RATE}),
        (["max_uses"], {"max_uses": 9}),
        (["owner", "name"], {"owner": "else", "name": "other"}),
    ],
)
def test_the_mask_says_what_changes(paths: list[str], changes: dict[str, Any]) -> None:
    patch = clean_patch(paths, WANTED, "", NOW_MS)
    assert patch.applied(RECORD, LATER) == replace(RECORD, **changes, update_ms=LATER)


def test_every_path_can_be_named() -> None:
    for path in UPDATABLE:
        clean_patch([path], WANTED, "", NOW_MS)


@pytest.mark.parametrize(
    "paths", [[], ["key_id"], ["secret_hash"], ["state"], ["limits.unknown"], ["name", "revision"]]
)
def test_what_cannot_be_changed_is_refused(paths: list[str]) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        clean_patch(paths, WANTED, "", NOW_MS)
    assert refused.value.field == "update_mask"


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        ("owner", {"owner": ""}, "owner"),
        ("permissions", {"permissions": []}, "permissions"),
        ("limits.max_channels", {"limits": KeyLimits(max_channels=-1)}, "limits.max_channels"),
        ("expire_time", {"expire_ms": NOW_MS}, "expire_time"),
        ("verification_rate", {"verification_rate": VerificationRate(0, 1000)}, "verification_rate.verifications"),
        (
            "verification_rate",
            {"verification_rate": VerificationRate(10**6 + 1, 1000)},
            "verification_rate.verifications",
        ),
        ("verification_rate", {"verification_rate": VerificationRate(1, 999)}, "verification_rate.period"),
        (
            "verification_rate",
            {"verification_rate": VerificationRate(1, 31 * 86_400_000 + 1)},
            "verification_rate.period",
        ),
        ("max_uses", {"max_uses": -1}, "max_uses"),
        ("max_uses", {"max_uses": 10**15 + 1}, "max_uses"),
    ],
)
def test_values_keep_their_bounds(path: str, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        clean_patch([path], replace(WANTED, **values), "", NOW_MS)
    assert refused.value.field == field


def test_what_the_mask_does_not_name_is_not_looked_at() -> None:
    patch = clean_patch(["name"], replace(WANTED, owner="", permissions=["nonsense"]), "", NOW_MS)
    assert patch.applied(RECORD, LATER).name == "other"


def test_a_rate_and_an_expiry_can_be_taken_away() -> None:
    bounded = replace(RECORD, verification_rate=RATE, expire_ms=NOW_MS + 5, max_uses=3)
    wanted = replace(WANTED, verification_rate=None, expire_ms=None, max_uses=0)
    patch = clean_patch(["verification_rate", "expire_time", "max_uses"], wanted, "", NOW_MS)
    assert patch.applied(bounded, LATER) == replace(RECORD, update_ms=LATER)


def test_a_change_to_the_same_is_none() -> None:
    patch = clean_patch(["name"], replace(WANTED, name=RECORD.name), "", NOW_MS)
    assert patch.applied(RECORD, LATER) is RECORD


def test_the_etag_must_be_that_of_the_key() -> None:
    assert etag_of(RECORD) != etag_of(replace(RECORD, revision=27))
    assert clean_patch(["name"], WANTED, etag_of(RECORD), NOW_MS).applied(RECORD, LATER).name == "other"
    with pytest.raises(EtagMismatchError):
        clean_patch(["name"], WANTED, "other", NOW_MS).applied(RECORD, LATER)


def test_a_revoked_key_cannot_change() -> None:
    with pytest.raises(KeyRevokedError):
        clean_patch(["name"], WANTED, "", NOW_MS).applied(replace(RECORD, state=KeyState.REVOKED), LATER)


def rotation(grace_ms: int = 500, expire_ms: int | None = None) -> Rotation:
    return Rotation(generate("live", secrets.randbelow), PEPPERS, grace_ms, expire_ms, NOW_MS)


@pytest.mark.parametrize(
    ("own_ms", "grace_ms", "end_ms"),
    [
        (None, 500, NOW_MS + 500),
        (NOW_MS + 900, 500, NOW_MS + 500),
        (NOW_MS + 100, 500, NOW_MS + 100),
        (None, 0, NOW_MS),
    ],
)
def test_the_old_key_ends_with_its_grace_or_its_own_expiry(own_ms: int | None, grace_ms: int, end_ms: int) -> None:
    before = replace(RECORD, expire_ms=own_ms, development=True, replaces="k0", max_uses=3)
    turn = rotation(grace_ms)
    old, new = turn.applied(before)
    assert old == replace(before, expire_ms=end_ms, own_expire_ms=own_ms, replaced_by=turn.text.key_id)
    assert PEPPERS.matches(new, turn.text.secret)
    assert new == replace(
        before,
        key_id=turn.text.key_id,
        secret_hash=new.secret_hash,
        prefix=turn.text.prefix,
        development=False,
        replaces="k1",
        revision=0,
    )


def test_the_new_key_may_have_an_expiry_of_its_own() -> None:
    assert rotation(expire_ms=NOW_MS + 9).applied(RECORD)[1].expire_ms == NOW_MS + 9


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (replace(RECORD, state=KeyState.REVOKED), KeyRevokedError),
        (replace(RECORD, state=KeyState.DISABLED), KeyNotActiveError),
        (replace(RECORD, expire_ms=NOW_MS), KeyNotActiveError),
    ],
)
def test_only_a_good_key_can_be_rotated(record: KeyRecord, error: type[Exception]) -> None:
    with pytest.raises(error):
        rotation().applied(record)


@pytest.mark.parametrize("own_ms", [None, NOW_MS + 9999])
def test_rotating_again_never_lengthens_a_life(own_ms: int | None) -> None:
    in_grace, first = rotation().applied(replace(RECORD, expire_ms=own_ms))
    old, new = rotation(grace_ms=900).applied(in_grace)
    assert old == replace(in_grace, replaced_by=new.key_id)
    assert (old.expire_ms, new.expire_ms, first.expire_ms) == (NOW_MS + 500, own_ms, own_ms)
    assert (new.replaced_by, new.replaces, new.own_expire_ms) == ("", "k1", None)
    assert rotation(grace_ms=5).applied(old)[0].expire_ms == NOW_MS + 5


@pytest.mark.parametrize("wanted_ms", [None, NOW_MS + 700])
def test_an_expiry_that_is_set_after_a_rotation_is_the_keys_own(wanted_ms: int | None) -> None:
    in_grace, _ = rotation().applied(replace(RECORD, expire_ms=NOW_MS + 9999))
    patch = clean_patch(["expire_time"], replace(WANTED, expire_ms=wanted_ms), "", NOW_MS)
    old, new = rotation(grace_ms=5000).applied(patch.applied(in_grace, NOW_MS))
    assert (old.expire_ms, new.expire_ms) == (wanted_ms or NOW_MS + 5000, wanted_ms)

"""The verdict on a key, in the order in which denials are decided."""

from typing import Any

import pytest

from auth_service.core.charging import Uses, charge, charged
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet
from auth_service.core.verification import DENIAL_ORDER, Use, Verdict, VerdictCode, judge, standing
from tests.unit.auth_service.fakes import NOW_MS, a_record

TTL_MS = 30_000
ANYWHERE = Use("personal", "home", "join", "chat-1")

# For each denial, what makes a key be denied so; applied together, the first in the order must win.
CAUSES: dict[VerdictCode, dict[str, Any]] = {
    VerdictCode.REVOKED: {"state": KeyState.REVOKED},
    VerdictCode.DISABLED: {"state": KeyState.DISABLED},
    VerdictCode.EXPIRED: {"expire_ms": NOW_MS},
    VerdictCode.FORBIDDEN: {"allowed_domains": ("other",)},
    VerdictCode.INSUFFICIENT_PERMISSIONS: {"permissions": PermissionSet.of(["join:other"])},
    VerdictCode.RATE_LIMITED: {"verification_rate": VerificationRate(1, 1000)},
    VerdictCode.USAGE_EXCEEDED: {"max_uses": 1},
}
# Used up, and its rate not back yet.
USED = Uses(use_count=1, full_at_us=NOW_MS * 1000 + 1)


def judged(record: KeyRecord | None, use: Use = ANYWHERE, now_ms: int = NOW_MS, revision: int = 5) -> Verdict:
    return judge(record, use, now_ms, ttl_ms=TTL_MS, revision=revision)


def test_the_order_names_every_denial_once() -> None:
    assert sorted(code.name for code in DENIAL_ORDER) == sorted(
        code.name for code in VerdictCode if code is not VerdictCode.VALID
    )


@pytest.mark.parametrize("first", range(len(CAUSES)))
def test_the_first_denial_in_the_order_is_the_verdict(first: int) -> None:
    fields: dict[str, Any] = {}
    for code in reversed(DENIAL_ORDER[1 + first :]):
        fields.update(CAUSES[code])
    record = a_record(**fields)
    verdict = judged(record)
    if verdict.code is VerdictCode.VALID:
        verdict = charged(verdict, charge(record, USED, NOW_MS * 1000)[0])
    assert verdict.code is DENIAL_ORDER[1 + first]


def test_a_good_key_is_shown() -> None:
    limits = KeyLimits(frames_per_second=3)
    verdict = judged(a_record(limits=limits, expire_ms=NOW_MS + 10**9, revision=3))
    assert verdict == Verdict(
        VerdictCode.VALID, 5, TTL_MS, "k1", "team", ("*:*",), limits, NOW_MS + 10**9, create_ms=NOW_MS
    )


def test_an_unknown_key_is_not_shown_at_all() -> None:
    assert judged(None) == Verdict(VerdictCode.NOT_FOUND, 5, TTL_MS)


@pytest.mark.parametrize("code", [VerdictCode.REVOKED, VerdictCode.DISABLED, VerdictCode.EXPIRED])
def test_a_dead_key_shows_neither_owner_nor_permissions(code: VerdictCode) -> None:
    verdict = judged(a_record(limits=KeyLimits(max_channels=3), **CAUSES[code]))
    assert (verdict.owner, verdict.permissions, verdict.limits) == ("", (), KeyLimits())
    assert verdict.key_id == "k1"
    assert verdict.missing == ""


@pytest.mark.parametrize(
    ("fields", "use", "code", "missing"),
    [
        ({"allowed_domains": ("a",)}, Use(domain="b"), VerdictCode.FORBIDDEN, "domain b"),
        ({"allowed_domains": ("a",)}, Use(domain="a"), VerdictCode.VALID, ""),
        ({"allowed_domains": ("a",)}, Use(), VerdictCode.VALID, ""),
        ({"allowed_workspaces": ("a",)}, Use(workspace="b"), VerdictCode.FORBIDDEN, "workspace b"),
        ({"allowed_workspaces": ("a",)}, Use(workspace="a"), VerdictCode.VALID, ""),
        ({"allowed_workspaces": ("a",)}, Use(), VerdictCode.VALID, ""),
        ({}, Use(domain="b", workspace="b"), VerdictCode.VALID, ""),
        (
            {"permissions": PermissionSet.of(["join:a"])},
            Use(action="publish", channel="a"),
            VerdictCode.INSUFFICIENT_PERMISSIONS,
            "publish:a",
        ),
        (
            {"permissions": PermissionSet.of(["join:*"])},
            Use(action="broadcast"),
            VerdictCode.INSUFFICIENT_PERMISSIONS,
            "broadcast:*",
        ),
        ({"permissions": PermissionSet.of(["broadcast:*"])}, Use(action="broadcast"), VerdictCode.VALID, ""),
        ({"allowed_domains": ("a",)}, Use(action="admin"), VerdictCode.FORBIDDEN, "every domain"),
        ({"allowed_domains": ("a",)}, Use(action="admin", domain="a"), VerdictCode.VALID, ""),
        ({"allowed_workspaces": ("a",)}, Use(action="admin"), VerdictCode.FORBIDDEN, "every workspace"),
        ({"allowed_workspaces": ("a",)}, Use(action="admin", workspace="a"), VerdictCode.VALID, ""),
    ],
)
def test_what_a_key_is_wanted_for(fields: dict[str, Any], use: Use, code: VerdictCode, missing: str) -> None:
    verdict = judged(a_record(**fields), use)
    assert (verdict.code, verdict.missing) == (code, missing)


def test_a_verdict_may_not_be_used_past_the_expiry_of_its_key() -> None:
    assert judged(a_record(expire_ms=NOW_MS + 1)).cache_ttl_ms == 1
    assert judged(a_record(expire_ms=NOW_MS + 10**9)).cache_ttl_ms == TTL_MS
    assert judged(a_record()).cache_ttl_ms == TTL_MS


def test_expiry_is_decided_to_the_millisecond() -> None:
    record = a_record(expire_ms=NOW_MS)
    assert judged(record, now_ms=NOW_MS - 1).code is VerdictCode.VALID
    assert judged(record, now_ms=NOW_MS).code is VerdictCode.EXPIRED


def test_the_revision_is_at_least_that_of_the_key() -> None:
    assert judged(a_record(revision=9)).revision == 9
    assert judged(a_record(revision=2)).revision == 5


def test_standing_ignores_what_a_key_is_wanted_for() -> None:
    assert standing(a_record(allowed_domains=("x",)), NOW_MS) is VerdictCode.VALID
    assert standing(None, NOW_MS) is VerdictCode.NOT_FOUND

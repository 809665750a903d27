"""Bounds on every field of a request."""

from dataclasses import replace
from typing import Any

import pytest

from auth_service.core.errors import InvalidFieldError, LimitExceededError
from auth_service.core.keys import KeyLimits
from auth_service.core.validation import (
    MAX_BATCH,
    MAX_LIMIT,
    MAX_TIME_MS,
    KeyRequest,
    check_batch,
    clean_key_id,
    clean_key_request,
    clean_owner_filter,
    clean_page_size,
    clean_page_token,
    clean_reason,
    clean_use,
)
from auth_service.core.verification import Use
from tests.unit.auth_service.fakes import NOW_MS

GOOD = KeyRequest("team", "", ["join:*"], [], [], KeyLimits(), None, "")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("owner", "", "owner"),
        ("owner", "x" * 129, "owner"),
        ("owner", "a\nb", "owner"),
        ("name", "x" * 129, "name"),
        ("name", "\x00", "name"),
        ("permissions", [], "permissions"),
        ("permissions", ["join:a"] * 101, "permissions"),
        ("permissions", ["join:a", "fly:b"], "permissions[1]"),
        ("allowed_domains", ["ok", "not ok"], "allowed_domains[1]"),
        ("allowed_domains", ["x"] * 101, "allowed_domains"),
        ("allowed_domains", [""], "allowed_domains[0]"),
        ("allowed_workspaces", ["x" * 65], "allowed_workspaces[0]"),
        ("allowed_workspaces", ["x"] * 101, "allowed_workspaces"),
        ("limits", KeyLimits(bytes_per_second=MAX_LIMIT + 1), "limits.bytes_per_second"),
        ("limits", KeyLimits(max_channels=-1), "limits.max_channels"),
        ("expire_ms", NOW_MS, "expire_time"),
        ("expire_ms", -1, "expire_time"),
        ("expire_ms", MAX_TIME_MS + 1, "expire_time"),
        ("environment", "prod", "environment"),
        ("environment", "development", "environment"),
    ],
)
def test_the_error_names_the_field(field: str, value: Any, named: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        clean_key_request(replace(GOOD, **{field: value}), NOW_MS)
    assert caught.value.field == named
    assert str(caught.value).startswith(f"{named}: must ") or "action" in caught.value.problem


def test_a_full_request_passes_as_it_is() -> None:
    request = KeyRequest(
        "x" * 128,
        "Ä name",
        ["join:a", "publish:b", "join:a"],
        ["a", "b", "a"],
        ["w"],
        KeyLimits(bytes_per_second=MAX_LIMIT),
        NOW_MS + 1,
        "test",
    )
    spec = clean_key_request(request, NOW_MS)
    assert (spec.owner, spec.name, spec.environment) == ("x" * 128, "Ä name", "test")
    assert spec.permissions.texts == ("join:a", "publish:b")
    assert (spec.allowed_domains, spec.allowed_workspaces) == (("a", "b"), ("w",))
    assert (spec.limits, spec.expire_ms) == (request.limits, NOW_MS + 1)


def test_what_may_be_left_out() -> None:
    spec = clean_key_request(GOOD, NOW_MS)
    assert (spec.name, spec.expire_ms, spec.environment) == ("", None, "live")


@pytest.mark.parametrize("key_id", ["a", "dev_development", "A1" * 32])
def test_ids_that_can_be(key_id: str) -> None:
    assert clean_key_id(key_id) == key_id


@pytest.mark.parametrize("key_id", ["", "a" * 65, "a-b", "a\n", "é", "tw_live_0123456789abcdef_secret", "tw_"])
def test_ids_that_cannot_be(key_id: str) -> None:
    with pytest.raises(InvalidFieldError, match="key_id"):
        clean_key_id(key_id)


def test_reasons_and_owner_filters() -> None:
    assert clean_reason("") == clean_owner_filter("") == ""
    assert clean_reason("x" * 256) == "x" * 256
    for clean, text in ((clean_reason, "x" * 257), (clean_owner_filter, "x" * 129), (clean_reason, "a\tb")):
        with pytest.raises(InvalidFieldError):
            clean(text)


def test_page_sizes() -> None:
    assert [clean_page_size(size) for size in (0, 1, 1000)] == [100, 1, 1000]
    for size in (-1, 1001):
        with pytest.raises(InvalidFieldError, match="page_size"):
            clean_page_size(size)


def test_page_tokens() -> None:
    assert [clean_page_token(token) for token in ("", "0", "123")] == [0, 0, 123]
    for token in ("x", "-1", "1" * 19, "1.0", "٣"):
        with pytest.raises(InvalidFieldError, match="page_token"):
            clean_page_token(token)


@pytest.mark.parametrize(
    ("use", "field"),
    [
        (Use(domain="a b"), "domain"),
        (Use(workspace="x" * 65), "workspace"),
        (Use(action="fly", channel="a"), "action"),
        (Use(action="*", channel="a"), "action"),
        (Use(action="join", channel="a b"), "channel"),
        (Use(action="join", channel="x" * 129), "channel"),
        (Use(action="join"), "channel"),
        (Use(channel="\n"), "channel"),
    ],
)
def test_uses_that_break_a_rule(use: Use, field: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        clean_use(use, "requests[3].")
    assert caught.value.field == f"requests[3].{field}"


@pytest.mark.parametrize(
    "use",
    [
        Use(),
        Use("d", "w", "join", "a/b:c@d#e"),
        Use(action="broadcast"),
        Use(action="admin"),
        Use(action="broadcast", channel="*"),
        Use(action="direct", channel="client-1"),
        Use(action="history", channel="@me"),
    ],
)
def test_uses_that_pass(use: Use) -> None:
    assert clean_use(use) == use


def test_batches_are_bounded() -> None:
    check_batch(MAX_BATCH)
    with pytest.raises(LimitExceededError, match="256"):
        check_batch(MAX_BATCH + 1)

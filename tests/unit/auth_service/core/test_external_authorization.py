"""What a proxy is told about a verdict, and what it may ask."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from auth_service.core.errors import InvalidFieldError
from auth_service.core.external_authorization import (
    IDENTITY_HEADERS,
    NO_KEY_ANSWER,
    Answer,
    answer_of,
    client_address,
    forgeable_names,
    header_value,
    identity_headers,
    limited_status,
    once_each,
    presented_key,
    use_asked,
)
from auth_service.core.verification import Use, Verdict, VerdictCode

HOLDER = Verdict(VerdictCode.VALID, 1, 0, key_id="k1", owner="team pay", permissions=("join:chat-*", "admin:*"))


def denial(code: VerdictCode, **more: object) -> Answer:
    return answer_of(Verdict(code, 1, 0, key_id="k1", **more))  # type: ignore[arg-type]


def test_a_good_key_is_let_through_with_its_identity() -> None:
    answer = answer_of(HOLDER)
    assert (answer.status, answer.code, answer.allowed) == (200, "VALID", True)
    assert dict(answer.headers) == {
        "X-Tidewire-Key-Id": "k1",
        "X-Tidewire-Owner": "team%20pay",
        "X-Tidewire-Permissions": "join:chat-* admin:*",
    }


@pytest.mark.parametrize("code", ["NOT_FOUND", "DISABLED", "REVOKED", "EXPIRED"])
def test_a_key_that_is_no_good_is_401(code: str) -> None:
    answer = denial(VerdictCode[code])
    assert (answer.status, answer.code, answer.error, answer.allowed) == (401, code, "invalid_token", False)
    assert answer.headers == (("WWW-Authenticate", 'Bearer realm="tidewire", error="invalid_token"'),)


def test_no_key_at_all_is_401_without_an_error_code() -> None:
    assert (NO_KEY_ANSWER.status, NO_KEY_ANSWER.code, NO_KEY_ANSWER.allowed) == (401, "NO_KEY", False)
    assert NO_KEY_ANSWER.headers == (("WWW-Authenticate", 'Bearer realm="tidewire"'),)


def test_a_missing_permission_is_403_and_named() -> None:
    answer = denial(VerdictCode.INSUFFICIENT_PERMISSIONS, missing="join:vip")
    assert (answer.status, answer.error) == (403, "insufficient_scope")
    challenge = 'Bearer realm="tidewire", error="insufficient_scope", scope="join:vip"'
    assert answer.headers == (("WWW-Authenticate", challenge),)


def test_a_wrong_place_is_403_without_a_scope() -> None:
    answer = denial(VerdictCode.FORBIDDEN, missing="domain other")
    assert answer.status == 403
    assert answer.headers == (("WWW-Authenticate", 'Bearer realm="tidewire", error="insufficient_scope"'),)


def test_a_key_that_is_used_too_often_is_429_and_told_when_to_come_again() -> None:
    answer = denial(VerdictCode.RATE_LIMITED, retry_after_ms=1001)
    assert (answer.status, answer.error, answer.headers) == (429, "rate_limited", (("Retry-After", "2"),))


def test_a_key_that_is_used_up_is_429_with_no_time_to_come_again() -> None:
    answer = denial(VerdictCode.USAGE_EXCEEDED)
    assert (answer.status, answer.error, answer.headers) == (429, "usage_exceeded", ())


def test_429_becomes_403_where_the_proxy_does_not_know_it() -> None:
    assert answer_of(Verdict(VerdictCode.USAGE_EXCEEDED, 1, 0), 403).status == 403


def test_every_code_has_an_answer_and_only_one_of_them_lets_through() -> None:
    allowed = [code for code in VerdictCode if denial(code, missing="x").status == 200]
    assert allowed == [VerdictCode.VALID]


@pytest.mark.parametrize(
    "text", ["Zoë", "a\r\nX-Tidewire-Key-Id: forged", "50% off", "a\0b", "日本", "tab\there", " a "]
)
def test_no_text_can_end_its_header_and_each_can_be_read_again(text: str) -> None:
    value = header_value(text)
    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
    assert unquote(value) == text


def test_ordinary_texts_stay_as_they_are() -> None:
    assert header_value("join:team/*@#-._~") == "join:team/*@#-._~"


def test_identity_is_in_exactly_the_headers_that_proxies_are_told_to_overwrite() -> None:
    assert tuple(name for name, _ in identity_headers(HOLDER)) == IDENTITY_HEADERS


def test_names_that_servers_may_mix_up_with_identity_headers() -> None:
    names = forgeable_names()
    assert {"x_tidewire_owner", "x-tidewire_owner", "x_tidewire-owner", "x_tidewire_key_id"} <= set(names)
    assert not {header.lower() for header in IDENTITY_HEADERS} & set(names)
    assert len(names) == 7 + 3 + 3


@pytest.mark.parametrize(
    ("authorization", "api_key", "expected"),
    [
        ("Bearer k", None, "k"),
        ("bearer  k ", "other", "k"),
        (None, " k ", "k"),
        ("Basic abc", "k", "k"),
        ("Basic abc", None, None),
        ("Bearer ", None, None),
        ("Bearer", "k", "k"),
        (None, None, None),
        ("", "", None),
    ],
)
def test_where_the_key_is(authorization: str | None, api_key: str | None, expected: str | None) -> None:
    assert presented_key(authorization, api_key) == expected


def test_the_status_for_limits() -> None:
    assert (limited_status(""), limited_status("429"), limited_status("403")) == (429, 429, 403)
    with pytest.raises(InvalidFieldError, match="limited: must be 403 or 429"):
        limited_status("200")


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        ("", ""),
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1, unknown", ""),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%" + "x" * 100 + "]:4711", "fe80::1"),
    ],
)
def test_the_address_at_the_proxy_is_the_last_one(forwarded_for: str, expected: str) -> None:
    assert client_address(forwarded_for) == expected


def test_what_is_asked_becomes_a_use() -> None:
    asked = {"action": "join", "channel": "chat-1", "domain": "d", "workspace": "w"}
    assert use_asked(asked) == Use("d", "w", "join", "chat-1")
    assert use_asked({}) == Use()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"chanel": "x", "action": "join"}, "chanel"),
        ({"channel": "x"}, "action"),
        ({"action": "jump", "channel": "x"}, "action"),
        ({"action": "join"}, "channel"),
        ({"domain": "no spaces"}, "domain"),
        ({"a\r\nb" + "c" * 16: ""}, "a\\r\\nb" + "c" * 16),
        ({"c" * 21: ""}, "a name of 21 characters"),
    ],
)
def test_what_would_not_be_checked_is_refused(asked: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        use_asked(asked)
    assert caught.value.field == field


def test_a_name_that_comes_twice_is_refused() -> None:
    assert once_each([("a", "1"), ("b", "2")]) == {"a": "1", "b": "2"}
    with pytest.raises(InvalidFieldError, match="action: must be given once only"):
        once_each([("action", "join"), ("action", "publish")])


def test_the_example_of_traefik_which_cannot_be_run_here_removes_each_of_those_names() -> None:
    example = Path(__file__).parents[4] / "deploy" / "examples" / "traefik" / "tidewire.yaml"
    lines = {line.strip().lower() for line in example.read_text().splitlines()}
    assert {f'{name}: ""' for name in forgeable_names()} <= lines
    assert {'authorization: ""', 'x-api-key: ""'} <= lines
    handed_on = f"authresponseheaders: [{', '.join(IDENTITY_HEADERS).lower()}]"
    assert handed_on in lines

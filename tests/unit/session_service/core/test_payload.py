"""Payloads of back ends."""

import pytest

from session_service.core.errors import InvalidField, LimitExceeded
from session_service.core.payload import check_payload, check_size


@pytest.mark.parametrize("data", [b"{}", b' {"a": [1, null]} ', '{"a":"\u00fc"}'.encode(), b'{"a":1,"a":2}'])
def test_json_objects_pass(data: bytes) -> None:
    check_payload("data", data, 64)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'"text"', b"1", b"null", b"{", b"{}{}", b'{"a":NaN}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"{'a':1}"],
)
def test_everything_else_is_refused_with_its_field(data: bytes) -> None:
    with pytest.raises(InvalidField) as caught:
        check_payload("data", data, 64)
    assert caught.value.field == "data"


def test_nesting_without_end_is_refused_like_any_bad_json() -> None:
    with pytest.raises(InvalidField):
        check_payload("data", b'{"a":' + b"[" * 100_000, 1 << 20)


def test_the_bound_itself_is_allowed_and_one_more_is_not() -> None:
    check_size("metadata", b"x" * 10, 10)
    with pytest.raises(LimitExceeded) as caught:
        check_payload("metadata", b"x" * 11, 10)
    assert caught.value.what == "metadata has 11 bytes, 10 are allowed"

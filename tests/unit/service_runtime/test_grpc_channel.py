"""The credential that calls carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.grpc_channel import bearer, bearer_token


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        (None, None),
        ((), None),
        ((("authorization", "Bearer abc"),), "abc"),
        ((("Authorization", "bearer abc"),), "abc"),
        ((("AUTHORIZATION", "BEARER  abc "),), "abc"),
        ((("authorization", b"Bearer abc"),), "abc"),
        ((("authorization", b"Bearer \xff"),), "\ufffd"),
        ((("x-other", "1"), ("authorization", "Bearer abc")), "abc"),
        ((("authorization", "Bearer"),), None),
        ((("authorization", "Bearer "),), None),
        ((("authorization", "Basic abc"),), None),
        ((("authorization", "abc"),), None),
        ((("authorization", ""),), None),
        ((("x-api-key", "abc"),), None),
        ((("authorization", "Basic abc"), ("authorization", "Bearer abc")), None),
    ],
)
def test_the_token_of_a_call(metadata: tuple[tuple[str, str | bytes], ...] | None, token: str | None) -> None:
    assert bearer_token(metadata) == token


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_what_is_sent_is_what_is_found(token: str) -> None:
    assert bearer_token(bearer(token)) == token

"""A verdict as the answer of token introspection."""

from __future__ import annotations

import pytest

from auth_service.core.introspection import introspection
from auth_service.core.verification import Verdict, VerdictCode


def test_a_good_key_is_shown() -> None:
    verdict = Verdict(
        VerdictCode.VALID,
        7,
        0,
        key_id="k1",
        owner="team",
        permissions=("join:a", "join:b"),
        expire_ms=20_999,
        create_ms=10_999,
    )
    assert introspection(verdict) == {
        "active": True,
        "scope": "join:a join:b",
        "client_id": "k1",
        "sub": "team",
        "token_type": "Bearer",
        "iat": 10,
        "exp": 20,
    }


def test_a_key_without_an_end_has_no_exp() -> None:
    assert "exp" not in introspection(Verdict(VerdictCode.VALID, 7, 0, key_id="k1"))


@pytest.mark.parametrize("code", [code for code in VerdictCode if code is not VerdictCode.VALID])
def test_nothing_is_shown_of_any_other(code: VerdictCode) -> None:
    verdict = Verdict(code, 7, 0, key_id="k1", owner="team", permissions=("join:a",), expire_ms=1)
    assert introspection(verdict) == {"active": False}

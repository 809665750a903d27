"""The setting that names client certificates, and what they are let in for."""

import pytest

from auth_service.core.callers import Group, parse_certificates


def test_each_name_has_its_groups() -> None:
    assert parse_certificates(" edge.tidewire = verify, check ,watch ; spiffe://a/b?c=d=keys.read;ops=*; ") == {
        "edge.tidewire": {Group.VERIFY, Group.CHECK, Group.WATCH},
        "spiffe://a/b?c=d": {Group.READ_KEYS},
        "ops": set(Group),
    }


@pytest.mark.parametrize("text", ["", " ", ";;"])
def test_nobody_is_named(text: str) -> None:
    assert parse_certificates(text) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("edge", "'edge' is not of this form"),
        ("=verify", "'=verify' is not of this form"),
        ("edge=", "'', of 'edge', is none"),
        ("edge=verify,admin", "'admin', of 'edge', is none"),
        ("edge=verify;edge=check", "'edge' is named twice"),
    ],
)
def test_what_is_wrong_and_what_is_allowed_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^name=group,group;name=\*") as caught:
        parse_certificates(text)
    assert why in str(caught.value)
    assert "keys.write, audit.read" in str(caught.value)

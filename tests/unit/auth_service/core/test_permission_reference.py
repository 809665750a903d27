"""The grammar of permissions against a slow, obvious one that shares nothing with it, and against garbage."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from auth_service.core.permissions import PermissionSet, parse_permission, resource_of
from tests.support.permission_reference import ACTIONS, LETTERS, WITHOUT_CHANNEL, agreed, slow_allows, slow_match

actions = st.sampled_from([*ACTIONS, "*"])
# Few letters, so that patterns and channels meet often.
patterns = st.text(alphabet="ab*/", min_size=1, max_size=12)
channels = st.text(alphabet="ab/*", max_size=14)
permissions = st.builds("{}:{}".format, actions, patterns)


@given(st.text(st.characters(codec=None), max_size=150))
@example("join:\u0430")
@example("join:a\n")
@example(":a")
@example("*:*")
def test_any_text(text: str) -> None:
    agreed(text)


@given(
    st.lists(
        st.sampled_from([*ACTIONS, "*", ":", "a", "Join", " ", "\n", "\x00", "\ud800", "é", "b" * 127]), max_size=6
    )
)
def test_what_is_put_together_of_the_parts_of_permissions(parts: list[str]) -> None:
    agreed("".join(parts))


@given(actions, st.text(alphabet=LETTERS, min_size=1, max_size=130))
def test_all_that_the_grammar_allows(action: str, pattern: str) -> None:
    assert agreed(f"{action}:{pattern}") == (len(pattern) <= 128)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    agreed(data.decode("latin-1"))
    agreed("join:" + data.decode("utf-8", "surrogateescape"))


@given(patterns, channels)
@example("a*a", "a")
@example("*", "")
@example("**", "")
@example("*a*", "bab")
def test_the_matcher(pattern: str, channel: str) -> None:
    assert parse_permission(f"join:{pattern}").covers(channel) == slow_match(pattern, channel)


@given(st.lists(permissions, max_size=4), st.sampled_from(ACTIONS), channels)
def test_a_set_of_permissions(texts: list[str], action: str, channel: str) -> None:
    resource = channel or ("*" if action in WITHOUT_CHANNEL else "")
    assert resource_of(action, channel) == resource
    assert PermissionSet.of(texts).allows(action, resource) == slow_allows(texts, action, resource)


@given(st.lists(permissions, max_size=4), permissions, st.sampled_from(ACTIONS), channels)
def test_another_permission_never_takes_anything_away(texts: list[str], more: str, action: str, channel: str) -> None:
    if PermissionSet.of(texts).allows(action, channel):
        assert PermissionSet.of([*texts, more]).allows(action, channel)
        assert PermissionSet.of([more, *texts]).allows(action, channel)

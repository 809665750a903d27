"""A set of offsets kept as runs is a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.places import Offsets


@given(st.lists(st.integers(1, 30)))
def test_offsets_are_a_set(added: list[int]) -> None:
    offsets, model = Offsets(), set[int]()
    for offset in added:
        assert offsets.add(offset) is (offset not in model)
        model.add(offset)
    assert len(offsets) == len(model)
    assert [offset for offset in range(32) if offset in offsets] == sorted(model)

"""Pages of what a filter fits."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from auth_service.core.keys import KeyState
from auth_service.core.listing import BATCH, MAX_LOOKED_AT, KeyFilter, filtered_page
from tests.unit.auth_service.fakes import NOW_MS, a_record

RECORD = a_record(name="Checkout Backend", expire_ms=NOW_MS)


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (KeyFilter(), True),
        (KeyFilter(owner="team"), True),
        (KeyFilter(owner="tea"), False),
        (KeyFilter(states={KeyState.ACTIVE, KeyState.REVOKED}), True),
        (KeyFilter(states={KeyState.DISABLED}), False),
        (KeyFilter(environment="live"), True),
        (KeyFilter(environment="test"), False),
        (KeyFilter(name_contains="OUT back"), True),
        (KeyFilter(name_contains="front"), False),
        (KeyFilter(expires_before_ms=NOW_MS), True),
        (KeyFilter(expires_before_ms=NOW_MS - 1), False),
    ],
)
def test_a_filter(asked: KeyFilter, fits: bool) -> None:
    assert asked.matches(RECORD) is fits


def test_a_key_without_an_expiry_is_never_before_one() -> None:
    assert not KeyFilter(expires_before_ms=NOW_MS).matches(replace(RECORD, expire_ms=None))


class Rows:
    """Numbers from 1 to `size`, each at its own position."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.looked_at = 0

    async def fetch(self, position: int, limit: int) -> tuple[Sequence[tuple[int, int]], bool]:
        numbers = range(position + 1, min(position + limit, self._size) + 1)
        self.looked_at += len(numbers)
        return [(number, number) for number in numbers], position + limit < self._size


@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("size", [0, 1, 3, BATCH, BATCH + 1, 5 * BATCH])
async def test_pages_together_hold_each_fitting_row_once(size: int, limit: int, step: int) -> None:
    if limit == 1:
        size = min(size, 60)
    rows, found, position = Rows(size), list[int](), 0
    for _ in range(size + 2):
        page = await filtered_page(rows.fetch, lambda number: number % step == 0, position, limit)
        assert len(page.rows) <= limit
        found += page.rows
        if page.next_token is None:
            break
        assert page.next_token > position
        position = page.next_token
    assert found == [number for number in range(1, size + 1) if number % step == 0]


async def test_a_page_looks_at_so_many_rows_only() -> None:
    rows = Rows(10 * MAX_LOOKED_AT)
    page = await filtered_page(rows.fetch, lambda number: False, 0, 10)
    assert (list(page.rows), page.next_token, rows.looked_at) == ([], MAX_LOOKED_AT, MAX_LOOKED_AT)


async def test_a_full_page_at_the_very_end_is_the_last() -> None:
    page = await filtered_page(Rows(3).fetch, lambda number: True, 0, 3)
    assert (list(page.rows), page.next_token) == ([1, 2, 3], None)

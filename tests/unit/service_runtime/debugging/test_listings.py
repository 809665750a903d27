"""Long lists, page by page."""

from __future__ import annotations

import pytest

from service_runtime.debugging.admission import Refused
from service_runtime.debugging.listings import DEFAULT_LIMIT, MAX_LIMIT, Listing, Row, Wanted, page


def numbers(*present: int, gone: frozenset[int] = frozenset()) -> Listing[int]:
    def row(number: int) -> Row | None:
        return None if number in gone else {"id": number}

    return Listing(lambda: iter(present), row, int)


async def all_pages(listing: Listing[int], limit: int) -> list[list[object]]:
    pages, after = [], ""
    while True:
        rows, _, following = await page(listing, Wanted(limit, after))
        pages.append([row["id"] for row in rows])
        if following is None:
            return pages
        after = str(following)


async def test_pages_are_in_order_and_hold_each_row_once() -> None:
    assert await all_pages(numbers(5, 1, 10, 2, 9), 2) == [[1, 2], [5, 9], [10]]


async def test_a_last_page_that_is_full_says_that_it_is_the_last() -> None:
    assert await all_pages(numbers(1, 2, 3, 4), 2) == [[1, 2], [3, 4]]


async def test_what_has_gone_meanwhile_is_left_out_and_nothing_behind_it() -> None:
    assert await all_pages(numbers(1, 2, 3, 4, gone=frozenset({2})), 2) == [[1], [3, 4]]


async def test_the_whole_number_is_told() -> None:
    assert (await page(numbers(1, 2, 3), Wanted(limit=1)))[1] == 3


async def test_nothing_is_one_empty_page() -> None:
    assert await page(numbers(), Wanted()) == ([], 0, None)


async def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="after") as refused:
        await page(numbers(1), Wanted(after="one"))
    assert refused.value.status == 400


def test_a_query_names_the_part() -> None:
    assert Wanted.of({"limit": "7", "after": "x"}) == Wanted(7, "x")
    assert Wanted.of({}) == Wanted(DEFAULT_LIMIT, "")


@pytest.mark.parametrize("limit", ["0", "-1", "", "many", str(MAX_LIMIT + 1), "1" * 5000, "00000000012345", "٣"])
def test_a_limit_that_is_out_of_bounds_is_refused(limit: str) -> None:
    with pytest.raises(Refused, match="from 1 to 1000"):
        Wanted.of({"limit": limit})

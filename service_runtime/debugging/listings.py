"""Long lists, page by page: what is in them is copied at once, looked through beside the event loop, and shown row by row."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

from service_runtime.debugging.admission import Refused

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Row: TypeAlias = Mapping[str, Any]
K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True)
class Listing(Generic[K]):
    """Something that there are many of.

    Attributes:
        keys: Returns the key of each; keys have an order, and each is there once.
        row: Returns what is shown of one; None: it has gone meanwhile.
        read_key: Makes a key of its text; raises ValueError.
    """

    keys: Callable[[], Iterable[K]]
    row: Callable[[K], Row | None]
    read_key: Callable[[str], K]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a listing is wanted.

    Attributes:
        limit: How many rows at most.
        after: The key that the page before ended with; empty: the first page.
    """

    limit: int = DEFAULT_LIMIT
    after: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """Read `limit` and `after`; raises Refused."""
        return cls(whole_number(query, "limit", DEFAULT_LIMIT, MAX_LIMIT), query.get("after", ""))


def whole_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Return a number of a query, from 1 to `most`; raises Refused."""
    text = query.get(name, str(default))
    if len(text) > len(str(most)) or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Refused(400, "invalid_request", f"{name}: a whole number from 1 to {most}")
    return int(text)


async def page(listing: Listing[K], wanted: Wanted) -> tuple[list[Row], int, K | None]:
    """Return the rows of one page, how many there are in all, and the key to ask for the next page with; None: the last.

    Raises:
        Refused: `after` is no key.
    """
    try:
        after = listing.read_key(wanted.after) if wanted.after else None
    except ValueError:
        raise Refused(400, "invalid_request", "after: not the `next` of a page") from None
    keys = list(listing.keys())
    chosen = await asyncio.to_thread(_smallest, keys, after, wanted.limit)
    rows = [row for key in chosen[: wanted.limit] if (row := listing.row(key)) is not None]
    return rows, len(keys), chosen[wanted.limit - 1] if len(chosen) > wanted.limit else None


def _smallest(keys: Sequence[K], after: K | None, limit: int) -> list[K]:
    """Return the next keys by their order, and one more to know if there are more."""
    return heapq.nsmallest(limit + 1, keys if after is None else (key for key in keys if key > after))

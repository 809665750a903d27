"""Pages of what a filter fits: a bounded look at the store for each page, so that a page may be short, but never takes long."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from auth_service.core.keys import KeyRecord, KeyState

T = TypeVar("T")

# Rows read at once, and looked at for one page, at most.
BATCH: Final = 500
MAX_LOOKED_AT: Final = 2000


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys are asked for; what is empty or None filters nothing.

    Args:
        owner: keys of this owner.
        states: keys in one of these states.
        environment: keys of this environment.
        name_contains: keys whose name has this in it, capital or small.
        expires_before_ms: keys whose time is over at this moment, Unix milliseconds.
    """

    owner: str = ""
    states: Collection[KeyState] = ()
    environment: str = ""
    name_contains: str = ""
    expires_before_ms: int | None = None

    def matches(self, record: KeyRecord) -> bool:
        """Return whether a key is asked for."""
        return (
            self.owner in ("", record.owner)
            and (not self.states or record.state in self.states)
            and self.environment in ("", record.environment)
            and self.name_contains.casefold() in record.name.casefold()
            and (self.expires_before_ms is None or record.expired(self.expires_before_ms))
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """What fits a filter; `next_token` is the position to go on from, None on the last page."""

    rows: Sequence[T]
    next_token: int | None


async def filtered_page(
    fetch: Callable[[int, int], Awaitable[tuple[Sequence[tuple[int, T]], bool]]],
    matches: Callable[[T], bool],
    position: int,
    limit: int,
    *,
    batch: int = BATCH,
) -> Page[T]:
    """Read rows until a page is full, there are no more, or enough were looked at.

    Args:
        fetch: returns rows behind a position, at most so many, each with its position, and whether there are more.
        matches: whether a row belongs into the page.
        position: where the page begins.
        limit: rows of a page at most.
        batch: rows to be read at once; fewer than `BATCH` if most of them fit.
    """
    found: list[T] = []
    for _ in range(MAX_LOOKED_AT // BATCH):
        rows, more = await fetch(position, max(batch, limit))
        for at, (position, row) in enumerate(rows, start=1):
            if matches(row):
                found.append(row)
            if len(found) == limit:
                return Page(found, position if more or at < len(rows) else None)
        if not more:
            return Page(found, None)
    return Page(found, position)

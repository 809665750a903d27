"""Failed attempts are counted by where they came from, so that keys cannot be tried out without end.

Two counts, each a rate as in `charging.py`: of one address with keys that begin alike, and of one address with any keys.
The invariant: nobody is kept from a key of theirs. What fails at one address changes nothing for another; and where a key was
found good a while ago, it goes on to the real check although its address is throttled.

Attempts that are looked up at the same moment do not know of each other's failure yet; the next one does.
Everything is bounded: of the tables that are full, what was not touched for longest is forgotten.
"""

import functools
import ipaddress
from collections import OrderedDict
from typing import Final, NamedTuple

from auth_service.core.charging import Cells, taken, wait_us
from auth_service.core.errors import InvalidFieldError

# Of a key's text, as many as `KeyText.prefix` has.
PREFIX_CHARS: Final = 12
MINUTE_US: Final = 60_000_000
# A key that was good at an address is let through there for so long.
KNOWN_FOR_US: Final = 3_600_000_000
# More than is noted at once, so that the table shrinks to what is known.
_FORGOTTEN_AT_ONCE: Final = 2
MAX_ADDRESS_CHARS: Final = 64
# The last 64 bits of an IPv6 address are the host's own to choose.
_HOST_BITS: Final = 64


class Source(NamedTuple):
    """Where an attempt came from: an address as it is counted, and the beginning of the key."""

    address: str
    prefix: str


@functools.lru_cache(maxsize=4096)
def counted_address(address: str) -> str:
    """Return the name that an address is counted under: an IPv4 address, or the /64 of an IPv6 address.

    Raises:
        ValueError: it is no address.
    """
    if len(address) > MAX_ADDRESS_CHARS:
        raise ValueError("too long for an address")
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or f"{int(found) >> _HOST_BITS:x}/64")


def source_of(client_address: str, api_key: str, at: str = "") -> Source | None:
    """Return where an attempt came from; None: that is not known, and it is not counted.

    Args:
        client_address: as it was told; empty: not known.
        api_key: the text that was tried.
        at: where the field is in the request, e.g. `requests[3].`.

    Raises:
        InvalidFieldError: it is no address.
    """
    if not client_address:
        return None
    try:
        return Source(counted_address(client_address), api_key[:PREFIX_CHARS])
    except ValueError:
        raise InvalidFieldError(f"{at}client_address", "must be an IPv4 or IPv6 address, or empty") from None


class Throttle:
    """Counts failed attempts, and says who has to wait.

    Args:
        per_minute: failures a minute of one address with keys that begin alike, also all at once; 0: any number.
        per_minute_of_address: failures a minute of one address, also all at once; 0: any number.
        size: entries that each of the two tables keeps.
    """

    def __init__(self, *, per_minute: int, per_minute_of_address: int, size: int) -> None:
        self._cells = _cells(per_minute)
        self._cells_of_address = _cells(per_minute_of_address)
        self._size = size
        # When each is again as if nothing had failed, microseconds of a clock that never jumps.
        self._failures: OrderedDict[Source, int] = OrderedDict()
        # Up to when a key is known to be good at an address.
        self._known: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def entries(self) -> int:
        """How many entries are kept."""
        return len(self._failures) + len(self._known)

    def wait_us(self, source: Source, key_id: str, now_us: int) -> int:
        """Return how long an attempt has to wait, microseconds; 0: it may go on to the real check.

        Args:
            source: where it came from.
            key_id: of the key; empty: the text is not that of a key.
            now_us: the present moment, microseconds of a clock that never jumps.
        """
        if not self._failures:
            return 0
        wait = max(
            self._wait_us(self._cells, source, now_us),
            self._wait_us(self._cells_of_address, _any_key(source), now_us),
        )
        if wait and key_id and self._known.get((source.address, key_id), 0) > now_us:
            return 0
        return wait

    def knows(self, client_address: str, key_id: str, now_us: int) -> bool:
        """Return whether a key was found good at an address so lately that there is nothing to ask or to note."""
        try:
            address = counted_address(client_address)
        except ValueError:
            return False
        return self._known.get((address, key_id), 0) > now_us + KNOWN_FOR_US // 2

    def failed(self, source: Source, now_us: int) -> None:
        """Count an attempt that failed."""
        self._count(self._cells, source, now_us)
        self._count(self._cells_of_address, _any_key(source), now_us)

    def succeeded(self, source: Source, key_id: str, now_us: int) -> None:
        """Note that a key was found good at an address."""
        known = self._known
        pair = (source.address, key_id)
        known[pair] = now_us + KNOWN_FOR_US
        known.move_to_end(pair)
        if len(known) > self._size:
            known.popitem(last=False)
        self._forget_what_is_over(now_us)

    def _forget_what_is_over(self, now_us: int) -> None:
        """Forget a few that are known no longer: those that were noted first are over first."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            pair = next(iter(self._known))
            if self._known[pair] > now_us:
                return
            del self._known[pair]

    def _wait_us(self, cells: Cells | None, source: Source, now_us: int) -> int:
        full_at_us = self._failures.get(source)
        return 0 if cells is None or full_at_us is None else wait_us(cells, full_at_us, now_us)

    def _count(self, cells: Cells | None, source: Source, now_us: int) -> None:
        if cells is None:
            return
        failures = self._failures
        # What fails although it has to wait (a key known there) makes nobody wait for longer.
        full_at_us = min(taken(cells, failures.get(source, 0), now_us), now_us + cells.burst * cells.interval_us)
        failures[source] = full_at_us
        failures.move_to_end(source)
        if len(failures) > self._size:
            failures.popitem(last=False)


def _cells(per_minute: int) -> Cells | None:
    return Cells(per_minute, -(-MINUTE_US // per_minute)) if per_minute else None


def _any_key(source: Source) -> Source:
    return Source(source.address, "")

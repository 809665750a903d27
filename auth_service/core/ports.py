"""What the rules need of the world: a clock, a store of keys, and one of their uses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from auth_service.core.audit import SYSTEM, AuditEntry
from auth_service.core.charging import Charge
from auth_service.core.keys import KeyRecord
from auth_service.core.verification import VerdictCode

MAX_KEYS: Final = 1_000_000
"""That a store may hold, unless it is told otherwise."""

# Gets the stored record, returns what it shall be; the same record means: nothing changes. May raise.
RecordChange = Callable[[KeyRecord], KeyRecord]
# Gets the stored record, returns what it shall be and the new one that takes its place. May raise.
RecordRotation = Callable[[KeyRecord], tuple[KeyRecord, KeyRecord]]


class Clock(Protocol):
    """The present moment."""

    def now(self) -> float:
        """Return the Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never jumps."""
        ...


def now_ms(clock: Clock) -> int:
    """Return the present moment in whole Unix milliseconds, rounded down."""
    return int(clock.now() * 1000)


def now_us(clock: Clock) -> int:
    """Return the present moment in whole Unix microseconds, rounded down."""
    return int(clock.now() * 1_000_000)


def monotonic_us(clock: Clock) -> int:
    """Return whole microseconds of a clock that never jumps, rounded down."""
    return int(clock.monotonic() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change log: the key's standing from this revision on."""

    revision: int
    key_id: str
    code: VerdictCode


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys in the order they were made, each with its position; `more` says that there are others behind them."""

    rows: Sequence[tuple[int, KeyRecord]]
    more: bool

    @property
    def records(self) -> list[KeyRecord]:
        """The keys alone."""
        return [record for _, record in self.rows]

    @property
    def next_after(self) -> int | None:
        """The position after which the next page begins; None on the last page."""
        return self.rows[-1][0] if self.more else None


class KeyStore(Protocol):
    """Keys, the log of their changes, and the audit log. Every method may raise `StoreUnavailableError`.

    Each change of a key gets the next revision and an entry in both logs, in one transaction with the change:
    whoever sees a revision sees all changes up to it. Revisions only grow, over restarts too. `actor` is who makes
    the change, for the audit log (`core/audit.py`).
    """

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key."""
        ...

    async def create(self, record: KeyRecord, *, actor: str = SYSTEM) -> KeyRecord:
        """Store a new key and return it with its revision.

        Raises:
            KeyExistsError: the id is taken.
            LimitExceededError: the store may hold no more keys.
        """
        ...

    async def create_first(self, record: KeyRecord) -> KeyRecord:
        """Store the first admin key, once in the life of the store. The actor is the system.

        Raises:
            AlreadyBootstrappedError: it was made before, even if it is gone since.
        """
        ...

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        """Change a key in one transaction; idempotent when `change` returns the record it got.

        Raises:
            KeyNotFoundError: no key has this id.
            AuthError: whatever `change` raises; nothing is stored then.
        """
        ...

    async def rotate(self, key_id: str, rotation: RecordRotation, *, actor: str) -> tuple[KeyRecord, KeyRecord]:
        """Change a key and store the one that takes its place, in one transaction; return both with their revisions.

        Raises:
            KeyNotFoundError: no key has this id.
            KeyExistsError: the id of the new key is taken.
            LimitExceededError: the store may hold no more keys.
            AuthError: whatever `rotation` raises; nothing is stored then.
        """
        ...

    async def delete(self, key_id: str, *, now_ms: int, actor: str = SYSTEM, reason: str = "") -> None:
        """Remove a key for good, with the count of its uses.

        Args:
            key_id: of the key.
            now_ms: the present moment, Unix milliseconds, for the audit log.
            actor: who removes it.
            reason: why.

        Raises:
            KeyNotFoundError: no key has this id.
        """
        ...

    async def list_keys(self, *, after: int, limit: int, owner: str) -> KeyPage:
        """Read a page of keys, oldest first; `owner` empty means all, `after` 0 the first page."""
        ...

    async def audit_entries(self, *, before: int, limit: int, key_id: str = "") -> Sequence[AuditEntry]:
        """Read the audit log, newest first. What it takes depends on what is returned, not on how long the log is.

        Args:
            before: entries of revisions below this one; 0: from the newest on.
            limit: entries at most.
            key_id: entries of this key; empty: of all.
        """
        ...

    async def development_key_ids(self) -> Sequence[str]:
        """Return the ids of the keys that are marked as development keys."""
        ...

    async def revision(self) -> int:
        """Return the revision of the last change; 0 in an empty store."""
        ...

    async def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        """Return changes after a revision, in order, at most `limit`.

        Raises:
            RevisionGoneError: the log no longer reaches back that far, or the revision was never given out.
        """
        ...

    async def record_expiries(self, now_ms: int) -> int | None:
        """Log each key whose time is over and was not logged so far; idempotent.

        Returns:
            The Unix milliseconds of the next expiry to come, or None.
        """
        ...

    async def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        """Hold the peppers against those the store's keys were made with, and remember new ones.

        Raises:
            PepperError: a pepper of the store is not known, or is another one.
        """
        ...

    async def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        """Store the hash of a key's secret under another pepper, if hash and pepper still are those of `old`.

        It changes nothing that anybody could notice: no revision, no entry in a log.

        Returns:
            Whether it did.
        """
        ...

    async def canary(self, number: int) -> int | None:
        """Write a number as changes are written, and return what is read back; it touches no key and no log."""
        ...


class UseCharger(Protocol):
    """Counts what keys are used for. Every method may raise `StoreUnavailableError`: then nothing is known.

    What was charged is as safe as a change of a key, before it is answered.
    """

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        """Charge one verification to each key, in this order, a key that is there twice two of them.

        Args:
            records: keys with bounds, at most a batch of them.
            now_us: the present moment, Unix microseconds; a store that is shared goes by its own clock.
        """
        ...

    async def look(self, record: KeyRecord, now_us: int) -> Charge:
        """Return what `charge` would, and charge nothing."""
        ...

    async def use_counts(self, key_ids: Sequence[str]) -> Mapping[str, int]:
        """Return how many uses were charged to keys; those that have none are left out."""
        ...

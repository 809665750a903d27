"""All connections of this edge, found by number and by key."""

from __future__ import annotations

from collections.abc import Iterator

from ws_edge.core.connection import Connection
from ws_edge.core.limits import KeyBuckets
from ws_edge.core.ports import KeyLimits


class KeyHolders:
    """The connections of one key, and what they share."""

    __slots__ = ("buckets", "connections")

    def __init__(self, buckets: KeyBuckets) -> None:
        self.buckets = buckets
        self.connections: dict[int, Connection] = {}


class KeyChanges:
    """Which keys changed lately, so that an authentication that was overtaken by a change begins anew.

    Args:
        capacity: Changes remembered; older ones count for every key.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._latest: dict[str, int] = {}
        self._floor = 0
        self.count = 0

    def mark(self, key_id: str) -> None:
        """Note that a key changed."""
        self.count += 1
        self._latest.pop(key_id, None)
        self._latest[key_id] = self.count
        if len(self._latest) > self._capacity:
            self._floor = self._latest.pop(next(iter(self._latest)))

    def mark_all(self) -> None:
        """Note that any key may have changed."""
        self.count += 1
        self._latest.clear()
        self._floor = self.count

    def changed_since(self, key_id: str, count: int) -> bool:
        """Say if a key changed after `self.count` was `count`."""
        return self._latest.get(key_id, self._floor) > count


class Registry:
    """All connections, oldest first.

    Args:
        max_connections: How many this edge holds at most.
    """

    def __init__(self, max_connections: int) -> None:
        self.max_connections = max_connections
        self._by_number: dict[int, Connection] = {}
        self._by_key: dict[str, KeyHolders] = {}
        self.changes = KeyChanges()

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_number.values()))

    @property
    def full(self) -> bool:
        """No further connection is taken."""
        return len(self._by_number) >= self.max_connections

    def add(self, connection: Connection) -> None:
        """Take a connection in."""
        self._by_number[connection.number] = connection

    def get(self, number: int) -> Connection | None:
        """Return a live connection."""
        return self._by_number.get(number)

    def remove(self, connection: Connection) -> bool:
        """Let a connection go; says if it was there."""
        if self._by_number.pop(connection.number, None) is None:
            return False
        self.release(connection)
        return True

    def release(self, connection: Connection) -> None:
        """Note that a connection no longer belongs to its key. Idempotent."""
        if connection.facts is None:
            return
        holders = self._by_key.get(connection.facts.key_id)
        if holders is not None:
            holders.connections.pop(connection.number, None)
            if not holders.connections:
                del self._by_key[connection.facts.key_id]

    def hold(self, connection: Connection, limits: KeyLimits, now: float) -> KeyBuckets:
        """Note that a connection with `facts` belongs to its key; returns what the key's connections share."""
        key_id = connection.who.key_id
        holders = self._by_key.get(key_id)
        if holders is None:
            buckets = KeyBuckets(limits.key_frames_per_second, limits.key_bytes_per_second, now)
            holders = self._by_key[key_id] = KeyHolders(buckets)
        else:
            holders.buckets.retune(limits.key_frames_per_second, limits.key_bytes_per_second, now)
        holders.connections[connection.number] = connection
        return holders.buckets

    def retune(self, key_id: str, limits: KeyLimits, now: float) -> None:
        """Take over new limits for what the connections of a key share."""
        holders = self._by_key.get(key_id)
        if holders is not None:
            holders.buckets.retune(limits.key_frames_per_second, limits.key_bytes_per_second, now)

    def of_key(self, key_id: str) -> list[Connection]:
        """Return the live connections of a key."""
        holders = self._by_key.get(key_id)
        return [] if holders is None else list(holders.connections.values())

    def key_ids(self) -> list[str]:
        """Return the ids of all keys that have live connections."""
        return list(self._by_key)

"""Acts on changes of keys, in small groups of connections, so that everything else goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from service_runtime.logs import get_logger
from tidewire_client.verdict import VerdictCode
from tidewire_client.verifier import KeyChanged
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import ServiceAway

log = get_logger("ws_edge.keys")

RECHECK_RETRY_S: Final = 1.0
EXPIRY_LOOK_S: Final = 0.25
# So many are closed, or checked again side by side, before others have their turn. To tell so many takes a good quarter of a
# second, once: what is over must be over within a second, and the others hardly notice.
END_AT_ONCE: Final = 5000
CHECK_AT_ONCE: Final = 64


class KeyWatcher:
    """Ends the connections of keys that are no longer good, and checks the others of a key that changed until it is done.

    Nothing waits in it twice: a connection has one place among those to be ended, and one among those to be checked.
    """

    def __init__(self) -> None:
        self.gateway: Gateway
        self._ending: dict[int, tuple[Connection, str, str]] = {}
        self._waiting: dict[int, tuple[Connection, int]] = {}
        self._endings = asyncio.Event()
        self._news = asyncio.Event()

    def key_changed(self, change: KeyChanged) -> None:
        """Queue the connections of a key: to be ended if it is no longer good, else to be checked again."""
        connections = self.gateway.live_keys.changed(change.key_id)
        if change.code is VerdictCode.VALID:
            self._check(connections, change.revision)
        else:
            self._end(connections, change.code.name)

    def resync(self, revision: int) -> None:
        """Queue a check of everything: changes up to this revision may have been missed."""
        self._check(self.gateway.live_keys.all_changed(), revision)

    def _check(self, connections: Iterable[Connection], revision: int) -> None:
        for connection in connections:
            _, waiting = self._waiting.get(connection.number, (connection, 0))
            self._waiting[connection.number] = connection, max(revision, waiting)
        self._news.set()

    def _end(self, connections: Iterable[Connection], code: str) -> None:
        self._ending.update(
            (connection.number, (connection, connection.who.key_id, code)) for connection in connections
        )
        self._endings.set()

    async def run(self) -> None:
        """Do what is queued, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_queued())
            group.create_task(self._check_queued())
            group.create_task(self._look_for_expired())

    async def _end_queued(self) -> None:
        while True:
            await self._endings.wait()
            self._endings.clear()
            while self._ending:
                for _ in range(min(END_AT_ONCE, len(self._ending))):
                    _, ending = self._ending.popitem()
                    self._end_one(*ending)
                await asyncio.sleep(0)

    def _end_one(self, connection: Connection, key_id: str, code: str) -> None:
        try:
            self.gateway.live_keys.end(connection, key_id, code)
        except Exception as exc:
            self.gateway.defect(connection.number, exc)

    async def _check_queued(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                group = [self._waiting.pop(number) for number in list(self._waiting)[:CHECK_AT_ONCE]]
                done = await asyncio.gather(*(self._checked(*each) for each in group))
                undone = [each for each, is_done in zip(group, done, strict=True) if not is_done]
                if undone:
                    for connection, revision in undone:
                        self._check([connection], revision)
                    log.warning("memberships cannot be checked again yet", waiting=len(self._waiting))
                    await asyncio.sleep(RECHECK_RETRY_S)
                await asyncio.sleep(0)

    async def _checked(self, connection: Connection, revision: int) -> bool:
        """Check one; say if that could be done."""
        try:
            await self.gateway.live_keys.recheck(connection, revision)
        except ServiceAway:
            return False
        except Exception as exc:
            self.gateway.defect(connection.number, exc)
        return True

    async def _look_for_expired(self) -> None:
        """End connections whose key's time is over also if no word of it came."""
        while True:
            await asyncio.sleep(EXPIRY_LOOK_S)
            self._end(self.gateway.live_keys.expired(), VerdictCode.EXPIRED.name)

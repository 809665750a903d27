"""Reads of the Redis engine: pages of channels, positions of clients, threads and their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from session_service.adapters.redis_access.asking import Lanes
from session_service.adapters.redis_access.commands import (
    ACKNOWLEDGED,
    MAX_NUMBER,
    READ,
    THREAD_READ,
    Command,
    Names,
    Part,
    RedisSettings,
    bounds,
    decode,
)
from session_service.core.model import (
    Page,
    Position,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
    weight,
)

THREAD_PAGE_BYTES: Final = 2 * 1024 * 1024
THREAD_STEP: Final = 32


class Stretch(NamedTuple):
    """A page, and the offset after which its epoch began."""

    page: Page
    start: int


class Queries:
    """Asks the server.

    Args:
        lanes: Ways for reads.
        names: Names of keys.
        settings: Retention, which is applied when a channel is looked at.
    """

    def __init__(self, lanes: Lanes, names: Names, settings: RedisSettings) -> None:
        self._lanes = lanes
        self._names = names
        self._settings = settings

    # Channels.

    async def read(self, topic: str, after: int, limit: int, max_bytes: int) -> Stretch:
        """Read messages after an offset."""
        return await self._read(topic, "after", after, limit, max_bytes)

    async def last(self, topic: str, count: int, max_bytes: int) -> Page:
        """Read the newest messages."""
        page = (await self._read(topic, "last", 0, count, max_bytes)).page
        return page._replace(messages=page.messages[::-1], more=False)

    async def _read(self, topic: str, mode: str, after: int, limit: int, max_bytes: int) -> Stretch:
        keys = (self._names.key(topic, "meta"), self._names.key(topic, "log"))
        rule = bounds(self._settings, topic)
        reply = await self._lanes.ask(
            READ.call(keys, self._settings.now(), *rule, mode, min(after, MAX_NUMBER), limit, max_bytes)
        )
        if reply is None:
            return Stretch(Page("", 0, 0, (), False), 0)
        epoch, head, low = reply[0].decode(), int(reply[1]), int(reply[2])
        messages = [decode(topic, epoch, int(offset), int(time_ms), body) for offset, time_ms, body in reply[5]]
        more = bool(messages) and messages[-1].offset < head
        return Stretch(Page(epoch, head, low, messages, more, _formers(reply[4])), int(reply[3]))

    async def acknowledged(self, topic: str, client_id: str) -> Position | None:
        """Return a client's last acknowledged position."""
        epoch, offset, _ = await self._acknowledged(topic, client_id, 0)
        return None if int(offset) < 0 else Position(epoch.decode(), int(offset))

    async def count_acknowledged(self, topic: str, offset: int) -> int:
        """Return how many clients acknowledged a message."""
        return int((await self._acknowledged(topic, "", offset))[2])

    async def _acknowledged(self, topic: str, client_id: str, offset: int) -> Any:
        keys = tuple(self._names.key(topic, kind) for kind in ("meta", "acknowledged", "baselines"))
        return await self._lanes.ask(ACKNOWLEDGED.call(keys, client_id, min(offset, MAX_NUMBER)))

    # Threads.

    async def thread(self, domain: str, workspace: str, thread_id: str) -> Thread | None:
        """Return a thread."""
        keys = self._names.thread(domain, workspace, thread_id)
        reply = await self._lanes.ask(THREAD_READ.call((keys.thread, keys.references, keys.times), thread_id))
        if reply is None:
            return None
        (title, channel, created_by, created_ms, metadata), count, last_ms = reply
        return Thread(
            thread_id,
            domain,
            workspace,
            title.decode(),
            channel.decode(),
            created_by.decode(),
            int(created_ms),
            int(count),
            int(last_ms),
            metadata,
        )

    async def threads(self, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
        """Return threads, newest first."""
        order = self._names.thread(domain, workspace, "").order
        newest = f"({min(token, MAX_NUMBER)}" if token else "+inf"
        found, total = await asyncio.gather(
            self._run("ZRANGE", order, newest, "-inf", "BYSCORE", "REV", "LIMIT", 0, limit + 1, "WITHSCORES"),
            self._run("ZCARD", order),
        )
        names = [name.decode() for name in found[0 : 2 * limit : 2]]
        threads = await asyncio.gather(*[self.thread(domain, workspace, name) for name in names])
        more = len(found) > 2 * limit
        next_token = int(float(found[2 * limit - 1])) if more else 0
        return ThreadPage([thread for thread in threads if thread is not None], next_token, int(total))

    async def thread_messages(
        self, domain: str, workspace: str, thread_id: str, limit: int, token: int
    ) -> ThreadMessages:
        """Return a thread's messages. References to messages that are no longer kept are forgotten on the way."""
        references = self._names.thread(domain, workspace, thread_id).references
        lowest = f"({min(token, MAX_NUMBER)}"
        found = await self._run("ZRANGE", references, lowest, "+inf", "BYSCORE", "LIMIT", 0, limit + 1, "WITHSCORES")
        pairs = [(found[place], int(float(found[place + 1]))) for place in range(0, len(found), 2)]
        messages, gone, done = await self._of_references(pairs[:limit])
        if gone:
            await self._run("ZREM", references, *gone)
        total = int(await self._run("ZCARD", references))
        return ThreadMessages(messages, pairs[done - 1][1] if done < len(pairs) else 0, total)

    async def _of_references(self, pairs: Sequence[tuple[bytes, int]]) -> tuple[list[StoredMessage], list[bytes], int]:
        """Return the messages, up to `THREAD_PAGE_BYTES`; what is gone; and how many references were used up."""
        messages: list[StoredMessage] = []
        gone: list[bytes] = []
        budget = THREAD_PAGE_BYTES
        for begin in range(0, len(pairs), THREAD_STEP):
            step = pairs[begin : begin + THREAD_STEP]
            found = await asyncio.gather(*[self._of_reference(reference) for reference, _ in step])
            for place, message in enumerate(found):
                if message is None:
                    gone.append(step[place][0])
                    continue
                budget -= weight(message)
                if budget < 0 and messages:
                    return messages, gone, begin + place
                messages.append(message)
        return messages, gone, len(pairs)

    async def _run(self, word: str, key: str, *arguments: Part) -> Any:
        return await self._lanes.ask(Command(key, (word, key, *arguments)))

    async def _of_reference(self, reference: bytes) -> StoredMessage | None:
        offset, epoch, topic = reference.decode().split(" ", 2)
        page = (await self.read(topic, int(offset) - 1, 1, 1)).page
        message = page.messages[0] if page.messages else None
        is_kept = epoch == page.epoch or int(offset) <= page.formers.get(epoch, 0)
        return message if message is not None and message.offset == int(offset) and is_kept else None


def _formers(text: bytes) -> Mapping[str, int]:
    """Return earlier epochs, and up to which offset each is the same as the present one."""
    words = text.decode().split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def reference_of(topic: str, epoch: str, offset: int) -> str:
    """Return what a thread keeps of a message."""
    return f"{offset} {epoch} {topic}"

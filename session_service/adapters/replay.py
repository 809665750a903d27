"""Reads what a reader has missed, up to a channel's head, without a hole and without a duplicate.

The engine is read outside the loop's order, so a read may end before the head, or after it. What the channel's ring holds joins
on; what lies behind the head is cut, because it comes as a live delivery. The last step runs without waiting. When the channel
gets another epoch meanwhile, the work begins again from where the reader stopped: the store knows what both epochs share.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from session_service.core.channel import Channel
from session_service.core.errors import EngineUnavailable
from session_service.core.model import Page, Position, RecoveryFailure, StoredMessage, weight
from session_service.core.ports import Engine
from session_service.core.recovery import Recovery, assess

PAGE_MESSAGES: Final = 1000
PAGE_BYTES: Final = 1024 * 1024
MAX_REPLAY_BYTES: Final = 3 * 1024 * 1024
"""What one `joined` or `session_opened` can carry: a gRPC message may have 4 MiB."""
MAX_ROUNDS: Final = 64


class Replay(NamedTuple):
    """What comes after `after`, up to the channel's head at the moment of the answer."""

    after: int
    failure: RecoveryFailure | None
    messages: list[StoredMessage]


async def begin(engine: Engine, channel: Channel, since: Position) -> Recovery:
    """Return where a replay for a reader that stopped at `since` begins; reads only when the ring does not know.

    Raises:
        SessionError: the engine cannot be read, or the channel has another epoch that was not told here yet.
    """
    if since.epoch in ("", channel.epoch) and since.offset <= channel.head and channel.covers(since.offset):
        return Recovery(since.offset, None)
    page = await read(engine, channel, channel.head, 1, 1)
    return assess(since, page._replace(head=channel.head))


async def read(engine: Engine, channel: Channel, after: int, limit: int, max_bytes: int) -> Page:
    """Return a page of the epoch that the channel is in.

    Raises:
        SessionError: the engine cannot be read, or has another epoch that was not told here yet.
    """
    page = await engine.read(channel.topic, after, limit, max_bytes)
    if page.epoch != channel.epoch:
        raise EngineUnavailable("the channel begins anew")
    return page


async def missed(engine: Engine, channel: Channel, since: Position, max_bytes: int = MAX_REPLAY_BYTES) -> Replay:
    """Return what a reader that stopped at `since` has missed, up to the channel's head; see `collect`."""
    for _ in range(MAX_ROUNDS):
        epoch = channel.epoch
        start, failure = await begin(engine, channel, since)
        if channel.epoch == epoch:
            found = await collect(engine, channel, start, max_bytes)
            if channel.epoch == epoch:
                return found._replace(failure=failure or found.failure)
    raise EngineUnavailable("the channel begins anew again and again")


async def newest(engine: Engine, channel: Channel, count: int) -> Replay:
    """Return the newest messages up to the channel's head, at most `count` of them; raises SessionError."""
    for _ in range(MAX_ROUNDS if count else 0):
        epoch = channel.epoch
        found = await collect(engine, channel, max(0, channel.head - count))
        if channel.epoch == epoch:
            return Replay(found.after, None, found.messages[-count:])
    return Replay(channel.head, None, [])


def topped_up(channel: Channel, found: Replay, epoch: str) -> Replay | None:
    """Return a replay with what came since it was made; None when the ring does not hold that any more.

    Args:
        channel: Whose replay it is.
        found: The replay.
        epoch: The channel's epoch when it was made.
    """
    last = found.messages[-1].offset if found.messages else found.after
    if channel.epoch != epoch or not channel.covers(last):
        return None
    return found._replace(messages=found.messages + channel.ring.after(last))


async def collect(engine: Engine, channel: Channel, after: int, max_bytes: int = MAX_REPLAY_BYTES) -> Replay:
    """Return everything after an offset; if that is more than `max_bytes`, the newest of it, and says so.

    If the channel has another epoch afterwards, this is of no epoch.

    Raises:
        SessionError: the engine cannot be read.
    """
    found: list[StoredMessage] = []
    failure: RecoveryFailure | None = None
    epoch, first, size = channel.epoch, after, 0
    for _ in range(MAX_ROUNDS):
        if channel.epoch != epoch:
            return Replay(channel.head, RecoveryFailure.EPOCH_CHANGED, [])
        if channel.covers(after):
            found = [message for message in found if message.offset <= channel.head]
            return Replay(first, failure, found + channel.ring.after(after))
        page = await read(engine, channel, after, PAGE_MESSAGES, PAGE_BYTES)
        size += sum(map(weight, page.messages))
        too_much = size > max_bytes
        if too_much:
            page, size = await engine.last(channel.topic, PAGE_MESSAGES * 100, max_bytes // 2), 0
        begins = page.messages[0].offset - 1 if page.messages else page.low
        # Else it can be greater only when messages were trimmed since the position was assessed, or since the last page.
        if too_much or begins > after:
            failure, first, after, found = RecoveryFailure.HISTORY_EXPIRED, begins, begins, []
        found += page.messages
        after = page.messages[-1].offset if page.messages else after
    raise EngineUnavailable("the channel moves faster than it can be read")

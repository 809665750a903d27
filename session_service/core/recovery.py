"""Decides what a reader that stopped at a position can still get. (`protocol.md`, "What the frames promise")"""

from __future__ import annotations

from typing import NamedTuple

from session_service.core.model import Position, RecoveryFailure


class Recovery(NamedTuple):
    """Where a replay begins (after this offset), and why something before it is missing."""

    after: int
    failure: RecoveryFailure | None


def assess(since: Position, epoch: str, head: int, low: int) -> Recovery:
    """Return what can be given after `since`, of a channel with this epoch, newest offset and trimmed offset.

    A position of another epoch, or ahead of the channel, is of another life: all that this life still holds was
    missed. An empty epoch is of whatever life, and with offset 0 asks for what is kept, so that nothing is missing.
    """
    if (since.epoch and since.epoch != epoch) or since.offset > head:
        return Recovery(low, RecoveryFailure.EPOCH_CHANGED)
    if since.offset < low:
        asked_for_all_kept = not since.epoch and since.offset == 0
        return Recovery(low, None if asked_for_all_kept else RecoveryFailure.HISTORY_EXPIRED)
    return Recovery(since.offset, None)

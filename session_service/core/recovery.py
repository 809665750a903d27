"""Decides what a reader that stopped at a position can still get. (`protocol.md`, "What the frames promise")"""

from __future__ import annotations

from typing import NamedTuple

from session_service.core.model import Page, Position, RecoveryFailure


class Recovery(NamedTuple):
    """Where a replay begins (after this offset), and why something before it is missing."""

    after: int
    failure: RecoveryFailure | None


def assess(since: Position, channel: Page) -> Recovery:
    """Return what can be given after `since`, of a channel as a page of it says.

    A position of another epoch, or ahead of the channel, is of another life: what this life has that it had not was
    missed. An empty epoch is of whatever life, and with offset 0 asks for what is kept, so that nothing is missing.
    """
    is_present = since.epoch in ("", channel.epoch)
    shared = channel.head if is_present else channel.formers.get(since.epoch, 0)
    if since.offset > shared or not (is_present or shared):
        after = channel.low if is_present else max(channel.low, shared)
        return Recovery(after, RecoveryFailure.EPOCH_CHANGED)
    if since.offset < channel.low:
        asked_for_all_kept = not since.epoch and since.offset == 0
        return Recovery(channel.low, None if asked_for_all_kept else RecoveryFailure.HISTORY_EXPIRED)
    return Recovery(since.offset, None)

"""How far a channel was seen, over any number of connections; pure.

The invariant: the position only ever moves to a message that was handed on, or to a place that the server named as the one
where delivery goes on. So asking for what comes after it misses nothing, and refusing what is not after it repeats nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from tidewire_client.edge_frames import Frame, position_in
from tidewire_client.message import Position


class Continuity(Enum):
    """How a message fits behind the one before."""

    NEXT = "next"
    SEEN = "seen"
    GAP = "gap"


class ChannelProgress:
    """One channel.

    Args:
        channel: Its name.
        since: Begin after this position; None: see the others.
        last_acked: Begin after what this client acknowledged last; if it never did, with what comes from now on.
        history: Begin with the last so many messages; 0: with what comes from now on.
    """

    def __init__(
        self, channel: str, *, since: Position | None = None, last_acked: bool = False, history: int = 0
    ) -> None:
        self.channel = channel
        self._position = since
        self._last_acked = last_acked
        self._history = history
        self._newest: Position | None = None
        self._may_jump = False

    @property
    def position(self) -> Position | None:
        """The last message seen; None while nothing of the channel is known."""
        return self._position

    def join_data(self) -> dict[str, Any]:
        """Return the `data` of the `join_channel` that goes on where this one stands."""
        data: dict[str, Any] = {"channel": self.channel}
        if self._position is not None:
            data["recover"] = {"epoch": self._position.epoch, "offset": self._position.offset}
        elif self._last_acked:
            data["recover"] = "last_acked"
        elif self._history:
            data["history"] = self._history
        return data

    def joined(self, frame: Frame) -> str | None:
        """Take the answer to the join; return the reason if something after the position is lost, else None."""
        loss = _loss(frame)
        self._newest = newest = position_in(frame.data)
        asked_for_an_unknown_past = self._position is None and (self._last_acked or self._history > 0)
        self._may_jump = loss is not None or asked_for_an_unknown_past
        if newest is None:
            return loss
        if newest.offset == 0:
            self._position = newest
        elif self._position is None and not self._last_acked:
            # The last messages follow, if there were asked for any.
            self._position = Position(newest.epoch, max(0, newest.offset - self._history))
        return loss

    @property
    def unsettled(self) -> bool:
        """Whether anything of the past follows is not known yet: the server alone knows what was acknowledged."""
        return self._position is None and self._newest is not None

    def settle(self, *, past_follows: bool) -> None:
        """Learn if anything of the past follows; if not, the place to go on from is where the channel stood."""
        if self.unsettled and not past_follows:
            self._position = self._newest
            self._may_jump = False

    def moved(self, frame: Frame) -> str | None:
        """Take a `subscription_success` that nobody asked for: delivery goes on elsewhere; return why."""
        place = position_in(frame.data)
        if place is not None:
            self._position = place
            self._may_jump = True
        return _loss(frame)

    def take(self, frame: Frame) -> Continuity:
        """Take a message, and say how it fits; the position moves only to the next one."""
        place, seen = frame.position, self._position
        if place is None:
            return Continuity.SEEN
        if seen is not None and seen.epoch == place.epoch and place.offset <= seen.offset:
            return Continuity.SEEN
        is_next = seen is not None and place == Position(seen.epoch, seen.offset + 1)
        if not is_next and not self._may_jump:
            return Continuity.GAP
        self._position = place
        self._may_jump = False
        return Continuity.NEXT


def _loss(frame: Frame) -> str | None:
    if frame.data.get("recovered") is not False:
        return None
    reason = frame.data.get("reason")
    return reason if isinstance(reason, str) and reason else "unknown"

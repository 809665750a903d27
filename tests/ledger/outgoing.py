"""What one client has asked and not yet been answered: when to send it, and when to send it again. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tests.ledger.wire import Frame


@dataclass
class Request:
    """A frame that needs an answer.

    Args:
        frame: With an `id`.
        channel: That must be joined before it may be sent; None: none.
        made_s: When it was first to be sent, on the monotonic clock.
        due_s: When to send it; None: it is sent, and waits for its answer.
        sent_s: When it was last sent.
        sends: How often.
    """

    frame: Frame
    channel: str | None
    made_s: float
    due_s: float | None
    sent_s: float = 0.0
    sends: int = 0


class Requests:
    """Everything unanswered, by id."""

    def __init__(self) -> None:
        self._open: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, frame_id: str) -> bool:
        return frame_id in self._open

    def add(self, frame: Frame, now_s: float, channel: str | None = None) -> None:
        """Send this frame as soon as it may go."""
        self._open[frame["id"]] = Request(frame, channel, made_s=now_s, due_s=now_s)

    def answered(self, frame_id: str) -> Request | None:
        """Forget a request, and return it if it was open."""
        return self._open.pop(frame_id, None)

    def repeat(self, frame_id: str, at_s: float) -> None:
        """Send it again at a time."""
        self._open[frame_id].due_s = at_s

    def repeat_all(self, now_s: float) -> None:
        """The connection is another one: whatever is unanswered is sent again."""
        for request in self._open.values():
            request.due_s = now_s

    def due(self, now_s: float, joined: Collection[str]) -> Iterator[Request]:
        """Yield what is to be sent now, and take it as sent."""
        for request in list(self._open.values()):
            if request.due_s is None or request.due_s > now_s:
                continue
            if request.channel is None or request.channel in joined:
                request.due_s, request.sent_s = None, now_s
                request.sends += 1
                yield request

    def overdue(self, before_s: float) -> list[str]:
        """Return the ids of what was sent before a time, and has no answer."""
        return [i for i, request in self._open.items() if request.due_s is None and request.sent_s < before_s]

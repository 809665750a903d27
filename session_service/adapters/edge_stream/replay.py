"""The end of an edge's replay: told when everything that the edge named again is in force."""

from __future__ import annotations

from tidewire.session.v1 import edge_stream_pb2 as pb

from session_service.adapters.edge_stream.replies import EdgeReplies


class ReplayHolds:
    """What the end of the replay waits for.

    Args:
        replies: Where the end is told.
    """

    def __init__(self, replies: EdgeReplies) -> None:
        self._replies = replies
        self._held: set[object] = set()
        self._done_ref: int | None = None

    def hold(self, what: object) -> None:
        """Have the end wait for this."""
        self._held.add(what)

    def release(self, what: object) -> None:
        """Have the end wait for this no longer. Idempotent."""
        self._held.discard(what)
        self._tell_when_over()

    def named_all(self, ref: int) -> None:
        """Note that the edge has named everything: answer when all of it is in force."""
        self._done_ref = ref
        self._tell_when_over()

    def _tell_when_over(self) -> None:
        if self._done_ref is not None and not self._held:
            event = pb.Event(ref=self._done_ref, replay_completed=pb.ReplayCompleted())
            self._done_ref = None
            self._replies.tell(event)

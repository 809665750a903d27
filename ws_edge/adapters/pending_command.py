"""A command that waits for its answer, and what its attempts came to so far."""

from __future__ import annotations

from tidewire.session.v1 import edge_stream_pb2 as pb

from ws_edge.core.ports import Failed, OnAnswer


class Pending:
    """A command that waits for its answer.

    Attributes:
        command: What is asked.
        on_answer: Given the answer, once.
        deadline: Of all attempts together, in seconds of the event loop's clock.
        failure: What the last attempt came to; None while one is under way.
        doubtful: An earlier attempt may have done it.
    """

    __slots__ = ("command", "deadline", "doubtful", "failure", "on_answer")

    def __init__(self, command: pb.Command, on_answer: OnAnswer, deadline: float) -> None:
        self.command = command
        self.on_answer = on_answer
        self.deadline = deadline
        self.failure: Failed | None = None
        self.doubtful = False

    def sent_again(self) -> None:
        """Note that another attempt is under way; what the last one came to is known, or never will be."""
        self.doubtful = self.doubtful or self.failure is None or not self.failure.safe_to_repeat
        self.failure = None

    def final(self, failure: Failed) -> Failed:
        """Return the failure that is told: repeating is safe only if every attempt said so."""
        safe = failure.safe_to_repeat and not self.doubtful
        return failure if safe is failure.safe_to_repeat else Failed(failure.kind, failure.message, safe)

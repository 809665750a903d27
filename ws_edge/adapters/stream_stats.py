"""Counters of the stream to a session service: plain integers, read when the metrics are scraped."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StreamStats:
    """What happened since the process began."""

    attached: int = 0
    attach_failures: int = 0
    drained: int = 0
    batches_sent: int = 0
    batches_received: int = 0
    commands: int = 0
    events: int = 0
    retries: int = 0
    held_commands: int = 0
    overtaken_commands: int = 0
    timeouts: int = 0
    late_answers: int = 0
    dropped_commands: int = 0

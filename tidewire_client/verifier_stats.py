"""What a verifier counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class VerifierStats:
    """What happened since the start; read when metrics are scraped."""

    hits: int = 0
    misses: int = 0
    calls: int = 0
    batched: int = 0
    stale_uses: int = 0
    refused_unavailable: int = 0
    fills_rejected: int = 0
    changes: int = 0
    resyncs: int = 0
    silences: int = 0

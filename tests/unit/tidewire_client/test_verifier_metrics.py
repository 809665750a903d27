"""What a verifier counts, as metrics."""

from __future__ import annotations

import math
from dataclasses import fields

from prometheus_client import CollectorRegistry

from tidewire_client.verifier import KeyVerifier, VerifierStats
from tidewire_client.verifier_metrics import VerifierCollector


async def test_everything_that_is_counted_is_shown() -> None:
    verifier, registry = KeyVerifier("127.0.0.1:1"), CollectorRegistry()
    registry.register(VerifierCollector("demo", verifier))
    for number, field in enumerate(fields(VerifierStats), start=1):
        setattr(verifier.stats, field.name, number)
    for number, field in enumerate(fields(VerifierStats), start=1):
        assert registry.get_sample_value(f"demo_{field.name}_total") == number
    assert registry.get_sample_value("demo_watch_silence_seconds") == math.inf
    await verifier.close()

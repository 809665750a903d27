"""When there is something that traces."""

from __future__ import annotations

import sys

import pytest

from service_runtime.settings import ServiceSettings, SettingsError
from service_runtime.tracing.tracing import open_tracing


def nothing() -> None:
    """Nobody is told."""


def test_nothing_traces_unless_a_ratio_is_set() -> None:
    assert open_tracing("edge", ServiceSettings(), nothing) is None


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service_runtime.tracing.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"TRACE_RATIO: .*tidewire\[otel\]"):
        open_tracing("edge", ServiceSettings(trace_ratio=0.5), nothing)

"""AsyncAPI's own parser over our document, and over one with faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import asyncapi
from tests.support.requirements import skip_without


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Our document with a frame that does not fit its schema, and a reference that leads nowhere."""
    text = asyncapi.DOCUMENT.read_text()
    assert text.count('api_key: "valid-test-key"') >= 1
    file = tmp_path / "asyncapi.yaml"
    file.write_text(
        text.replace('api_key: "valid-test-key"', "api_key: 7", 1).replace(
            "#/components/messages/ConnectFrame", "#/components/messages/Nothing", 1
        )
    )
    return file


def test_without_node_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert asyncapi.validate().skipped


def test_faults_are_found(faulty: Path) -> None:
    answer = asyncapi.validate(faulty)
    if answer.skipped:
        skip_without("Node.js")
    assert not answer.passed
    assert "Nothing" in answer.output or "invalid-ref" in answer.output

"""docs/limits.md names settings with their defaults, counters that are there, and a test for each row."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from auth_service.settings import AuthSettings
from service_runtime.settings import ServiceSettings, variable
from session_service.settings import SessionSettings
from tests.docs.test_guarantees import named_in
from tests.support.processes import ROOT
from ws_edge.settings import EdgeSettings

PAGE = (ROOT / "docs" / "limits.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text()
HEAD = "| limit | setting | default | at the limit | counter | shown by |"


def rows() -> Iterator[list[str]]:
    for table in PAGE.split(HEAD)[1:]:
        for line in table.split("\n\n")[0].splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def settings() -> dict[str, object]:
    """Return the defaults of all settings, by their variables."""
    classes: tuple[type[ServiceSettings], ...] = (EdgeSettings, SessionSettings, AuthSettings)
    return {variable(cls, name): field.default for cls in classes for name, field in cls.model_fields.items()}


def test_there_are_rows() -> None:
    assert len(list(rows())) > 30
    assert all(len(row) == 6 for row in rows()), [row for row in rows() if len(row) != 6]


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0])
def test_a_row_is_as_it_says(row: list[str]) -> None:
    limit, setting, default, _, counter, shown = row
    if setting.startswith("`TIDEWIRE_"):
        assert float(default) == settings()[setting.strip("`")]
    for name in re.findall(r"`(tidewire_\w+)`", " ".join(row)):
        assert f"`{name}`" in METRICS, name
    assert counter.startswith("`tidewire_") or counter == "none"
    assert named_in(shown), limit

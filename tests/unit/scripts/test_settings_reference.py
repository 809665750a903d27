"""The settings reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from auth_service.settings import AuthSettings
from scripts import settings_reference
from scripts.settings_reference import allowed
from service_runtime.settings import ServiceSettings, variable
from session_service.settings import SessionSettings
from ws_edge.settings import EdgeSettings


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (ServiceSettings.model_fields["mode"], "`development`, `production`"),
        (ServiceSettings.model_fields["tls_client_auth"], "`true`, `false`"),
        (ServiceSettings.model_fields["metrics_port"], "-1 to 65535"),
        (ServiceSettings.model_fields["shutdown_grace_s"], "at least 0"),
        (AuthSettings.model_fields["store_timeout_s"], "over 0, at most 60"),
        (AuthSettings.model_fields["watch_checkpoint_s"], "0.01 to 60"),
        (AuthSettings.model_fields["store_url"], ""),
    ],
)
def test_what_is_allowed_in_words(field: FieldInfo, words: str) -> None:
    assert allowed(field) == words


@pytest.mark.parametrize("cls", [AuthSettings, SessionSettings, EdgeSettings])
def test_every_setting_has_its_line(cls: type[ServiceSettings]) -> None:
    page = settings_reference.render()
    for name in cls.model_fields:
        shared = name in ServiceSettings.model_fields
        assert f"| `{variable(cls, name)}` |" in page or (shared and f"| `TIDEWIRE_{name.upper()}` |" in page), name


def test_every_line_has_all_cells() -> None:
    rows = [line for line in settings_reference.render().splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


def test_the_page_is_fresh_after_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "settings.md"
    assert not settings_reference.is_fresh(file)
    settings_reference.write(file)
    assert settings_reference.is_fresh(file)
    file.write_text(file.read_text() + "more")
    assert not settings_reference.is_fresh(file)

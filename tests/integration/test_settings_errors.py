"""Each service alone: `--help` lists every setting, and a wrong one stops it in the operator's words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from auth_service.settings import AuthSettings
from service_runtime.settings import ServiceSettings, shown_default, unit, variable
from session_service.settings import SessionSettings
from tests.support.commands import without_settings
from tests.support.processes import ROOT
from ws_edge.settings import EdgeSettings

pytestmark = pytest.mark.integration

SERVICES: dict[str, type[ServiceSettings]] = {
    "auth_service": AuthSettings,
    "session_service": SessionSettings,
    "ws_edge": EdgeSettings,
}
SECRETS = ("service_token", "pepper", "store_url", "engine_url")
# Setting, a value that it may not have, and what is said of those that it may have.
WRONG = (
    ("port", "70000", "less than or equal to 65535"),
    ("metrics_port", "eighty", "a valid integer"),
    ("shutdown_grace_s", "-1", "greater than or equal to 0"),
    ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("mode", "testing", "'development' or 'production'"),
    ("tls_client_auth", "perhaps", "a valid boolean"),
)
DEADLINE_S = 60


def run(module: str, directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=directory,
        env={**without_settings(), "PYTHONPATH": path, "COLUMNS": "1000", **variables},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize("module", SERVICES)
def test_help_lists_every_setting_with_variable_default_and_unit(module: str, tmp_path: Path) -> None:
    result = run(module, tmp_path, "--help")
    assert result.returncode == 0
    text = re.sub(r"\s+", " ", result.stdout)
    cls = SERVICES[module]
    for name, field in cls.model_fields.items():
        if name in SECRETS:
            assert variable(cls, name) in text.partition("secrets are read from the environment only:")[2]
            continue
        assert f"--{name.replace('_', '-')}" in text, name
        assert field.description, f"{name} has no description"
        measured = " ".join(filter(None, (shown_default(field), unit(field))))
        assert f"{field.description} [{variable(cls, name)}; default: {measured}]" in text, name


@pytest.mark.parametrize("module", SERVICES)
def test_every_duration_and_size_has_a_unit(module: str, tmp_path: Path) -> None:
    units = {name: unit(field) for name, field in SERVICES[module].model_fields.items()}
    assert {name: units[name] for name in units if name.endswith("_s") and units[name] != "seconds"} == {}
    assert {name: units[name] for name in units if name.endswith("_bytes") and units[name] != "bytes"} == {}


@pytest.mark.parametrize("module", SERVICES)
def test_each_wrong_variable_is_named_with_what_was_given_and_what_is_allowed(module: str, tmp_path: Path) -> None:
    wrong = {variable(SERVICES[module], setting): value for setting, value, _ in WRONG}
    result = run(module, tmp_path, **wrong)
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert len(lines) == len(WRONG)
    for (name, value), (_, _, allowed) in zip(wrong.items(), WRONG, strict=True):
        (line,) = (line for line in lines if line.startswith(f"{name}: "))
        assert line.startswith(f"{name}: {value} is not allowed: must be ")
        assert allowed in line


@pytest.mark.parametrize("module", SERVICES)
def test_wrong_flag_is_explained_the_same_way(module: str, tmp_path: Path) -> None:
    result = run(module, tmp_path, "--port", "-5")
    assert result.returncode == 2
    assert result.stderr.startswith(f"{variable(SERVICES[module], 'port')}: -5 is not allowed: must be ")


@pytest.mark.parametrize("module", SERVICES)
def test_every_wrong_setting_is_said_at_once(module: str, tmp_path: Path) -> None:
    result = run(module, tmp_path, "--port", "x", TIDEWIRE_LOG_FORMAT="xml")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("module", SERVICES)
def test_production_mode_without_its_own_token_is_refused(module: str, tmp_path: Path) -> None:
    result = run(module, tmp_path, TIDEWIRE_MODE="production", TIDEWIRE_SERVICE_TOKEN="a-canary-too-short")
    assert result.returncode == 2
    assert "SERVICE_TOKEN" in result.stderr
    assert "at least 32 characters" in result.stderr
    assert "a-canary-too-short" not in result.stderr


def test_pepper_that_is_not_allowed_is_not_shown(tmp_path: Path) -> None:
    result = run("auth_service", tmp_path, TIDEWIRE_AUTH_PEPPER="1:canary")
    assert result.returncode == 2
    assert "TIDEWIRE_AUTH_PEPPER" in result.stderr
    assert "canary" not in result.stderr


def test_key_store_that_there_is_not_is_refused_and_not_shown(tmp_path: Path) -> None:
    result = run("auth_service", tmp_path, TIDEWIRE_AUTH_STORE_URL="mysql://user:canary@host/0")
    assert result.returncode == 2
    assert result.stderr.startswith("TIDEWIRE_AUTH_STORE_URL: the value given is not allowed: must be sqlite:///path")
    assert "canary" not in result.stderr


def test_message_store_that_there_is_not_is_refused_and_not_shown(tmp_path: Path) -> None:
    result = run("session_service", tmp_path, TIDEWIRE_SESSION_ENGINE_URL="mysql://user:canary@a:1/b")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "TIDEWIRE_SESSION_ENGINE_URL: the value given is not allowed: must be sqlite:///path"
    )
    assert "canary" not in result.stderr


@pytest.mark.parametrize("module", SERVICES)
def test_unknown_flag_is_refused(module: str, tmp_path: Path) -> None:
    result = run(module, tmp_path, "--prot", "1")
    assert result.returncode == 2
    assert "--prot" in result.stderr

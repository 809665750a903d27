"""What is verified before production starts."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from scripts.environment import ROOT
from scripts.preflight import PACKAGES, missing_packages, problems_of_files
from scripts.start_options import Wishes
from scripts.supervision.services import ServicePlan, plan_services

SERVED = ("auth_service", "session_service", "ws_edge", "service_runtime")
TOKEN = "a service token of more than 32 characters"


def plans(data_dir: Path) -> list[ServicePlan]:
    return plan_services(Wishes({"auth": 0, "session": 0, "edge": 0}, data_dir, "production"))


@pytest.fixture(autouse=True)
def _service_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN", TOKEN)


def test_packages_that_are_missing_are_named() -> None:
    assert missing_packages(PACKAGES) == []
    (line,) = missing_packages(["json", "no_such_package", "no_such.thing"])
    assert "no_such_package, no_such.thing" in line


def test_packages_that_the_services_import_are_all_looked_for() -> None:
    imported = set().union(*(imports_of(file) for name in SERVED for file in (ROOT / name).rglob("*.py")))
    outside = imported - sys.stdlib_module_names - {*SERVED, "tidewire", "tidewire_client"}
    # OpenTelemetry is an extra: whoever asks for traces without it is told by the service.
    assert outside <= {name.partition(".")[0] for name in PACKAGES} | {"pydantic_core", "opentelemetry"}


def imports_of(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | named}


def test_a_folder_that_is_not_there_yet_is_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    assert problems_of_files(plans(folder), folder) == []
    assert not folder.exists()


def test_a_file_in_the_way_is_a_problem_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    (problem,) = problems_of_files(plans(folder), folder)
    assert "cannot be made" in problem
    assert "--data-dir" in problem


def test_a_pepper_file_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    pepper = tmp_path / "pepper.json"
    pepper.touch()
    pepper.chmod(0o640)
    (problem,) = problems_of_files(plans(tmp_path), tmp_path)
    assert f"chmod 600 {pepper}" in problem
    pepper.chmod(0o600)
    assert problems_of_files(plans(tmp_path), tmp_path) == []


def test_tls_files_must_be_there_and_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cert", "key"):
        monkeypatch.setenv(f"TIDEWIRE_AUTH_TLS_{name.upper()}_FILE", str(tmp_path / f"{name}.pem"))
    missing_cert, missing_key, blind = problems_of_files(plans(tmp_path), tmp_path)
    assert missing_cert.startswith("TIDEWIRE_AUTH_TLS_CERT_FILE or TIDEWIRE_TLS_CERT_FILE")
    assert missing_key.startswith("TIDEWIRE_AUTH_TLS_KEY_FILE or TIDEWIRE_TLS_KEY_FILE")
    assert blind.startswith("auth would serve with TLS, but session, edge would call in the clear")
    for name in ("cert", "key", "ca"):
        (tmp_path / f"{name}.pem").touch()
    monkeypatch.setenv("TIDEWIRE_TLS_CA_FILE", str(tmp_path / "ca.pem"))
    assert problems_of_files(plans(tmp_path), tmp_path) == []

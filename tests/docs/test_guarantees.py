"""What documents say is shown by a test is shown by a test that exists, and is kept by a file that exists."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PAGES = ("docs/guarantees.md", "docs/limits.md", "docs/threat-model.md", "docs/upgrading.md", "docs/backup.md")
TABLE_HEAD = "| promise | kept by | shown by |"
WORD = re.compile(r"`([^`\n]+)`")


@functools.cache
def files_of_tests() -> tuple[Path, ...]:
    return tuple((ROOT / "tests").rglob("test_*.py"))


@functools.cache
def names_of_tests() -> frozenset[str]:
    found = (re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE) for file in files_of_tests())
    return frozenset(name for names in found for name in names)


def exists(named: str) -> bool:
    """Whether a test, a file of tests or a folder of them is there; `...` and `*` stand for anything."""
    if named.startswith("tests/"):
        return any(ROOT.glob(named.rstrip("/")))
    if named.endswith(".py"):
        return any(file.match(named) for file in files_of_tests())
    if named.endswith("..."):
        return any(name.startswith(named.removesuffix("...")) for name in names_of_tests())
    return named in names_of_tests()


def named_in(text: str) -> list[str]:
    return [word for word in WORD.findall(text) if re.match(r"tests/|test_\w+(\.py|\.\.\.)?$", word)]


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    named = named_in((ROOT / page).read_text())
    assert named
    assert [name for name in named if not exists(name)] == []


def test_each_promise_names_a_test() -> None:
    page = (ROOT / "docs/guarantees.md").read_text()
    rows = re.findall(r"^\| (.+) \|$", page.split(TABLE_HEAD)[1].split("\n\n")[0], re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        promise, _, shown = row.split(" | ")
        assert named_in(shown) or "conformance suite" in shown, f"no test shows: {promise}"


@pytest.mark.parametrize("page", [*PAGES, "docs/architecture.md"])
def test_the_sources_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {word for word in WORD.findall(text) if re.fullmatch(r"[\w*]+(/[\w*]+)+\.(py|lua|proto|sql)", word)}
    sources = [ROOT, *(ROOT / folder for folder in ("auth_service", "session_service", "ws_edge", "tidewire_client"))]
    sources += [source / "adapters" for source in sources[1:]]
    missing = {word for word in named if not any(any(source.glob(word)) for source in sources)}
    assert missing == set()


def test_what_is_not_there_is_found() -> None:
    assert not exists("tests/integration/test_nothing.py")
    assert not exists("test_nothing.py")
    assert not exists("test_that_is_not_there")
    assert not exists("test_that_is_not_...")
    assert exists("tests/conformance/test_cluster_*.py")
    assert named_in("`tests/a.py`: `test_b_...`, `test_c.py`, `core/d.py`") == [
        "tests/a.py",
        "test_b_...",
        "test_c.py",
    ]

"""The pepper file: made once, private, never overwritten, never half written."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth_service.adapters.peppers.file import load_or_make
from auth_service.core.errors import PepperError

SECRET = "p" * 32


def written(path: Path, document: object, mode: int = 0o600) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def test_it_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pepper.json"
    peppers, made = load_or_make(path)
    assert made
    assert len(peppers.versions[peppers.current]) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_make(path) == (peppers, False)
    assert list(path.parent.iterdir()) == [path]


def test_each_file_has_a_pepper_of_its_own(tmp_path: Path) -> None:
    first, second = (load_or_make(tmp_path / name)[0] for name in ("a", "b"))
    assert first.fingerprints() != second.fingerprints()


def test_of_two_that_start_at_once_both_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds the first one's file between its own look and its own link."""
    path = tmp_path / "pepper.json"
    first = load_or_make(path)[0]
    monkeypatch.setattr(type(path), "exists", lambda self: False)
    assert load_or_make(path) == (first, False)
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1000))
    monkeypatch.setattr(os, "getpid", lambda: next(numbers))  # as if each were a process
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: load_or_make(tmp_path / "pepper.json"), range(8)))
    assert len({str(peppers.fingerprints()) for peppers, _ in results}) == 1
    assert sum(made for _, made in results) == 1


def test_rotation(tmp_path: Path) -> None:
    path = written(tmp_path / "p", {"current": 2, "versions": {"1": SECRET, "2": "q" * 40}})
    peppers, made = load_or_make(path)
    assert (peppers.current, set(peppers.versions), made) == (2, {1, 2}, False)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "p", {"current": 1, "versions": {"1": SECRET}}, mode)
    with pytest.raises(PepperError, match=f"chmod 600 {path}"):
        load_or_make(path)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "1",
        {},
        {"current": 1},
        {"versions": {"1": SECRET}},
        {"current": 1, "versions": []},
        {"current": 1, "versions": {"1": 7}},
        {"current": 1, "versions": {"1": "short"}},
        {"current": 1, "versions": {"0": SECRET}},
        {"current": 2, "versions": {"1": SECRET}},
        {"current": "1", "versions": {"1": SECRET}},
        {"current": [], "versions": {"1": SECRET}},
        "\udcff",
    ],
    ids=str,
)
def test_a_malformed_file_is_refused_and_left_alone(tmp_path: Path, document: object) -> None:
    path = tmp_path / "p"
    if document == "\udcff":
        path.write_bytes(b"\xff\xfe")
        path.chmod(0o600)
    else:
        written(path, document)
    before = path.read_bytes()
    with pytest.raises(PepperError) as caught:
        load_or_make(path)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert path.read_bytes() == before


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(PepperError, match="cannot be used"):
        load_or_make(tmp_path)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(PepperError, match="cannot be used"):
        load_or_make(tmp_path / "data" / "pepper.json")

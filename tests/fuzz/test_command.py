"""The command, as docs/fuzzing.md has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import command, corpus
from tests.fuzz.target import TARGETS
from tests.fuzz.test_guided import needs_atheris
from tests.support.doc_shell import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_the_targets_are_listed_with_what_must_hold(checkout: Checkout) -> None:
    lines = checkout.run("fuzz-list").splitlines()
    assert [line.split()[0] for line in lines] == list(TARGETS)
    assert all(len(line.split()) > 8 for line in lines)


@pytest.mark.timeout(300)
def test_one_target_is_searched(checkout: Checkout) -> None:
    needs_atheris()
    assert "no finding" in checkout.run("fuzz-one")


def test_one_input_is_tried(checkout: Checkout) -> None:
    assert checkout.run("fuzz-replay").strip().endswith(": fine")


def test_an_input_that_fails_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "input"
    bad.write_bytes(b"broadcast:a:x")
    assert command.replay("planted", bad) == 1
    assert "the planted fault" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["frame_codec", "--all"], ["nothing"], ["--all", "--replay", "x"], ["--all", "--seconds", "0"]]
)
def test_what_cannot_be_meant(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        command.parsed(words)


def test_an_input_is_kept_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(corpus, "CORPUS", tmp_path)
    kept = corpus.add("frame_codec", b"data")
    assert kept is not None
    assert kept.read_bytes() == b"data"
    assert kept.name == corpus.name_of(b"data")
    assert corpus.add("frame_codec", b"data") is None

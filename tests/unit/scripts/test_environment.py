"""When the environment must be brought up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.environment import BENCHMARKS, DEVELOPMENT, RUNTIME, Environment, Stamp, fingerprint


@pytest.mark.parametrize(
    ("installed", "wanted", "fits"),
    [
        (RUNTIME, RUNTIME, True),
        (DEVELOPMENT, DEVELOPMENT, True),
        (DEVELOPMENT, RUNTIME, True),
        (RUNTIME, DEVELOPMENT, False),
        (BENCHMARKS, RUNTIME, True),
        (BENCHMARKS, DEVELOPMENT, True),
        (DEVELOPMENT, BENCHMARKS, False),
        ("unknown", RUNTIME, False),
    ],
)
def test_an_environment_is_enough_for_what_needs_no_more(installed: str, wanted: str, fits: bool) -> None:
    assert Stamp("same", installed).fits("same", wanted) is fits


def test_a_stamp_of_other_pins_does_not_fit() -> None:
    assert not Stamp("old", DEVELOPMENT).fits("new", RUNTIME)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"fingerprint": "x"}'])
def test_what_is_no_stamp_counts_as_none(text: str) -> None:
    assert Stamp.parse(text) is None


def test_the_fingerprint_changes_with_the_pins_the_ranges_and_the_place(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "pyproject.toml").write_text("ranges")
    first = fingerprint(one)
    assert fingerprint(one) == first
    assert fingerprint(other) != first
    (one / "constraints.txt").write_text("pins")
    second = fingerprint(one)
    assert second != first
    (one / "pyproject.toml").write_text("other ranges")
    assert fingerprint(one) not in (first, second)


class Recorded(Environment):
    """An environment whose steps are written down instead of done."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.steps: list[str] = []

    def _create(self) -> None:
        self.steps.append("create")
        self.python.parent.mkdir(parents=True)
        self.python.touch()

    def _install(self, extra: str) -> None:
        self.steps.append(f"install {extra or 'runtime'}")

    def taken(self) -> list[str]:
        steps, self.steps = self.steps, []
        return steps


def test_nothing_is_installed_while_the_stamp_fits(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("ranges")
    environment = Recorded(tmp_path)
    environment.ensure(RUNTIME)
    assert environment.taken() == ["create", "install runtime"]
    environment.ensure(RUNTIME)
    assert environment.taken() == []
    environment.ensure(DEVELOPMENT)
    assert environment.taken() == ["install dev"]
    environment.ensure(RUNTIME)
    environment.ensure(DEVELOPMENT)
    assert environment.taken() == []


def test_what_development_needs_stays_when_the_pins_change(tmp_path: Path) -> None:
    environment = Recorded(tmp_path)
    environment.ensure(DEVELOPMENT)
    environment.taken()
    (tmp_path / "constraints.txt").write_text("pins")
    environment.ensure(RUNTIME)
    assert environment.taken() == ["install dev"]


def test_an_environment_whose_python_is_gone_is_made_again(tmp_path: Path) -> None:
    environment = Recorded(tmp_path)
    environment.ensure(RUNTIME)
    environment.taken()
    environment.python.unlink()
    environment.python.parent.rmdir()
    environment.ensure(RUNTIME)
    assert environment.taken() == ["create", "install runtime"]

"""The guard of the hot functions sees what became dearer; costs are injected, or those of work that differs by far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.regression import baseline
from benchmarks.regression.__main__ import Measure, main
from benchmarks.regression.hot_functions import hot_functions
from benchmarks.regression.known_permission import known_permission
from benchmarks.regression.yardstick import costs, yardstick

COSTS = {"decode": 0.02, "deliver": 1.5}


def _measuring(now: Mapping[str, float]) -> Measure:
    return lambda rounds: now


@pytest.fixture
def agreed(tmp_path: Path) -> Path:
    file = tmp_path / "baseline.json"
    assert main(["--compare", "--update", "--baseline", str(file)], _measuring(COSTS)) == 0
    return file


def _compare(file: Path, now: Mapping[str, float]) -> int:
    return main(["--compare", "--baseline", str(file)], _measuring(now))


def test_what_costs_the_same_or_less_passes(agreed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _compare(agreed, COSTS) == 0
    assert _compare(agreed, {"decode": 0.001, "deliver": 1.5 * (1 + baseline.TOLERANCE) - 0.01}) == 0
    assert "none is dearer" in capsys.readouterr().out


def test_a_function_that_became_dearer_fails_and_is_named(agreed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _compare(agreed, COSTS | {"decode": 0.04}) == 1
    shown = capsys.readouterr().out
    assert "decode 0.0200 0.0400 +100% DEARER" in " ".join(shown.split())
    assert "1 of 2 over the tolerance of 25%" in shown


@pytest.mark.parametrize(
    ("now", "words"), [(COSTS | {"new": 1.0}, "NEW: not in the baseline"), ({"decode": 0.02}, "GONE: only in the")]
)
def test_a_baseline_of_other_functions_fails(
    agreed: Path, now: Mapping[str, float], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _compare(agreed, now) == 1
    assert words in capsys.readouterr().out


def test_each_python_has_a_baseline_of_its_own(agreed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = baseline.this_python()
    monkeypatch.setattr(baseline, "this_python", lambda: "4.0")
    assert _compare(agreed, COSTS) == 1
    assert main(["--compare", "--update", "--baseline", str(agreed)], _measuring({"decode": 9.0})) == 0
    assert json.loads(agreed.read_text())["costs_in_yardsticks"] == {ours: COSTS, "4.0": {"decode": 9.0}}
    assert _compare(agreed, {"decode": 9.0}) == 0


def test_a_slowed_function_is_seen_by_the_real_measure(tmp_path: Path) -> None:
    """What does the yardstick's work four times over costs more than what does it once, on any machine."""

    def slowed() -> None:
        for _ in range(4):
            yardstick()

    file = tmp_path / "baseline.json"
    once = costs({"work": yardstick}, rounds=5)
    assert main(["--compare", "--update", "--baseline", str(file)], _measuring(once)) == 0
    assert _compare(file, costs({"work": slowed}, rounds=5)) == 1


async def test_every_hot_function_can_be_called_again_and_is_in_the_baseline() -> None:
    async with known_permission() as verifier:
        functions = hot_functions(verifier)
        for function in functions.values():
            function()
            function()
    for agreed_costs in json.loads(baseline.FILE.read_text())["costs_in_yardsticks"].values():
        assert agreed_costs.keys() == functions.keys()

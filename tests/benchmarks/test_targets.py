"""Targets are judged by the medians of the run, and an unknown figure is neither met nor missed."""

from __future__ import annotations

import pytest

from benchmarks.message_path import SCENARIOS
from benchmarks.report.target_table import target_table, target_values
from benchmarks.rounds import Contender, Result
from benchmarks.scenarios.base import FULL, SMALL, Figure, Outcome, Scenario, Size
from benchmarks.targets import ANY, TARGETS, Target, judged

SCENARIO = Scenario("race", "who is first", lambda size: [Figure("speed", "speed", "km/h")], (), lambda *_: Outcome())


def _result(size: Size = FULL, **speeds: float) -> Result:
    contenders = [Contender(name, "1", [Outcome(figures={"speed": speed})]) for name, speed in speeds.items()]
    return Result(SCENARIO, size, 1, contenders, {})


@pytest.mark.parametrize(
    ("target", "bound", "met"),
    [
        (Target("race", "speed", True, 90), 90, True),
        (Target("race", "speed", True, 110), 110, False),
        (Target("race", "speed", False, 110), 110, True),
        (Target("race", "speed", True, 1.1, ANY), 88, True),
        (Target("race", "speed", True, 1.5, ANY), 120, False),
        (Target("race", "speed", False, 1.1, ("slow",)), 55, False),
        (Target("race", "speed", True, 2, ("slow", "fast")), 160, False),
        (Target("race", "speed", True, 2, ("absent",)), None, None),
        (Target("race", "speed", True, 2, subject="absent"), 2, None),
        (Target("race", "acceleration", True, 2), 2, None),
    ],
)
def test_a_target_is_judged(target: Target, bound: float | None, met: bool | None) -> None:
    results = [_result(tidewire=100.0, tidewire_other=500.0, fast=80.0, slow=50.0)]
    (judgement,) = judged(results, [target])
    assert judgement.bound == (None if bound is None else pytest.approx(bound))
    assert judgement.met is met


def test_the_table_and_the_file_say_what_was_missed() -> None:
    targets = [
        Target("race", "speed", True, 110),
        Target("race", "speed", True, 1.1, ANY),
        Target("other", "x", True, 1),
    ]
    judgements = judged([_result(tidewire=100.0, fast=80.0)], targets)
    text = target_table(judgements)
    assert "targets: 1 of 2 met" in text
    assert "race (tidewire): speed 100 110 MISSED >= 110" in " ".join(text.split())
    assert "met >= 1.1 x the best of the others" in " ".join(text.split())
    assert [value["met"] for value in target_values(judgements)] == [False, True]


def test_a_small_run_is_not_judged() -> None:
    judgements = judged([_result(SMALL, tidewire=100.0)], [Target("race", "speed", True, 1)])
    assert judgements == []
    assert target_table(judgements) == ""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.scenario}-{target.figure}")
def test_a_target_names_a_figure_that_there_is(target: Target) -> None:
    scenario = SCENARIOS[target.scenario]
    assert target.figure in {figure.key for figure in scenario.figures(FULL)}
    assert {target.subject, *(() if target.peers is ANY else target.peers)} <= set(scenario.peers)

"""Rates and times between two scrapes."""

from __future__ import annotations

import pytest

from tidewire_client.top.figures import Figures, Times, figures
from tidewire_client.top.scrape import Scrape

MARK = "loop_lag_seconds_count"


def edge(at_s: float, text: str = "") -> Scrape:
    return Scrape(f"tidewire_edge_{MARK} 1.0\n{text}", at_s)


def flushes(*counts: tuple[str, float]) -> str:
    buckets = "".join(f'tidewire_edge_flush_seconds_bucket{{le="{bound}"}} {count}\n' for bound, count in counts)
    return f"# TYPE tidewire_edge_flush_seconds histogram\n{buckets}"


def between(before: str, now: str, seconds: float = 2.0) -> Figures:
    found = figures(edge(10.0, before), edge(10.0 + seconds, now))
    assert found is not None
    return found


@pytest.mark.parametrize("service", ["edge", "session", "auth"])
def test_a_service_is_known_by_its_metrics(service: str) -> None:
    scrape = Scrape(f"tidewire_{service}_{MARK} 1.0\n", 1.0)
    found = figures(scrape, scrape)
    assert found is not None
    assert found.service == service


def test_what_is_no_service_of_ours_has_no_figures() -> None:
    assert figures(Scrape("up 1.0\n", 1.0), Scrape("up 1.0\n", 2.0)) is None


def test_a_rate_is_what_came_in_a_second() -> None:
    assert between("tidewire_edge_frames_in_total 10", "tidewire_edge_frames_in_total 30").frames_in_per_s == 10


def test_a_counter_that_has_begun_anew_counts_from_nothing() -> None:
    assert between("tidewire_edge_frames_in_total 1000", "tidewire_edge_frames_in_total 6").frames_in_per_s == 3


def test_a_counter_that_was_not_there_before_counts_from_nothing() -> None:
    assert between("", "tidewire_edge_frames_in_total 6").frames_in_per_s == 3


def test_what_is_not_there_is_not_zero() -> None:
    found = between("", "")
    assert found.frames_in_per_s is None
    assert found.connections is None
    assert found.flush is None
    assert found.ready is None


def test_no_time_between_two_scrapes_is_no_rate() -> None:
    assert between("", "tidewire_edge_frames_in_total 6", seconds=0.0).frames_in_per_s is None


@pytest.mark.parametrize(("value", "ready"), [(1, True), (0, False)])
def test_levels_stand_as_they_are(value: int, ready: bool) -> None:
    text = f'tidewire_edge_ready {value}\ntidewire_edge_connections{{state="a"}} 2\ntidewire_edge_gaps_found_total 4\n'
    found = between("", text)
    assert (found.ready, found.connections, found.gaps) == (ready, 2, 4)


def test_times_are_those_of_the_interval_alone() -> None:
    before = flushes(("0.001", 1000), ("0.01", 1000), ("+Inf", 1000))
    now = flushes(("0.001", 1000), ("0.01", 1100), ("+Inf", 1100))
    found = between(before, now).flush
    assert found is not None
    assert (found.p50_ms, found.p99_ms) == (pytest.approx(5.5), pytest.approx(9.91))


def test_an_interval_without_an_observation_has_no_times() -> None:
    assert between(flushes(("0.1", 5), ("+Inf", 5)), flushes(("0.1", 5), ("+Inf", 5))).flush is None


def test_times_beyond_the_last_bound_are_that_bound() -> None:
    assert between("", flushes(("0.1", 0), ("+Inf", 5))).flush == Times(100.0, 100.0)


def test_a_histogram_that_has_begun_anew_counts_from_nothing() -> None:
    before, now = flushes(("0.1", 100), ("+Inf", 100)), flushes(("0.1", 4), ("+Inf", 4))
    assert between(before, now).flush == Times(pytest.approx(50.0), pytest.approx(99.0))

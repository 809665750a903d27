"""Runs last: every row of the tables of protocol.md was seen by some client of this run, on both endpoints."""

from __future__ import annotations

import pytest

from tests.support.frame_catalogue import CLIENT_FRAMES, CLOSE_CODES, ERRORS, SERVER_FRAMES
from tests.support.protocol_client import Observed
from tests.support.target import Target

pytestmark = [pytest.mark.integration, pytest.mark.runs_last]

ENDPOINTS = ("client", "debug")


@pytest.fixture(autouse=True)
def whole_suite(request: pytest.FixtureRequest) -> None:
    if Target.from_environment() is not None:
        pytest.skip("some rows need a gateway of the test run's own")
    ran = {item.path.name for item in request.session.items if item.path.parent == request.path.parent}
    every = {path.name for path in request.path.parent.glob("test_*.py")}
    option = request.config.option
    if ran != every or option.keyword or option.markexpr or "::" in "".join(request.config.args):
        pytest.skip("only a part of the protocol suite was asked for")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_frame_of_a_client_was_sent(endpoint: str) -> None:
    assert {frame for frame in CLIENT_FRAMES if (endpoint, frame) not in Observed.sent} == set()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_frame_of_the_server_was_seen(endpoint: str) -> None:
    assert {frame for frame in SERVER_FRAMES if (endpoint, frame) not in Observed.frames} == set()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_error_was_seen(endpoint: str) -> None:
    rows = {(endpoint, error, code) for error, (codes, _) in ERRORS.items() for code in codes}
    rows.discard(("debug", "unknown_type", 400))  # there such a frame is echoed instead
    assert rows - Observed.errors == set()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_close_code_was_seen(endpoint: str) -> None:
    assert {code for code in CLOSE_CODES if (endpoint, code) not in Observed.close_codes} == set()

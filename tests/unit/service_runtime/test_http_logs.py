"""The log of an HTTP server says nothing of what was in a request."""

from __future__ import annotations

import logging

import pytest

from service_runtime.http_logs import quiet_about_content


def test_no_exception_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger = quiet_about_content(quiet_about_content(logging.getLogger("tests.http_logs")))
    assert len(logger.filters) == 1
    try:
        raise ValueError("GET /?key=secret")
    except ValueError:
        logger.exception("Error handling request from %s", "192.0.2.1")
    assert "Error handling request from 192.0.2.1" in caplog.text
    assert "secret" not in caplog.text


def test_other_kinds_of_exceptions_are_kept_where_only_one_is_unwanted(caplog: pytest.LogCaptureFixture) -> None:
    logger = quiet_about_content(logging.getLogger("tests.http_logs.one_kind"), KeyError)
    for error in (KeyError("canary"), ValueError("a defect")):
        logger.error("failed", exc_info=error)
    assert "canary" not in caplog.text
    assert "ValueError: a defect" in caplog.text

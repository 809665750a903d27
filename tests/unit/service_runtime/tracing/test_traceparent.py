"""The header `traceparent`, as W3C Trace Context has it."""

from __future__ import annotations

import pytest

from service_runtime.tracing.traceparent import TraceParent, read_traceparent, unsampled

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("fe", False)])
def test_a_good_header_is_read(flags: str, sampled: bool) -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-{flags}") == TraceParent(TRACE, SPAN, sampled)


def test_what_is_written_is_read() -> None:
    for sampled in (True, False):
        parent = TraceParent(TRACE, SPAN, sampled)
        assert read_traceparent(str(parent)) == parent


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent(f"01-{TRACE}-{SPAN}-01-more") == TraceParent(TRACE, SPAN, True)
    assert read_traceparent(f" 00-{TRACE}-{SPAN}-01 ") == TraceParent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "sampled",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{TRACE}-{SPAN}-01-{'x' * 200}",
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
    ],
)
def test_a_bad_header_is_as_none(text: str | None) -> None:
    assert read_traceparent(text) is None


def test_what_is_not_sampled_says_so_in_a_header_that_is_good() -> None:
    parent = read_traceparent(str(unsampled()))
    assert parent is not None
    assert not parent.sampled

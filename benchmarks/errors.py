"""What can go wrong in a benchmark, other than its figures."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A benchmark cannot be run, or a contender failed in it; the text says why.

    - `Missing`: something is not installed.
    """


class Missing(BenchmarkError):
    """Something that is needed is not installed and cannot be had."""

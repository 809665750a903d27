"""How many files, sockets included, the operating system lets this process have open (getrlimit(2), RLIMIT_NOFILE)."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

# Where there is no limit: more than any process has, and as many as Linux allows unless it is told otherwise.
UNLIMITED: Final = 1 << 20


def raise_limit() -> int:
    """Let this process have as many files open as it may let itself have; return how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft != wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft

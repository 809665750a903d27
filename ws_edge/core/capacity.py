"""How many connections an edge can hold: no more than the operator allows, and than there are open files for."""

from __future__ import annotations

from typing import Final

# Files that are kept for everything that is no client: streams to services, the log, HTTP requests, and connections that are
# told to come back later.
LEAST_RESERVE: Final = 64
RESERVED_SHARE: Final = 32


def connections_within(max_connections: int, open_files: int) -> int:
    """Return how many connections to take; at least one.

    Args:
        max_connections: As many as the operator allows.
        open_files: As many files as the process may have open.
    """
    reserve = max(LEAST_RESERVE, open_files // RESERVED_SHARE)
    return max(1, min(max_connections, open_files - reserve))

from __future__ import annotations

import pytest

from ws_edge.core.capacity import connections_within


@pytest.mark.parametrize(
    ("max_connections", "open_files", "expected"),
    [
        (20_000, 65_536, 20_000),
        (20_000, 20_000, 19_375),
        (20_000, 1024, 960),
        (10, 1024, 10),
        (20_000, 40, 1),
    ],
)
def test_connections_are_bounded_by_files_too(max_connections: int, open_files: int, expected: int) -> None:
    assert connections_within(max_connections, open_files) == expected

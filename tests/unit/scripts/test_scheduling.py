"""How test processes share the tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import scheduling
from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/unit/scripts/test_bench.py::test_names[a::b]", "tests/unit/scripts/test_bench.py"),
        ("tests/integration/test_cli.py::test_help", "tests/integration/test_cli.py"),
        ("tests/protocol/test_limits.py::test_largest_frame[client]", "tests/protocol/"),
        ("tests/protocol/test_every_row.py::test_every_error_was_seen[debug]", "tests/protocol/"),
        ("tests/deploy/containers/test_images.py::test_an_image_is_small[auth]", "tests/deploy/containers/"),
        ("tests/e2e/test_channels.py::test_threads[webkit]", "tests/e2e/"),
    ],
)
def test_files_stay_together_and_so_do_the_protocol_suite_and_the_browsers(test: str, group: str) -> None:
    assert scheduling.group_of(test) == group


def test_what_takes_long_begins_first_and_the_tests_of_a_file_keep_their_order() -> None:
    names = [
        "tests/conformance/test_engine_read.py::test_a",
        "tests/unit/test_x.py::test_b",
        "tests/protocol/test_limits.py::test_d",
        "tests/protocol/test_limits.py::test_c",
        "tests/integration/test_install.py::test_e",
        "tests/integration/test_ledger.py::test_f",
    ]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
    assert [item.nodeid[-1] for item in scheduling.in_order(items)] == list("fdceab")


def test_what_is_put_in_order_is_there() -> None:
    assert [path for path in scheduling._ORDER if not (ROOT / path).exists()] == []

"""The page: format, lint, types and unit tests, each by the script that developers run; and what is built."""

from __future__ import annotations

import gzip
import re
import sys

import pytest

from scripts.page import BUNDLE, ensure_page, is_fresh
from tests.support.npm import FRONTEND, program, run_script

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

# The whole page with everything that it loads, compressed as it is sent. docs/frontend.md says what it is.
MOST_BYTES = 60_000


@pytest.mark.parametrize("script", ["page:lint", "page:types", "page:test"])
def test_page(script: str) -> None:
    run_script(FRONTEND, script)


def test_what_is_built_is_small_and_whole() -> None:
    program("node")
    ensure_page(lambda words: print(words, file=sys.stderr))
    assert is_fresh()
    index = (BUNDLE / "index.html").read_text()
    loaded = re.findall(r'(?:src|href)="/(assets/[^"]+)"', index)
    assert {name.rpartition(".")[2] for name in loaded} == {"css", "js", "svg"}
    parts = [index.encode(), *((BUNDLE / name).read_bytes() for name in loaded)]
    assert sum(len(gzip.compress(part)) for part in parts) < MOST_BYTES

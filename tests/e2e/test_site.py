"""The site of the documents in a browser: its diagrams are drawn."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.browser import Browsers
from tests.support.requirements import skip_without
from tests.support.site import build_site
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

DRAWN_DEADLINE_S = 60.0
# What is drawn stands in place of its source, in a shadow tree that scripts cannot look into.
HEIGHTS = """() => [...document.querySelectorAll("div.mermaid")].map((drawn) => drawn.getBoundingClientRect().height)"""
SOURCES = """() => document.querySelectorAll("pre.mermaid").length"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the site is served."""
    if shutil.which("node") is None:
        skip_without("node")
    site = build_site(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_each_diagram_of_the_architecture_is_drawn(address: str, browsers: Browsers) -> None:
    source = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    with browsers.tab("chromium") as tab:
        tab.open(f"{address}/architecture.html")
        wait_until(lambda: tab.run(SOURCES) == 0, DRAWN_DEADLINE_S, "every diagram is drawn")
        heights = tab.run(HEIGHTS)
    assert len(heights) == source.count("```mermaid") >= 5
    assert all(height > 100 for height in heights), heights

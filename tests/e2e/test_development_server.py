"""The development server on 5173 against the edge, as `manage.py start --frontend` runs both; and the helper for Playwright."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.dev_server import PORT
from tests.support.browser import Browsers
from tests.support.commands import Command
from tests.support.demo_page import DemoPage
from tests.support.http_client import http
from tests.support.npm import FRONTEND, program
from tests.support.ports import free_port
from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

URL = f"http://localhost:{PORT}"
DEADLINE_S = 240


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """All services, and the development server."""
    program("node")
    directory = tmp_path_factory.mktemp("run")
    places = ("--edge-port", str(free_port()), "--auth-port", "0", "--session-port", "0")
    data_dir = ("--data-dir", str(directory / "data"))
    command = Command("manage.py", "start", "--this-python", "--frontend", *places, *data_dir, directory=directory)
    try:
        command.wait_for(r"(?m)^ready")
        wait_until(serves, what=f"{URL} is served; it said:\n{command.err}")
        yield command
        command.send(signal.SIGTERM)
        assert command.finish() == 0
        assert not serves()
    finally:
        command.kill()


def serves() -> bool:
    try:
        return http("GET", URL).status == 200
    except OSError:
        return False


def test_its_page_talks_to_the_edge(started: Command, browsers: Browsers, engine: str) -> None:
    with browsers.tab(engine) as tab:
        page = DemoPage(tab, URL, "alice", f"dev-{engine}")
        page.connect("development")
        page.write("Hello")
        page.wait_for("delivery", "stored")


def test_the_helper_for_playwright_does_what_it_says(started: Command, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or skip_without("chromium")
    done = subprocess.run(
        [program("npx"), "playwright", "test", "--output", str(tmp_path)],
        cwd=FRONTEND,
        env={**os.environ, "TIDEWIRE_CHROMIUM": chromium, "TIDEWIRE_PAGE": URL, "CI": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout

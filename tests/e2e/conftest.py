"""Fixtures of the end-to-end tests: the built page, the engines, and people who use the page in them."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.page import ensure_page
from tests.support.browser import ENGINES, Browsers
from tests.support.demo_page import DemoPage, People
from tests.support.npm import program
from tests.support.processes import ROOT
from tests.support.services import Gateway
from tests.support.tcp_proxy import TcpProxy

# Where screenshots are kept.
PICTURES = "TIDEWIRE_TEST_PICTURES"


@pytest.fixture(scope="session")
def built_page() -> None:
    """What the edge serves, made from its sources as they are now."""
    program("node")
    ensure_page(lambda words: print(words, file=sys.stderr))


@pytest.fixture(scope="module")
def gateway(built_page: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of this module's own, whose processes it may kill."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    with gateway:
        yield gateway


@pytest.fixture(scope="module")
def browsers() -> Iterator[Browsers]:
    """Engines, each started once a module. (While Playwright runs, its thread can run no other event loop.)"""
    browsers = Browsers()
    try:
        yield browsers
    finally:
        browsers.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    return str(request.param)


@pytest.fixture
def proxy(gateway: Gateway) -> Iterator[TcpProxy]:
    """What stands between a page and the edge, and breaks connections."""
    with TcpProxy([gateway.edge.address]) as made:
        yield made


@pytest.fixture
def people(browsers: Browsers, gateway: Gateway, engine: str) -> Iterator[People]:
    """Opens pages, all in one workspace of the test's own: `people("alice")`, `people("bob", engine="webkit")`."""
    workspace = f"w-{secrets.token_hex(4)}"
    first = engine
    with ExitStack() as stack:

        def open_page(name: str, *, url: str | None = None, engine: str | None = None) -> DemoPage:
            tab = stack.enter_context(browsers.tab(engine or first))
            return DemoPage(tab, url or f"http://{gateway.edge.address}", name, workspace)

        yield open_page


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder for screenshots."""
    folder = Path(os.environ.get(PICTURES, ROOT / "build" / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""What is measured: real services, a proxy before the edge, a browser with a page that holds clients."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.support.browser import Browsers, Tab
from tests.support.npm import CLIENT, build_client
from tests.support.services import Gateway
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

DEADLINE_S: Final = 120.0
CHANNEL: Final = "measured"
_CLIENTS: Final = Path(__file__).with_name("clients.mjs")
_READY: Final = "() => { import('/clients.mjs'); }"


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Standing:
    """How a client stands.

    Args:
        state: Of `Status`.
        failures: Since it was last stable.
        connected_at_ms: When it was last authenticated, since the Unix epoch.
    """

    state: str
    failures: int
    connected_at_ms: float


@dataclass(frozen=True)
class World:
    """A page with clients, each behind a door of the proxy.

    Args:
        proxy: Before the edge.
        tab: The page.
    """

    proxy: TcpProxy
    tab: Tab

    def open(self, name: str, door: int, options: Mapping[str, Any]) -> None:
        """Connect a client through a door, and have it join the channel."""
        url = f"http://{self.proxy.addresses(door)[0]}"
        given = {"url": url, "apiKey": "valid-test-key", **options}
        self.tab.run(
            "([name, options, channel]) => { void bench.open(name, options, channel); }", [name, given, CHANNEL]
        )

    def standings(self) -> list[Standing]:
        """Return how the clients stand."""
        return [Standing(*stands) for stands in self.tab.run("() => bench.stands()")]

    def wait_for_states(self, state: str) -> None:
        """Return when all clients are in a state."""
        wait_until(lambda: {stands.state for stands in self.standings()} == {state}, DEADLINE_S, f"all are {state}")


@contextmanager
def running_world(engine: str, doors: int) -> Iterator[World]:
    """Run everything; fails if a service does not end cleanly.

    Args:
        engine: `chromium`, `firefox` or `webkit`.
        doors: How many groups of clients there are.
    """
    build_client()
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder)) as url:
        gateway = Gateway(Path(folder), edge={"allowed-origins": url})
        browsers = Browsers()
        try:
            gateway.start()
            with TcpProxy([gateway.edge.address], doors) as proxy, browsers.tab(engine) as tab:
                tab.open(f"{url}/index.js")
                tab.run(_READY)
                wait_until(lambda: tab.run("() => 'bench' in window"), DEADLINE_S, "the clients are loaded")
                yield World(proxy, tab)
            gateway.stop()
        finally:
            browsers.close()
            gateway.kill()


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the built client, and what drives it."""
    public = folder / "public"
    public.mkdir()
    for file in (CLIENT / "dist" / "index.js", _CLIENTS):
        shutil.copy(file, public)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(public)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""A real browser, as end-to-end tests use it: a few methods that every engine has, and the engines by name.

Elements are found by their `data-testid`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from tests.support.browser_playwright import PlaywrightDriver
from tests.support.browser_webkit import WebKitDriver
from tests.support.requirements import skip_without

WIDE: Final = (1280, 800)
PHONE: Final = (360, 740)


class Tab(Protocol):
    """One page of a browser, with storage of its own."""

    def open(self, url: str) -> None:
        """Go to an address, and return when the page is loaded."""

    def run(self, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function in the page with a JSON value; return the JSON value that it returns."""

    def click(self, testid: str) -> None:
        """Click on an element, as a person does: it must be seen."""

    def type(self, testid: str, text: str) -> None:
        """Write a text into a field, in place of what is there."""

    def choose(self, testid: str, value: str) -> None:
        """Choose an option of a list."""

    def resize(self, width: int, height: int) -> None:
        """Make the page so large, in CSS pixels."""

    def screenshot(self, file: Path) -> None:
        """Write what is seen as a PNG."""


class Engine(Protocol):
    """A browser engine that runs."""

    def tab(self) -> AbstractContextManager[Tab]:
        """Open a page; it is closed at the end of the context."""


class Driver(Protocol):
    """What drives engines. Made when it is first needed."""

    def engine(self, name: str) -> Engine:
        """Start an engine."""

    def close(self) -> None:
        """End all of its engines."""


# What drives an engine, and the programs that it needs.
_ENGINES: Final[dict[str, tuple[Callable[[], Driver], tuple[str, ...]]]] = {
    "chromium": (PlaywrightDriver, ("chromium",)),
    "firefox": (PlaywrightDriver, ("firefox-esr",)),
    "webkit": (WebKitDriver, ("WebKitWebDriver", "Xvfb")),
}
ENGINES: Final = tuple(_ENGINES)


class Browsers:
    """Engines, each started when it is first asked for."""

    def __init__(self) -> None:
        self._drivers: dict[Callable[[], Driver], Driver] = {}
        self._engines: dict[str, Engine] = {}

    def tab(self, name: str) -> AbstractContextManager[Tab]:
        """Open a page in an engine; skip the test where that is not installed."""
        if name not in self._engines:
            make, programs = _ENGINES[name]
            for program in programs:
                if shutil.which(program) is None:
                    skip_without(program)
            if make not in self._drivers:
                self._drivers[make] = make()
            self._engines[name] = self._drivers[make].engine(name)
        return self._engines[name].tab()

    def close(self) -> None:
        """End all."""
        for driver in self._drivers.values():
            driver.close()

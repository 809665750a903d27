"""Chromium and Firefox of the machine, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

# Browsers are slow to do things on machines that do much else.
PATIENCE_MS: Final = 30_000


class PlaywrightTab:
    """Implements `tests.support.browser.Tab`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def open(self, url: str) -> None:
        self._page.goto(url)

    def run(self, function: str, argument: Any = None) -> Any:
        return self._page.evaluate(function, argument)

    def click(self, testid: str) -> None:
        self._page.get_by_test_id(testid).first.click()

    def type(self, testid: str, text: str) -> None:
        self._page.get_by_test_id(testid).first.fill(text)

    def choose(self, testid: str, value: str) -> None:
        self._page.get_by_test_id(testid).first.select_option(value)

    def resize(self, width: int, height: int) -> None:
        self._page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, file: Path) -> None:
        self._page.screenshot(path=file)


class PlaywrightEngine:
    """Implements `tests.support.browser.Engine`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextmanager
    def tab(self) -> Iterator[PlaywrightTab]:
        """Open a page in a context of its own."""
        context = self._browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        try:
            yield PlaywrightTab(context.new_page())
        finally:
            context.close()


class PlaywrightDriver:
    """Implements `tests.support.browser.Driver`; a thread can have one."""

    def __init__(self) -> None:
        self._playwright = sync_playwright().start()
        self._browsers: list[Browser] = []

    def engine(self, name: str) -> PlaywrightEngine:
        playwright = self._playwright
        if name == "chromium":
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        else:  # Firefox as distributions ship it, not Playwright's own
            browser = playwright.firefox.launch(channel="moz-firefox", executable_path=shutil.which("firefox-esr"))
        self._browsers.append(browser)
        return PlaywrightEngine(browser)

    def close(self) -> None:
        for browser in self._browsers:
            browser.close()
        self._playwright.stop()

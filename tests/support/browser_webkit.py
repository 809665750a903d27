"""WebKit of the machine (WebKitGTK), driven by Selenium, on a display that nobody sees."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium.webdriver import WebKitGTKOptions
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from tests.support.ports import free_port
from tests.support.programs import listens
from tests.support.waiting import wait_until

_BROWSERS: Final = "/usr/lib/*/webkit*gtk-*/MiniBrowser"
_TYPE: Final = """const [element, text] = arguments;
Object.getOwnPropertyDescriptor(Object.getPrototypeOf(element), "value").set.call(element, text);
element.dispatchEvent(new Event("input", { bubbles: true }));"""
_KEEP_PAINTING: Final = """() => {
  let turn = 0;
  window.painting = setInterval(() => { document.documentElement.style.opacity = (turn = 1 - turn) ? "0.999" : "1"; }, 20);
}"""
_REST: Final = """() => {
  clearInterval(window.painting);
  document.documentElement.style.opacity = "";
}"""
_SCREEN: Final = "1600x1200x24"
_END_S: Final = 10.0


class WebKitTab:
    """Implements `tests.support.browser.Tab`."""

    def __init__(self, driver: WebDriver) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        self._driver.get(url)

    def run(self, function: str, argument: Any = None) -> Any:
        return self._driver.execute_script(f"return ({function})({json.dumps(argument)})")

    def click(self, testid: str) -> None:
        self._find(testid).click()

    def type(self, testid: str, text: str) -> None:
        # Not key by key: WebKit's driver has no keys for most of Unicode.
        self._driver.execute_script(_TYPE, self._find(testid), text)

    def choose(self, testid: str, value: str) -> None:
        Select(self._find(testid)).select_by_value(value)

    def resize(self, width: int, height: int) -> None:
        # A window has a frame: it is as much larger than the page as it was before.
        self._driver.set_window_size(width, height)
        inner = self.run("() => [innerWidth, innerHeight]")
        self._driver.set_window_size(2 * width - inner[0], 2 * height - inner[1])

    def screenshot(self, file: Path) -> None:
        # WebKit takes the picture when it paints the next time, which a page at rest never does.
        self.run(_KEEP_PAINTING)
        try:
            self._driver.save_screenshot(str(file))
        finally:
            self.run(_REST)

    def _find(self, testid: str) -> WebElement:
        selector = f'[data-testid="{testid}"]'
        wait_until(lambda: self._driver.find_elements(By.CSS_SELECTOR, selector), what=f"{testid} is there")
        return self._driver.find_element(By.CSS_SELECTOR, selector)


class WebKitEngine:
    """Implements `tests.support.browser.Engine`; each tab is a browser of its own, for a driver has one session.

    Args:
        display: Where windows are shown.
    """

    def __init__(self, display: str) -> None:
        self._display = display

    @contextmanager
    def tab(self) -> Iterator[WebKitTab]:
        """Open a browser."""
        options = WebKitGTKOptions()
        options.binary_location = str(next(Path("/").glob(_BROWSERS.removeprefix("/"))))
        options.add_argument("--automation")
        with self._driver_process() as url:
            driver = WebDriver(RemoteConnection(client_config=ClientConfig(url)), options=options)
            try:
                yield WebKitTab(driver)
            finally:
                driver.quit()

    @contextmanager
    def _driver_process(self) -> Iterator[str]:
        """Run the program that carries out what Selenium asks; yields its address."""
        port = free_port()
        environment = {**os.environ, "DISPLAY": self._display, "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
        with subprocess.Popen(
            ["WebKitWebDriver", f"--port={port}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                wait_until(lambda: listens(port), what="WebKitWebDriver listens")
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


class WebKitDriver:
    """Implements `tests.support.browser.Driver`: a display that nobody sees."""

    def __init__(self) -> None:
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", _SCREEN, "-nolisten", "tcp"]
        self._display = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._display.stdout is not None
        self._number = self._display.stdout.readline().strip()

    def engine(self, name: str) -> WebKitEngine:
        return WebKitEngine(f":{self._number}")

    def close(self) -> None:
        assert self._display.stdout is not None
        self._display.terminate()
        self._display.wait(_END_S)
        self._display.stdout.close()

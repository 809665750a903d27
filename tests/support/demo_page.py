"""The page of the edge, as somebody uses it: signs in, joins, writes, reads what the page says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from tests.support.browser import WIDE, Tab
from tests.support.waiting import wait_until

# For everything that waits for a network, a backoff, or a browser on a busy machine.
DEADLINE_S = 60.0
# What is silent is noticed soon, and waits are short: a test has no time for the usual ones.
WATCHFUL = {
    "heartbeatMs": 500,
    "pongTimeoutMs": 1000,
    "connectTimeoutMs": 5000,
    "backoffBaseMs": 100,
    "backoffMaxMs": 1000,
}

_TEXTS = (
    """(id) => [...document.querySelectorAll(`[data-testid="${id}"]`)].map((element) => element.textContent.trim())"""
)
# The states in the order in which they were shown, each once while it lasts.
_WATCH = """() => {
  window.shownStates = [];
  const look = () => {
    const [connection, auth] = ["connection-status", "auth-status"].map(
      (id) => document.querySelector(`[data-testid="${id}"]`).textContent.trim());
    const state = `${connection}, ${auth}`;
    if (window.shownStates.at(-1) !== state) window.shownStates.push(state);
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


class DemoPage:
    """One page in one browser.

    Args:
        tab: The browser's.
        url: Of the edge, or of what stands before it.
        name: Who it is.
        workspace: Where it is.
        channel: What it joins at first.
    """

    def __init__(self, tab: Tab, url: str, name: str, workspace: str, channel: str = "lobby") -> None:
        self.tab = tab
        self.name = name
        tab.resize(*WIDE)
        query = {"name": name, "workspace": workspace, "channel": channel, **WATCHFUL}
        tab.open(f"{url}/?{urlencode(query)}")
        self.wait_for("connection-status", "Disconnected")

    # What it does.

    def sign_in(self, key: str = "valid-test-key") -> None:
        """Give a key, without waiting for what becomes of it."""
        if key in ("development", "valid-test-key", "expired-test-key"):
            self.tab.choose("key-choice", key)
        else:
            self.tab.choose("key-choice", "own")
            self.tab.type("own-key", key)
        self.tab.click("connect")

    def connect(self, key: str = "valid-test-key") -> None:
        """Give a key, and return when it is authenticated and in its channel."""
        self.sign_in(key)
        self.wait_until_authenticated()
        wait_until(lambda: self.members, DEADLINE_S, f"{self.name} is in the channel")

    def join(self, channel: str) -> None:
        """Join a channel, and return when it is shown with us in it."""
        self.tab.type("channel-name", channel)
        self.tab.click("join")
        wait_until(
            lambda: channel in self.text("conversation-title") and self.members,
            DEADLINE_S,
            f"{self.name} is in {channel}",
        )

    def write(self, *texts: str) -> None:
        """Send messages to the channel that is shown."""
        for text in texts:
            self.tab.type("message-input", text)
            self.tab.click("send")

    # What it shows.

    def texts(self, testid: str) -> list[str]:
        """Return the texts of the elements with a test id, as they stand in the page."""
        return list(self.tab.run(_TEXTS, testid))

    def text(self, testid: str) -> str:
        """Return the text of the first of them; empty: there is none."""
        return next(iter(self.texts(testid)), "")

    @property
    def connection(self) -> str:
        return self.text("connection-status")

    @property
    def authentication(self) -> str:
        return self.text("auth-status")

    @property
    def messages(self) -> list[str]:
        return self.texts("text")

    @property
    def members(self) -> list[str]:
        """Who is in the channel that is shown."""
        return [name.removesuffix(" (you)") for name in self.texts("member")]

    @property
    def attempts(self) -> int:
        """How many attempts to come back it tells of."""
        return int(self.text("reconnect-info").rpartition(": ")[2] or 0)

    def watch_states(self) -> None:
        """Begin to write down what the status shows."""
        self.tab.run(_WATCH)

    @property
    def shown_states(self) -> list[str]:
        """What the status has shown since `watch_states`, one after the other."""
        return list(self.tab.run("() => window.shownStates"))

    # What it waits for.

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Return when something is so."""
        wait_until(condition, DEADLINE_S, f"{self.name}: {what}")

    def wait_for(self, testid: str, text: str) -> None:
        """Return when an element shows a text."""
        self.wait(lambda: self.text(testid) == text, f"{testid} is {text}")

    def wait_until_authenticated(self) -> None:
        """Return when it is connected and authenticated."""
        self.wait_for("auth-status", "Authenticated")
        assert self.connection == "Connected"

    def wait_for_messages(self, *texts: str) -> None:
        """Return when exactly these messages are shown, in this order."""
        self.wait(lambda: self.messages == list(texts), f"shows {list(texts)}")


# Opens a page for somebody: `people("alice", url=..., engine="webkit")`.
People = Callable[..., DemoPage]

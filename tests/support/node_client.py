"""The built npm package `tidewire-client` in a Node.js process of its own, driven line by line."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from typing import Any

from tests.support.npm import CLIENT, node
from tests.support.waiting import wait_until

DEADLINE_S = 30.0
DRIVER = CLIENT / "tests" / "live" / "driver.mjs"


class CallFailed(Exception):
    """A method of the client rejected.

    Args:
        error: Its fields: `message`, `errorType`, `code`, `id`, `transient`.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error


class NodeClient:
    """One client.

    Args:
        url: Of the edge.
        client_id: Who it is.
        api_key: Its key.
        options: More of the package's `ClientOptions`.
    """

    def __init__(self, url: str, client_id: str, api_key: str, **options: Any) -> None:
        self.client_id = client_id
        self.events: list[tuple[str, Any]] = []
        self._calls: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        given = {"url": url, "clientId": client_id, "apiKey": api_key, **options}
        self._process = subprocess.Popen(
            [node(), str(DRIVER), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, method: str, *args: Any) -> Future[Any]:
        """Call a method of the client; return what it will resolve to."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        future = self._calls[number] = Future()
        self._process.stdin.write(json.dumps({"call": number, "method": method, "args": args}) + "\n")
        self._process.stdin.flush()
        return future

    def call(self, method: str, *args: Any) -> Any:
        """Call a method and return what it resolves to; raises CallFailed."""
        return self.begin(method, *args).result(DEADLINE_S)

    def of(self, event: str) -> list[Any]:
        """Return the values of an event, oldest first."""
        return [value for name, value in list(self.events) if name == event]

    def messages(self, channel: str) -> list[Any]:
        """Return the `content` of what was delivered of a channel."""
        return [value["data"]["content"] for value in self.of("message") if value["channel"] == channel]

    @property
    def state(self) -> str:
        """The state that was told last."""
        states = self.of("status")
        return states[-1]["state"] if states else "disconnected"

    def wait_for_state(self, state: str) -> None:
        """Return when the client is in a state."""
        wait_until(lambda: self.state == state, DEADLINE_S, f"{self.client_id} is {state}")

    def wait_for_messages(self, channel: str, count: int) -> None:
        """Return when so many messages of a channel were delivered."""
        wait_until(
            lambda: len(self.messages(channel)) >= count,
            DEADLINE_S,
            f"{count} messages of {channel} at {self.client_id}",
        )

    def end(self) -> None:
        """End the process; fail unless it ends in order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            code = self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(DEADLINE_S)
            self._process.stdout.close()
        assert code == 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.events.append((said["event"], said["value"]))
            elif "error" in said:
                self._calls.pop(said["call"]).set_exception(CallFailed(said["error"]))
            else:
                self._calls.pop(said["call"]).set_result(said["value"])

"""What a run needs of the system that it talks to, and the one that runs already and is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tests.ledger.wire import Account


class World(Protocol):
    """A Tidewire system. All methods but `urls` may block."""

    account: Account

    def start(self) -> None:
        """Return when clients may come."""

    def stop(self) -> list[str]:
        """End what was started; return what went wrong with it, in words."""

    def urls(self, client: int) -> Sequence[str]:
        """Return the edges that client number `client` may use, `ws://host:port` each."""


@runtime_checkable
class Troubled(Protocol):
    """A system that something happens to while clients publish."""

    async def trouble(self) -> None:
        """Do it, and return when all of it is over."""


class Running:
    """A system of somebody else: nothing is started, nothing is killed."""

    def __init__(self, urls: Sequence[str], account: Account) -> None:
        self.account = account
        self._urls = [url.rstrip("/") for url in urls]

    def start(self) -> None:
        """It runs."""

    def stop(self) -> list[str]:
        return []

    def urls(self, client: int) -> Sequence[str]:
        return self._urls

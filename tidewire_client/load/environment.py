"""What all clients of one load process share: where to connect, what to count into, and what time it is."""

from __future__ import annotations

import asyncio
import ssl
import time
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

from tidewire_client.load.histogram import Histogram
from tidewire_client.load.messages import mark_of
from tidewire_client.load.plan import Counters, Target


def now_us() -> int:
    """Return the monotonic clock of this machine, in microseconds."""
    return time.monotonic_ns() // 1000


def tls_context(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Return what to trust; None: the URL is not of TLS.

    Raises:
        OSError: The file cannot be read, or holds no certificates.
    """
    if urlsplit(url).scheme != "https":
        return None
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


class Environment:
    """Shared by the clients of one process.

    Args:
        target: Where the load goes.
    """

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.login.url)
        self.target = target
        self.tls = tls_context(target.login.url, target.ca_file)
        self.host = url.hostname or ""
        self.host_header = url.netloc
        self.path = f"{url.path.rstrip('/')}/client_"
        self.mark = mark_of(target.run)
        self.addresses = cycle(target.addresses)
        self.counters = Counters()
        self.interrupted = asyncio.Event()
        self.all_gone = asyncio.Event()
        self.stopping = False
        self.presence_phase = -1
        self.presence_due_us = 0
        self.latency = Histogram()
        self.confirmation = Histogram()
        self.catch_up = Histogram()
        self.lateness = Histogram()
        self.tick_latency = Histogram()
        self.tick_back = Histogram()
        self.tasks: set[asyncio.Task[None]] = set()

    def client_id(self, number: int) -> str:
        """Return the id of a client."""
        return f"{self.target.login.client_id}-{self.target.run}-{number}"

    def took(self, latency_us: int) -> None:
        """Count the time of a delivery."""
        self.latency.record(latency_us)
        self.tick_latency.record(latency_us)

    def take_tick(self) -> tuple[Histogram, Histogram]:
        """Return the times of deliveries and of returns since this was last asked."""
        taken = self.tick_latency, self.tick_back
        self.tick_latency, self.tick_back = Histogram(), Histogram()
        return taken

    def take_times(self) -> tuple[Histogram, Histogram, Histogram, Histogram]:
        """Return latency, confirmation, catch-up and lateness since this was last asked."""
        taken = self.latency, self.confirmation, self.catch_up, self.lateness
        self.latency, self.confirmation, self.catch_up, self.lateness = (Histogram() for _ in range(4))
        return taken

    async def wait_until(self, at_s: float) -> bool:
        """Wait until a moment of the monotonic clock; say if nobody interrupted."""
        left = at_s - time.monotonic()
        if left <= 0:
            return not self.interrupted.is_set()
        try:
            async with asyncio.timeout(left):
                await self.interrupted.wait()
        except TimeoutError:
            return True
        return False

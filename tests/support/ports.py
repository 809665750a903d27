"""Ports for servers that tests start, kill and start again on the port they had."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle

# Below the usual range of outgoing connections, and of servers that ask for any port.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port that nobody listens on, and that is given to nobody else: not to who asks next, nor to tests beside these.

    Not one of those that the system gives to outgoing connections: while the server is dead, a client that tries again
    and again would at last be given that very port, and be connected with itself.
    """
    for port in _own_ports():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always a next port")


@cache
def _own_ports() -> Iterator[int]:
    """Yield the ports of this test process, in any order: of pytest-xdist's processes each has a share of its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = list(PORTS[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))])
    random.SystemRandom().shuffle(share)
    return cycle(share)

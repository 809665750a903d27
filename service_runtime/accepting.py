"""Accepts connections for a server, and waits with that while the process has no descriptor for one more.

The event loop's own listeners close such connections by means of a descriptor that they keep for that. When they cannot have
that one back, they spin until there are descriptors again (libuv, `uv__emfile_trick`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from service_runtime.listening import PortTakenError
from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks

# Connections that may wait to be accepted.
BACKLOG: Final = 4096
_AGAIN_S: Final = 0.1
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# Nothing waits any more, or who waited is gone.
_NOBODY: Final = (BlockingIOError, InterruptedError, ConnectionAbortedError)

Take = Callable[[socket.socket, str], Coroutine[Any, Any, None]]

log = get_logger("service_runtime.accepting")


async def bound(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return a listening socket for each address of a host.

    Args:
        host: A name or an address; empty: every address of this machine.
        port: Where; 0: any free port, another one for each address.
        shared: Other processes listen on the port too (SO_REUSEPORT), and the kernel spreads connections over them.

    Raises:
        PortTakenError: It cannot listen there.
    """
    made = []
    with contextlib.ExitStack() as undone:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                with _where_there_is_such_an_address():
                    one = socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=shared)
                    made.append(undone.enter_context(one))
        except OSError:
            raise PortTakenError(host, port) from None
        if not made:
            raise PortTakenError(host, port)
        undone.pop_all()
    return made


@contextlib.contextmanager
def _where_there_is_such_an_address() -> Iterator[None]:
    """Let a name have an address of a kind that this machine does not have, such as IPv6."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NO_SUCH_ADDRESS:
            raise


class Acceptor:
    """Accepts what comes to a listening socket.

    Args:
        listening: Is closed at the end.
        take: Is given each connection, which does not block, and the address of its peer; has to close it, or hand it over.
    """

    def __init__(self, listening: socket.socket, take: Take) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._taking: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._short = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._listening.getsockname()[:2]
        return host, port

    def start(self) -> None:
        """Begin to accept."""
        self._loop.add_reader(self._listening, self._accept)

    async def stop(self) -> None:
        """Accept nothing more; connections that were handed over go on."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await end_tasks(*self._taking)

    def _accept(self) -> None:
        """Take one: when more wait, this is called again, after those who are served already had their turn."""
        try:
            connection, peer = self._listening.accept()
        except _NOBODY:
            return
        except OSError as problem:
            self._wait(problem)
            return
        self._short = False
        connection.setblocking(False)
        task = self._loop.create_task(self._take(connection, str(peer[0])))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    def _wait(self, problem: OSError) -> None:
        """Let who comes wait for a while; what is the matter is told once."""
        if not self._short:
            log.warning("cannot accept connections: they wait", port=self.address[1], error=str(problem))
        self._short = True
        self._loop.remove_reader(self._listening)
        self._again = self._loop.call_later(_AGAIN_S, self.start)

"""A listening socket is accepted from by ourselves, and left alone while there is no descriptor."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from service_runtime.accepting import Acceptor, bound
from service_runtime.listening import PortTakenError
from tests.support.waiting import eventually

HOST = "127.0.0.1"
# Of this machine there is no such address (RFC 5737).
NOT_HERE = "192.0.2.1"
KNOCKING = 5
LOOKS = 4


class Counting(socket.socket):
    """Counts how often it is looked at."""

    looks = 0

    async def looked_at(self, times: int) -> None:
        async def condition() -> bool:
            return self.looks >= times

        await eventually(condition, what="it is looked at")

    def accept(self) -> tuple[socket.socket, Any]:
        self.looks += 1
        return super().accept()


class Taken:
    """Keeps what was accepted."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.connections: list[socket.socket] = []

    async def take(self, connection: socket.socket, peer: str) -> None:
        self.peers.append(peer)
        self.connections.append(connection)

    async def all_taken(self) -> bool:
        return len(self.connections) == KNOCKING


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_who_comes_without_a_descriptor_waits_and_costs_nothing() -> None:
    (made,) = await bound(HOST, 0, shared=False)
    listening, taken = Counting(fileno=made.detach()), Taken()
    acceptor = Acceptor(listening, taken.take)
    with ExitStack() as stack, capture_logs() as logs:
        clients = [stack.enter_context(socket.socket()) for _ in range(KNOCKING)]
        acceptor.start()
        began_s = time.monotonic()
        with no_descriptor_left():
            for client in clients:
                client.connect(acceptor.address)
            await listening.looked_at(LOOKS)
        assert time.monotonic() - began_s >= (LOOKS - 1) * 0.1, "it looks ten times a second"
        assert taken.peers == []
        await eventually(taken.all_taken, what="those who waited are taken")
        await acceptor.stop()
    assert taken.peers == [HOST] * KNOCKING
    assert [line["event"] for line in logs] == ["cannot accept connections: they wait"], "it is told once"
    for connection in taken.connections:
        assert not connection.getblocking()
        connection.close()


async def test_it_can_end_while_it_waits() -> None:
    (made,) = await bound(HOST, 0, shared=False)
    listening = Counting(fileno=made.detach())
    acceptor = Acceptor(listening, Taken().take)
    with socket.socket() as client:
        acceptor.start()
        with no_descriptor_left():
            client.connect(acceptor.address)
            await listening.looked_at(1)
        await acceptor.stop()
    assert listening.fileno() == -1


async def test_what_is_being_taken_ends_with_it() -> None:
    (listening,) = await bound(HOST, 0, shared=False)
    begun, ended = asyncio.Event(), []

    async def take(connection: socket.socket, peer: str) -> None:
        with connection:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(peer)

    acceptor = Acceptor(listening, take)
    acceptor.start()
    with socket.create_connection(acceptor.address):
        await begun.wait()
        await acceptor.stop()
    assert ended == [HOST]


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""

    def getaddrinfo(_host: str | None, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def test_a_name_of_several_addresses_listens_on_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, HOST, NOT_HERE, "127.0.0.2", HOST)
    made = await bound("a.name", 0, shared=False)
    assert [one.getsockname()[0] for one in made] == [HOST, "127.0.0.2"]
    for one in made:
        one.close()


async def test_a_name_of_no_address_that_there_is_cannot_be_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, NOT_HERE)
    with pytest.raises(PortTakenError, match=r"a\.name:80"):
        await bound("a.name", 80, shared=False)


async def test_what_was_bound_is_let_go_when_another_address_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.0.2", HOST)
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError):
            await bound("a.name", port, shared=False)
    with socket.create_server(("127.0.0.2", port)):
        pass

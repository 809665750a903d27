"""Connections to Redis that are cut while they begin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from auth_service.adapters.redis_connections import RedisConnections
from service_runtime.redis_address import Topology


class CutConnection:
    """What uvloop makes of a connection that ends before its first words are written."""

    closed = False

    async def connect(self) -> None:
        raise RuntimeError("the handler is closed")

    async def disconnect(self, nowait: bool = False) -> None:
        self.closed = True


class OneMaster:
    """Knows one server, and no other."""

    may_change = False

    async def find(self) -> None:
        return None

    def doubt(self, node: object) -> None:
        """It is asked again all the same."""


async def test_it_is_a_fault_of_the_store_and_no_defect() -> None:
    connection = CutConnection()
    address: Any = SimpleNamespace(connection=lambda node: connection, topology=Topology.SINGLE)
    master: Any = OneMaster()

    async def on_server(line: object, facts: object) -> None:
        pytest.fail("nothing was asked")

    with pytest.raises(RedisConnectionError, match="the handler is closed"):
        async with RedisConnections(address, master, {}, on_server).line():
            pytest.fail("it was lent")
    assert connection.closed

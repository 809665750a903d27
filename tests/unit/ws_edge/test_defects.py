"""Exceptions that nobody foresaw, told from outside."""

from __future__ import annotations

import pytest

from tests.unit.ws_edge.fakes import World


async def test_a_defect_ends_the_connection_that_it_concerns_and_no_other() -> None:
    world = World()
    first, second = await world.authenticated("alice"), await world.authenticated("bob")
    defect = ZeroDivisionError()
    world.gateway.defect(first.connection.number, defect)
    first.assert_error("server_error", 500, then=1011)
    assert second.sink.close_code is None
    assert world.defects == [defect]


@pytest.mark.parametrize("number", [0, 999])
async def test_a_defect_that_concerns_nobody_is_noted(number: int) -> None:
    world = World()
    client = await world.authenticated()
    world.gateway.defect(number, ZeroDivisionError())
    assert client.sink.close_code is None
    assert (len(world.defects), world.gateway.stats.defects) == (1, 1)

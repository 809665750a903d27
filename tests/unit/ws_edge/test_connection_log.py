"""Log lines about connections carry what an operator can search for, and no key."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.ws_edge.fakes import World
from ws_edge.adapters.connection_log import log_close, log_defect
from ws_edge.core.close_codes import CloseCode


async def line_of_close(code: CloseCode, *, authenticated: bool = True) -> list[Any]:
    world = World()
    client = await world.authenticated() if authenticated else world.client()
    with capture_logs() as lines:
        log_close(client.connection, code, "why")
    return list(lines)


async def test_a_client_that_is_let_go_is_named() -> None:
    assert await line_of_close(CloseCode.TRY_AGAIN_LATER) == [
        {
            "log_level": "warning",
            "event": "client is let go",
            "code": 1013,
            "reason": "why",
            "connection": 1,
            "session": "id-1",
            "key_id": "k1",
        }
    ]


@pytest.mark.parametrize("code", [CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.AUTHENTICATION])
async def test_what_happens_to_thousands_at_once_has_no_line(code: CloseCode) -> None:
    assert await line_of_close(code) == []


async def test_whoever_has_no_key_has_no_line() -> None:
    assert await line_of_close(CloseCode.TRY_AGAIN_LATER, authenticated=False) == []


async def test_a_defect_names_the_connection_that_it_concerns() -> None:
    world, defect = World(), ZeroDivisionError()
    client, stranger = await world.authenticated(), world.client()
    with capture_logs() as lines:
        log_defect(client.connection, defect)
        log_defect(stranger.connection, defect)
        log_defect(None, defect)
    named = {"connection": 1, "session": "id-1", "key_id": "k1"}
    same = {"log_level": "error", "event": "defect", "exc_info": defect}
    assert lines == [{**same, **named}, {**same, "connection": 2}, same]

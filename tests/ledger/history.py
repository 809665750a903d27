"""Reads whole histories through one edge, by the `history` frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.ledger.places import Place
from tests.ledger.wire import TRY_AGAIN, Account, Frame, connect_frame, encode, history_frame, place_in

PAGE: Final = 1000
PAUSE_S: Final = 0.2
READ_DEADLINE_S: Final = 60.0
Kept = list[tuple[str, Place]]


class HistoryRefused(Exception):
    """The edge answers with an error that does not go away."""


async def read_histories(url: str, client_id: str, account: Account, channels: Sequence[str]) -> dict[str, Kept]:
    """Return everything that is kept of each channel.

    Raises:
        HistoryRefused: The server says no.
        TimeoutError: Not within `READ_DEADLINE_S`.
    """
    histories: dict[str, Kept] = {}
    async with asyncio.timeout(READ_DEADLINE_S):
        while len(histories) < len(channels):
            try:
                async with connect(f"{url}/client_{client_id}", proxy=None, max_size=None, max_queue=None) as socket:
                    await _ask(socket, connect_frame("connect", account, {}), "message_delivered")
                    for channel in channels:
                        if channel not in histories:
                            histories[channel] = await _whole(socket, channel)
            except (OSError, WebSocketException):
                await asyncio.sleep(PAUSE_S)
    return histories


async def _whole(socket: ClientConnection, channel: str) -> Kept:
    kept: Kept = []
    more = True
    while more:
        since = kept[-1][1] if kept else None
        page = await _ask(socket, history_frame(f"history-{len(kept)}", channel, since, PAGE), "history")
        kept += [(message["id"], place_in(message)) for message in page["messages"]]
        more = page["more"]
    return kept


async def _ask(socket: ClientConnection, frame: Frame, answer: str) -> dict[str, Any]:
    """Send a frame until its answer comes; return the answer's data."""
    await socket.send(encode(frame))
    while True:
        got: Frame = json.loads(await socket.recv())
        if got.get("id") != frame["id"]:
            continue
        if got["type"] == answer:
            return dict(got["data"])
        if got["type"] == "error":
            if got["data"]["error_type"] not in TRY_AGAIN:
                raise HistoryRefused(f"{frame['type']}: {got['data']['message']}")
            await asyncio.sleep(got["data"].get("retry_after_ms", 0) / 1000 + PAUSE_S)
            await socket.send(encode(frame))

"""Rows of RFC 6455: what a client sends, frame by frame, and what an edge answers.

Texts are `ping` frames of docs/protocol.md, which every edge answers with a `pong` of the same `data`: an echo that is there in
every mode. How an edge refuses is that protocol's too: `error`, `disconnect`, and a close frame with its own code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.support.raw_websocket import CLOSE, HANDSHAKE, PING, PONG, TEXT, Raw, raw
from tests.support.target import Target
from tests.support.websocket_frames import client_frame, read_frame

BINARY: Final = 0x2
NORMAL: Final = 1000
TOO_BIG: Final = 1009
INVALID: Final = 4002
SENTINEL: Final = b"every answer has come"
MAX_BYTES: Final = 65_536


class Echo(NamedTuple):
    """The `pong` to a text: the `data` that was sent."""

    data: str


class Ponged(NamedTuple):
    """The pong to a ping, with its payload."""

    payload: bytes


@dataclass(frozen=True)
class Row:
    """One case.

    Args:
        name: Short.
        section: Of RFC 6455.
        case: The number of the case of Autobahn's test suite that is meant; empty: none is.
        sent: The bytes.
        answers: What comes back, in order.
        end: The code that the connection is closed with; None: it stays open.
    """

    name: str
    section: str
    case: str
    sent: bytes
    answers: Sequence[Echo | Ponged] = ()
    end: int | None = None

    @property
    def title(self) -> str:
        """For pytest."""
        return f"{self.case or '-'} {self.name} (section {self.section})".replace(" ", "-")


def ping_text(data: str) -> bytes:
    """Return the text of a `ping`."""
    return b'{"type":"ping","data":%b}' % json.dumps(data, ensure_ascii=False).encode()


def text(data: str = "hello") -> bytes:
    """Return a `ping` as one frame."""
    return client_frame(TEXT, ping_text(data))


def fragments(opcode: int, payload: bytes, size: int, between: bytes = b"") -> bytes:
    """Return a message in fragments of a size, with other frames between them."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(pieces) - 1
    frames = [client_frame(0 if at else opcode, piece, final=at == last) for at, piece in enumerate(pieces)]
    return between.join(frames)


def with_bits(bits: int, frame: bytes) -> bytes:
    """Return a frame with more bits set in its first byte."""
    return bytes([frame[0] | bits]) + frame[1:]


async def assert_row(target: Target, row: Row, *, chop: int = 0) -> None:
    """Send a row on a connection of its own, and hold what comes back against it.

    Args:
        target: The edge.
        row: What is sent and expected.
        chop: Bytes that are written at once; 0: all.
    """
    async with raw(target, HANDSHAKE, path="/client_rfc6455") as peer:
        await _enter(peer, target)
        sent = row.sent + (client_frame(PING, SENTINEL) if row.end is None else b"")
        for at in range(0, len(sent), chop or len(sent)):
            peer.writer.write(sent[at : at + (chop or len(sent))])
            await peer.writer.drain()
            await asyncio.sleep(0)
        answers, end = await _answers(peer)
        assert answers == list(row.answers)
        assert end == row.end
        if end is not None:
            assert await peer.reader.read() == b"", "something comes behind the close frame"


async def _enter(peer: Raw, target: Target) -> None:
    status, _ = await peer.head()
    assert status == 101
    data = {"api_key": target.api_key, "connection_type": "chat", "domain": "tests", "workspace": "rfc6455"}
    peer.writer.write(client_frame(TEXT, json.dumps({"type": "connect", "data": data}).encode()))
    while (await peer.frame())["type"] != "message_delivered":
        continue


async def _answers(peer: Raw) -> tuple[list[Echo | Ponged], int | None]:
    """Return what comes until the sentinel or the close frame, and the code of that."""
    answers: list[Echo | Ponged] = []
    refusal = None
    while True:
        opcode, payload = await read_frame(peer.reader)
        if opcode == PONG:
            if payload == SENTINEL:
                assert refusal is None
                return answers, None
            answers.append(Ponged(payload))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            assert refusal in (None, code), "the close frame says another code than the frame before it"
            return answers, code
        elif opcode == PING:
            continue  # a heartbeat
        else:
            frame = json.loads(payload)
            if frame["type"] == "pong":
                assert refusal is None, "an answer behind the refusal"
                answers.append(Echo(frame["data"]))
            elif frame["type"] == "disconnect":
                refusal = frame["data"]["code"]
            else:
                assert (frame["type"], frame["data"]["error_type"]) == ("error", "invalid_format")

"""Any bytes on a connection to an HTTP server, and the answers that come back."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final, NamedTuple

HOST: Final = "127.0.0.1"
# What nobody would take for a part of another request, unless it has to.
_LAST: Final = b"GET /last HTTP/1.1\r\nHost: auth\r\nConnection: close\r\n\r\n"
PATIENCE_S: Final = 0.1
_HEAD: Final = re.compile(rb"HTTP/\d\.\d (\d{3}) [^\r\n]*\r\n((?:[!-~]+:[ -~]*\r\n)*)\r\n")


class Answered(NamedTuple):
    """One answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def exchange(port: int, data: bytes) -> list[Answered]:
    """Send everything, a last request behind it, and return what comes back.

    The last one has the server close the connection. Where it is taken for part of a body, nothing more comes, and the
    connection is closed by this side: the answer is then lost, but not what the server makes of it.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    got = b""
    try:
        writer.write(data + _LAST)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while piece := await reader.read(65_536):
                    got += piece
    except ConnectionError:  # the server has seen enough
        pass
    finally:
        writer.close()
    return _split(got)


def _split(stream: bytes) -> list[Answered]:
    """Return the answers of a connection; those to HEAD have no body, which is all the same here."""
    answers: list[Answered] = []
    while stream:
        head = _HEAD.match(stream)
        if head is None:  # HEAD was answered, or it was cut off by this side
            assert stream.startswith(b"HTTP/") or answers, f"this is no answer: {stream[:200]!r}"
            return answers
        status = int(head[1])
        lines = (line.partition(b":") for line in head[2].splitlines())
        headers = {name.decode().lower(): value.strip().decode() for name, _, value in lines}
        rest = stream[head.end() :]
        size = 0 if not rest or rest.startswith(b"HTTP/") else int(headers.get("content-length", 0))
        if len(rest) < size:  # cut off by this side
            return answers
        answers.append(Answered(status, headers, rest[:size]))
        stream = rest[size:] if status >= 200 else rest
    return answers


def request(line: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a request; `_` in the name of a header stands for `-`."""
    named = {"Host": "host", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body:
        named["Content-Length"] = str(len(body))
    lines = [f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

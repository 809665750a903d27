"""A few lines of HTTP for tests, on the standard library."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

DEADLINE_S = 30.0


@dataclass(frozen=True)
class HttpAnswer:
    """What came back; the names of headers in any case (RFC 9110 section 5.1)."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def http(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json_body: object = None,
    body: bytes | None = None,
) -> HttpAnswer:
    """Make one request; a status of any kind is an answer, no answer at all is an `OSError`."""
    data = body if json_body is None else json.dumps(json_body).encode()
    all_headers = {"Connection": "close", "Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, method=method, headers=all_headers)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
            return HttpAnswer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return HttpAnswer(refused.code, refused.headers, refused.read())


async def http_async(method: str, url: str, **more: Any) -> HttpAnswer:
    """Make one request without holding the event loop up."""
    return await asyncio.to_thread(http, method, url, **more)

"""The auth service with its HTTP listener as a process of its own, and calls of it over HTTP."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.support.auth_client import AuthClient
from tests.support.processes import ServiceProcess

DEADLINE_S = 30.0
UNKNOWN_KEY = "tw_live_0000000000000000_000000000000000000000000000000000TDdRS"


@dataclass(frozen=True)
class Answered:
    """What came back; `headers` has names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any

    @property
    def code(self) -> str:
        """The verdict, or the reason of a fault."""
        return self.headers.get("x-tidewire-code", "")


class HttpAuth:
    """One auth service, and everything that must not be in its log.

    Args:
        folder: For state, log and ready file.
        flags: More flags, by name without `--`.
        variables: Added to its environment.
    """

    def __init__(
        self, folder: Path, flags: Mapping[str, object] | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self.token = f"canary-token-{secrets.token_hex(16)}"
        self.canaries = {self.token}
        self.folder = folder
        self.process = ServiceProcess(
            "auth_service",
            folder,
            {"data-dir": folder / "data", "http-port": 0, **(flags or {})},
            {"TIDEWIRE_MODE": "production", "TIDEWIRE_SERVICE_TOKEN": self.token, **(variables or {})},
        )

    @property
    def http_port(self) -> int:
        return int(self.process.facts["http_port"])

    @property
    def http_address(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    def client(self) -> AuthClient:
        """Return what makes and changes keys here, over gRPC in plain text."""
        return AuthClient(self.process.address, f"Bearer {self.token}", self.canaries.add)

    def caller(self, token: str | None = None) -> dict[str, str]:
        """Return the header of a back end that calls."""
        return {"Authorization": f"Bearer {token or self.token}"}

    def proxy(self, api_key: str | None = None, token: str | None = None) -> dict[str, str]:
        """Return the headers of a proxy that asks about a request with a key."""
        held = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        return {"Tidewire-Service-Authorization": f"Bearer {token or self.token}", **held}

    async def call(self, method: str, path: str, *, tls: ssl.SSLContext | None = None, **more: Any) -> Answered:
        """Make one request of the HTTP listener."""
        scheme = "http" if tls is None else "https"
        return await request(method, f"{scheme}://{self.http_address}{path}", ssl=tls or True, **more)

    async def forward_auth(self, api_key: str | None, query: str = "", **more: Any) -> Answered:
        """Ask as a proxy does."""
        return await self.call("GET", f"/v1/forward-auth{query}", headers=self.proxy(api_key), **more)

    def end(self) -> None:
        """Stop it in order; fail if a key or the token is in its log, or a defect."""
        if self.process.running:
            assert self.process.stop() == 0, self.process.log()[-3000:]
        log = self.process.log()
        assert "Traceback" not in log, log[-3000:]
        for canary in self.canaries:
            assert canary not in log
            assert canary.rpartition("_")[2] not in log, "the secret part of a key"


async def request(method: str, url: str | URL, **more: Any) -> Answered:
    """Make one request, with a deadline and without following redirects."""
    async with (
        asyncio.timeout(DEADLINE_S),
        aiohttp.ClientSession() as session,
        session.request(method, url, allow_redirects=False, **more) as response,
    ):
        body = await response.read()
        is_json = response.content_type == "application/json" and bool(body)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status, headers, body, await response.json() if is_json else None)

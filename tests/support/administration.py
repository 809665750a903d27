"""Administers keys on services that share a store, as several administrators do at once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, keys_pb2

from tests.support.auth_client import AuthClient
from tests.support.processes import ServiceProcess
from tests.support.redis_server import RedisServer

TOKEN = f"canary-token-{secrets.token_hex(16)}"
STORES = ("file", "redis")
# Calls that come at once.
AT_ONCE = 20


@contextmanager
def services_on(store: str, folder: Path) -> Iterator[list[ServiceProcess]]:
    """Start one service on a file, or two on a Redis; nothing secret is in their logs at the end."""
    variables = {
        "TIDEWIRE_MODE": "production",
        "TIDEWIRE_SERVICE_TOKEN": TOKEN,
        "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40,
    }
    redis = RedisServer(folder / "redis") if store == "redis" else None
    if redis is not None:
        redis.start()
        variables["TIDEWIRE_AUTH_STORE_URL"] = redis.url
    flags = {"data-dir": folder / "data", "watch-checkpoint-s": 0.1, "log-level": "debug"}
    made = []
    for number in range(1 if redis is None else 2):
        (folder / str(number)).mkdir()
        made.append(ServiceProcess("auth_service", folder / str(number), flags, variables))
        made[-1].start()
    yield made
    for process in made:
        assert process.stop() == 0, process.log()[-2000:]
        for canary in (TOKEN, "Traceback", "tw_live_", "tw_test_"):
            assert canary not in process.log()
    if redis is not None:
        redis.stop()


@asynccontextmanager
async def two_clients(services: list[ServiceProcess]) -> AsyncIterator[list[AuthClient]]:
    """Open two clients, at two services where there are two."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(AuthClient(services[number % len(services)].address, f"Bearer {TOKEN}"))
            for number in range(2)
        ]


async def update(client: AuthClient, key_id: str, *paths: str, **values: Any) -> Any:
    """Update a key; what is not named in `paths` is what `values` has."""
    request = admin_pb2.UpdateKeyRequest(
        key=keys_pb2.Key(key_id=key_id, **values), update_mask=FieldMask(paths=paths or values)
    )
    return (await client.call("UpdateKey", request)).key


async def rotate(client: AuthClient, key_id: str, grace_s: float | None = 3600, **fields: Any) -> Any:
    request = admin_pb2.RotateKeyRequest(key_id=key_id, **fields)
    if grace_s is not None:
        request.grace.FromMilliseconds(int(grace_s * 1000))
    return await client.call("RotateKey", request)


async def audit_of(client: AuthClient, key_id: str) -> list[Any]:
    """Return what was done to a key, oldest first."""
    answer = await client.call("ListAuditEntries", admin_pb2.ListAuditEntriesRequest(key_id=key_id, page_size=1000))
    return list(reversed(answer.entries))


def action_name(entry: Any) -> str:
    return admin_pb2.AuditAction.Name(entry.action).removeprefix("AUDIT_ACTION_")


def in_s(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return moment

"""Puts keys into a store before its service starts, and their texts into a file.

`python -m benchmarks.harness.seed COUNT FILE` and the flags of `python -m auth_service`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from auth_service import app
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import KeyText, generate
from auth_service.core.keys import KeyLimits, KeyRecord
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import KeyStore
from auth_service.settings import AuthSettings
from service_runtime.settings import load_settings

AT_ONCE: Final = 200
LIVES_FOR_MS: Final = 365 * 86_400_000


async def seed(settings: AuthSettings, count: int) -> list[str]:
    """Make keys that are good for a year, and return their texts."""
    keys = [generate("test", secrets.randbelow) for _ in range(count)]
    async with app.opened(settings) as (store, peppers):
        waiting = iter(keys)

        async def work() -> None:
            for key in waiting:
                await _create(store, peppers, key)

        await asyncio.gather(*[work() for _ in range(AT_ONCE)])
    return [key.text for key in keys]


async def _create(store: KeyStore, peppers: Peppers, key: KeyText) -> None:
    now_ms = time.time_ns() // 1_000_000
    await store.create(
        KeyRecord(
            key_id=key.key_id,
            secret_hash=peppers.hash(key.secret),
            pepper_version=peppers.current,
            environment=key.environment,
            prefix=key.prefix,
            owner="benchmarks",
            name="",
            permissions=PermissionSet.of(["*:*"]),
            allowed_domains=(),
            allowed_workspaces=(),
            limits=KeyLimits(),
            create_ms=now_ms,
            update_ms=now_ms,
            expire_ms=now_ms + LIVES_FOR_MS,
        )
    )


def main(argv: Sequence[str]) -> int:
    """Seed a store; returns the exit code."""
    settings = load_settings(AuthSettings, argv[2:], prog="seed", description="Puts keys into a store.")
    Path(argv[1]).write_text(json.dumps(asyncio.run(seed(settings, int(argv[0])))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

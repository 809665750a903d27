"""One process that calls an auth service as told, line by line, and says what it took itself.

A line is `{"method": "echo" | "verify" | "verify_many", "calls": 1000, "in_flight": 16, "keys": 10}`; the answer is
`{"seconds": ..., "cpu_s": ..., "verifications": ...}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import uvloop
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

from benchmarks.harness.echo_auth import ECHO_METHOD
from service_runtime.grpc_channel import bearer, open_channel

BATCH: Final = 64
DEADLINE_S: Final = 30.0
Call = Callable[[], Awaitable[None]]


class Load:
    """Calls one auth service.

    Args:
        target: Its address.
        token: The service token.
        keys: Texts of keys that are good there.
    """

    def __init__(self, target: str, token: str, keys: list[str]) -> None:
        self._metadata = bearer(token)
        self._channel = open_channel(target)
        self._stub: Any = auth_pb2_grpc.AuthServiceStub(self._channel)
        self._echo: Any = self._channel.unary_unary(
            ECHO_METHOD,
            request_serializer=auth_pb2.VerifyKeyRequest.SerializeToString,
            response_deserializer=auth_pb2.VerifyKeyResponse.FromString,
        )
        self._keys = keys
        self._rounds: dict[tuple[str, int], Iterator[Any]] = {}

    async def run(self, method: str, calls: int, in_flight: int, keys: int) -> dict[str, float]:
        """Make so many calls, and return what it took.

        Raises:
            AssertionError: a key was not VALID.
        """
        # A round goes on with the keys where the one before it ended.
        if (method, keys) not in self._rounds:
            self._rounds[method, keys] = self._requests(method, keys)
        requests = self._rounds[method, keys]
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        left = iter(range(calls))

        async def work() -> None:
            for _ in left:
                await self._call(method, next(requests))

        await asyncio.gather(*[work() for _ in range(in_flight)])
        return {
            "seconds": time.perf_counter() - began_s,
            "cpu_s": time.process_time() - cpu_began_s,
            "verifications": calls * (BATCH if method == "verify_many" else 1),
        }

    def _requests(self, method: str, keys: int) -> Iterator[Any]:
        """Return requests without end; they are made beforehand, so that the load costs the less."""
        chosen = self._keys[:keys]
        random.Random(os.getpid()).shuffle(chosen)
        single = [auth_pb2.VerifyKeyRequest(api_key=key, domain="d", workspace="w") for key in chosen]
        if method != "verify_many":
            return itertools.cycle(single)
        around = itertools.cycle(single)
        many = max(1, min(len(single), 20_000) // BATCH)
        return itertools.cycle(
            [auth_pb2.VerifyKeysRequest(requests=itertools.islice(around, BATCH)) for _ in range(many)]
        )

    async def _call(self, method: str, request: Any) -> None:
        call = {"echo": self._echo, "verify": self._stub.VerifyKey, "verify_many": self._stub.VerifyKeys}[method]
        answer = await call(request, metadata=self._metadata, timeout=DEADLINE_S)
        verdicts = answer.verdicts if method == "verify_many" else [answer.verdict]
        wrong = [verdict for verdict in verdicts if verdict.code != auth_pb2.VERDICT_CODE_VALID]
        if wrong:
            raise AssertionError(f"{method}: {wrong[0]}")


async def serve(target: str, token: str, keys: list[str]) -> None:
    """Answer lines of standard input until there are no more."""
    load = Load(target, token, keys)
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(await load.run(**json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], os.environ["TIDEWIRE_SERVICE_TOKEN"], json.loads(Path(sys.argv[2]).read_text())))

"""Verifications that share calls: while one call is under way, all that come in the meantime go with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
from tidewire.auth.v1 import auth_pb2

from service_runtime.tasks import end_tasks
from service_runtime.tracing.work import forget_current_work
from tidewire_client.errors import ServiceUnavailable
from tidewire_client.verdict import Verdict, verdict_of
from tidewire_client.verifier_stats import VerifierStats

MAX_BATCH: Final = 256

Asked = tuple[auth_pb2.VerifyKeyRequest, "asyncio.Future[Verdict]"]
VerifyKeys = Callable[[auth_pb2.VerifyKeysRequest], Awaitable[auth_pb2.VerifyKeysResponse]]


class VerificationBatches:
    """Puts verifications together into calls of at most 256; under little load each has a call of its own.

    Args:
        call: Makes one call, repeats included; raises `grpc.aio.AioRpcError`.
        stats: Counts calls, and the verifications in them.
    """

    def __init__(self, call: VerifyKeys, stats: VerifierStats) -> None:
        self._call = call
        self._stats = stats
        self._queue: list[Asked] = []
        self._running: asyncio.Task[None] | None = None

    async def verify(self, request: auth_pb2.VerifyKeyRequest) -> Verdict:
        """Verify one key together with whoever else asks.

        Raises:
            grpc.aio.AioRpcError: The call failed, or was refused for this very request.
            ServiceUnavailable: The answer did not fit the question.
        """
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._queue.append((request, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """End what is under way."""
        if self._running is not None:
            await end_tasks(self._running)

    async def _run(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            await self._run_batch(batch)
            # It began with the work of whoever asked first; what comes now is others'.
            forget_current_work()

    async def _run_batch(self, batch: list[Asked]) -> None:
        self._stats.calls += 1
        self._stats.batched += len(batch)
        request = auth_pb2.VerifyKeysRequest(requests=[one for one, _ in batch])
        try:
            answer = await self._call(request)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.INVALID_ARGUMENT and len(batch) > 1:
                # One of them is refused as such: the others must not suffer for it. Nothing was charged.
                half = len(batch) // 2
                await self._run_batch(batch[:half])
                await self._run_batch(batch[half:])
                return
            _fail(batch, exc)
            return
        if len(answer.verdicts) != len(batch):
            _fail(batch, ServiceUnavailable("the auth service did not answer every question"))
            return
        for (_, future), verdict in zip(batch, answer.verdicts, strict=True):
            if not future.done():
                future.set_result(verdict_of(verdict))


def _fail(batch: list[Asked], problem: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(problem)

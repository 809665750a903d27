"""How long it takes until the last live connection of a key has heard that the key is no longer good.

Real services: auth, session, and two edges. Connections are held by other processes, one for each edge. What is counted is the
time from the administrator's call to each connection's close frame (or, for a key that was narrowed, to its word that a channel
is lost; for one that expires, from the moment of expiry). Every connection must be told: one that is not fails the measurement.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, keys_pb2

from benchmarks.harness.figures import Figure, parser_of, percentile, progress, show
from benchmarks.harness.workers import Worker, all_at_once
from service_runtime.grpc_channel import bearer
from tests.support.services import Gateway

CHANNEL: Final = "room"
DEADLINE_S: Final = 60.0
EXPIRES_IN_S: Final = 5.0
CALLS_AT_ONCE: Final = 16
SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


class Admin:
    """Changes keys, and says when the call for each began (seconds of the monotonic clock).

    Args:
        target: An auth service.
        token: The service token.
    """

    def __init__(self, target: str, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._stub: Any = admin_pb2_grpc.KeyAdminServiceStub(self._channel)
        self._metadata = bearer(token)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _call(self, method: str, request: Any) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata, timeout=DEADLINE_S)

    async def create(self, count: int) -> tuple[list[str], list[str]]:
        """Make keys; return their ids and their texts."""
        request = admin_pb2.CreateKeyRequest(owner="benchmarks", permissions=["*:*"], environment="test")
        made = [await self._call("CreateKey", request) for _ in range(count)]
        return [answer.key.key_id for answer in made], [answer.api_key for answer in made]

    async def _each(self, key_ids: Sequence[str], change: Callable[[str], Awaitable[Any]]) -> list[float]:
        began_s = [0.0] * len(key_ids)
        left = iter(enumerate(key_ids))

        async def work() -> None:
            for number, key_id in left:
                began_s[number] = time.monotonic()
                await change(key_id)

        await asyncio.gather(*[work() for _ in range(CALLS_AT_ONCE)])
        return began_s

    async def revoke(self, key_ids: Sequence[str]) -> list[float]:
        """Revoke keys."""
        return await self._each(key_ids, lambda key: self._call("RevokeKey", admin_pb2.RevokeKeyRequest(key_id=key)))

    async def disable(self, key_ids: Sequence[str]) -> list[float]:
        """Disable keys."""
        return await self._each(key_ids, lambda key: self._call("DisableKey", admin_pb2.DisableKeyRequest(key_id=key)))

    async def narrow(self, key_ids: Sequence[str]) -> list[float]:
        """Take the permission away to join the channel that all are in."""
        request = admin_pb2.UpdateKeyRequest(key=keys_pb2.Key(permissions=["publish:*"]))
        request.update_mask.paths.append("permissions")
        return await self._each(key_ids, lambda key: self._update(request, key))

    async def expire(self, key_ids: Sequence[str]) -> list[float]:
        """Have keys expire soon; returns the moments at which they do."""
        request = admin_pb2.UpdateKeyRequest()
        moment_s = time.monotonic() + EXPIRES_IN_S
        request.key.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=EXPIRES_IN_S))
        request.update_mask.paths.append("expire_time")
        await self._each(key_ids, lambda key: self._update(request, key))
        return [moment_s] * len(key_ids)

    async def _update(self, request: admin_pb2.UpdateKeyRequest, key_id: str) -> None:
        own = admin_pb2.UpdateKeyRequest()
        own.CopyFrom(request)
        own.key.key_id = key_id
        await self._call("UpdateKey", own)


class System:
    """The services, and the processes that hold connections.

    Args:
        gateway: Auth, session and one edge, running.
        edges: How many edges in all.
    """

    def __init__(self, gateway: Gateway, edges: int) -> None:
        self.gateway = gateway
        more = [gateway.another_edge(f"more-{number}") for number in range(edges - 1)]
        self._ports = [edge.port for edge in (gateway.edge, *more)]
        self._loads = [Worker("benchmarks.harness.socket_load", [], {}) for _ in self._ports]

    def open(self, keys: Sequence[str], connections: int, channel: str = "") -> None:
        """Open connections, spread over the edges."""
        count = connections // len(self._loads)
        for load, port in zip(self._loads, self._ports, strict=True):
            load.ask(do="open", port=port, keys=keys, count=count, channel=channel)
        answers = [load.answer() for load in self._loads]
        progress(f"  {sum(answer['open'] for answer in answers)} open after {answers[0]['seconds']:.0f} s")

    def delays_ms(self, what: str, began_s: Sequence[float], expected: int) -> list[float]:
        """Return how long each connection had to wait to be told.

        Raises:
            RuntimeError: not all were told.
        """
        answers = all_at_once(self._loads, **{"do": "wait", "for": what, "deadline_s": DEADLINE_S})
        found = [(at_s - began_s[number]) * 1000 for answer in answers for number, at_s in answer]
        if len(found) != expected:
            raise RuntimeError(f"{expected - len(found)} of {expected} connections were never told: {what}")
        return found

    def drop(self) -> None:
        """Let all connections go."""
        all_at_once(self._loads, do="drop")

    def close(self) -> None:
        """End the processes that hold connections."""
        for load in self._loads:
            load.close()


def figures_of(name: str, delays_ms: Sequence[float]) -> list[Figure]:
    """Return the percentiles of some delays."""
    note = f"{len(delays_ms)} connections"
    targets = {"p99": "< 1000"}
    return [
        Figure(f"{name}: {label}", percentile(delays_ms, share), "ms", targets.get(label, ""), note)
        for label, share in SHARES
    ]


async def measure(system: System, connections: int, keys: int) -> list[Figure]:
    """Measure each kind of change."""
    admin = Admin(system.gateway.auth.address, system.gateway.service_token)
    figures: list[Figure] = []

    async def change(
        name: str, act: Callable[[Sequence[str]], Awaitable[list[float]]], ids: Sequence[str], what: str = "close"
    ) -> None:
        progress(name)
        began_s = await act(ids)
        found = figures_of(name, await asyncio.to_thread(system.delays_ms, what, began_s, connections))
        progress("  " + ", ".join(f"{figure.name.rpartition(': ')[2]} {figure.value:.0f} ms" for figure in found))
        figures.extend(found)

    async def opened(count: int, channel: str = "") -> list[str]:
        ids, texts = await admin.create(count)
        await asyncio.to_thread(system.open, texts, connections, channel)
        return ids

    try:
        ids = await opened(1, CHANNEL)
        await change("one key, narrowed", admin.narrow, ids, "unsubscribed")
        await change("one key, revoked", admin.revoke, ids)
        for name, act, count in (
            ("one key, disabled", admin.disable, 1),
            ("one key, expired", admin.expire, 1),
            (f"{keys} keys, revoked", admin.revoke, keys),
        ):
            await asyncio.to_thread(system.drop)
            await change(name, act, await opened(count))
    finally:
        await admin.close()
    return figures


def main() -> None:
    """Measure, and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--connections", type=int, default=10_000, help="live connections (default: %(default)s)")
    parser.add_argument("--edges", type=int, default=2, help="edges that they are spread over (default: %(default)s)")
    parser.add_argument("--keys", type=int, default=1_000, help="keys where there are many (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder))
        try:
            gateway.start()
            system = System(gateway, args.edges)
            try:
                figures = asyncio.run(measure(system, args.connections, args.keys))
            finally:
                system.close()
            gateway.stop()
        finally:
            gateway.kill()
    show(figures, as_json=args.json)


if __name__ == "__main__":
    main()

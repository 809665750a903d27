"""What a verification costs the auth service, as a ratio to a call of the same process that does nothing.

The service is the real one, with an echo beside its methods. Rounds of echo, VerifyKey and VerifyKeys take turns, so that
whatever else the machine does falls on all of them alike; a ratio is the median of those of the rounds. What is counted is
the processor time of the server's process. The load comes from other processes, whose own share is shown.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.harness.cpu import TICKS_PER_S, cpu_s
from benchmarks.harness.figures import Figure, parser_of, progress, show
from benchmarks.harness.verify_load import BATCH
from benchmarks.harness.workers import Worker, all_at_once
from tests.support.processes import ROOT, ServiceProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tidewire_client.verifier import KeyVerifier

FEW: Final = 10
HITS: Final = 100_000
# The verifier keeps so many by default.
CACHED_AT_MOST: Final = 10_000
WARM_UP: Final = 300


@dataclass(frozen=True)
class Round:
    """One method, once, by all loads together.

    Args:
        server_us: Processor time of the server a call, in microseconds.
        load_share: Of the wall time, how much the busiest load process used of a core.
        per_call: Verifications a call.
    """

    server_us: float
    load_share: float
    per_call: int


class Server:
    """The auth service with an echo, on a store with keys.

    Args:
        directory: For its files.
        keys: How many are in the store.
        store_url: Of a Redis; None: a SQLite file.
    """

    def __init__(self, directory: Path, keys: int, store_url: str | None) -> None:
        self.token = secrets.token_hex(16)
        self.variables = {"TIDEWIRE_MODE": "production", "TIDEWIRE_SERVICE_TOKEN": self.token}
        if store_url is not None:
            self.variables |= {"TIDEWIRE_AUTH_STORE_URL": store_url, "TIDEWIRE_AUTH_STORE_NAMESPACE": f"n{keys}"}
        flags = {"data-dir": directory / "data"}
        self.keys_file = directory / "keys.json"
        self._seed(keys, [f"--{name}={value}" for name, value in flags.items()])
        self.process = ServiceProcess("benchmarks.harness.echo_auth", directory, flags, self.variables, "auth")
        self.process.start()

    def _seed(self, keys: int, flags: list[str]) -> None:
        command = [sys.executable, "-m", "benchmarks.harness.seed", str(keys), str(self.keys_file), *flags]
        path = f"{ROOT}:{ROOT / 'protos'}"
        done = subprocess.run(command, env={"PYTHONPATH": path, **self.variables}, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])

    @property
    def keys(self) -> list[str]:
        """The texts of its keys."""
        return list(json.loads(self.keys_file.read_text()))


@contextmanager
def loads_of(server: Server, count: int) -> Iterator[list[Worker]]:
    """Start processes that call the server."""
    arguments = [server.process.address, str(server.keys_file)]
    workers = [Worker("benchmarks.harness.verify_load", arguments, server.variables) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def measure(server: Server, loads: Sequence[Worker], method: str, calls: int, keys: int) -> Round:
    """Make calls, and return what each cost the server."""
    before_s = cpu_s(server.process.pid)
    answers = all_at_once(loads, method=method, calls=calls, in_flight=16, keys=keys)
    used_s = max(cpu_s(server.process.pid) - before_s, 1 / TICKS_PER_S)  # the kernel counts no finer
    return Round(
        used_s * 1e6 / (calls * len(loads)),
        max(answer["cpu_s"] / answer["seconds"] for answer in answers),
        BATCH if method == "verify_many" else 1,
    )


def median(values: Iterator[float]) -> float:
    """Return the median."""
    return statistics.median(values)


async def hit_us(server: Server, keys: Sequence[str]) -> float:
    """Return what a verification from the cache of `KeyVerifier` takes its caller, in microseconds."""
    verifier = KeyVerifier(server.process.address, service_token=server.token)
    await verifier.start()
    try:

        async def fresh() -> bool:
            return verifier.fresh

        await eventually(fresh)
        for key in keys:
            await verifier.verify(key, domain="d", workspace="w")
        before = verifier.stats.hits
        best_us = float("inf")
        for _ in range(5):
            began_s = time.process_time()
            for number in range(HITS // 5):
                await verifier.verify(keys[number % len(keys)], domain="d", workspace="w")
            best_us = min(best_us, (time.process_time() - began_s) * 1e6 / (HITS // 5))
            await asyncio.sleep(0)
        if verifier.stats.hits - before != HITS:
            raise AssertionError("not every verification came from the cache")
        return best_us
    finally:
        await verifier.close()


def figures_of(server: Server, place: str, asked: int, args: Any) -> list[Figure]:
    """Measure one store, with so many of its keys asked for in turn."""
    rounds: dict[str, list[Round]] = {"echo": [], "verify": [], "verify_many": []}
    with loads_of(server, args.loads) as loads:
        for method in rounds:
            measure(server, loads, method, WARM_UP, asked)
        for number in range(args.rounds):
            for method, found in rounds.items():
                calls = args.calls // 8 if method == "verify_many" else args.calls
                found.append(measure(server, loads, method, calls, asked))
            progress(f"{place}: round {number + 1} of {args.rounds}")
    ratio = median(v.server_us / e.server_us for v, e in zip(rounds["verify"], rounds["echo"], strict=True))
    gain = median(
        v.server_us * m.per_call / m.server_us for v, m in zip(rounds["verify"], rounds["verify_many"], strict=True)
    )
    echo_us, verify_us, many_us = (median(r.server_us for r in found) for found in rounds.values())
    share = max(r.load_share for found in rounds.values() for r in found)
    hit = uvloop.run(hit_us(server, server.keys[: min(asked, CACHED_AT_MOST // 2)]))
    return [
        Figure(f"{place}: VerifyKey / echo, server CPU a call", ratio, "x", "<= 1.3"),
        Figure(f"{place}: VerifyKeys of {BATCH} / VerifyKey, verifications a CPU second", gain, "x", ">= 20"),
        Figure(f"{place}: echo, server CPU", echo_us, "us"),
        Figure(f"{place}: VerifyKey, server CPU", verify_us, "us"),
        Figure(f"{place}: VerifyKeys, server CPU a verification", many_us / BATCH, "us"),
        Figure(f"{place}: KeyVerifier, from its cache", hit, "us", "< 2"),
        Figure(f"{place}: busiest load process, share of a core", share, ""),
    ]


def growth(figures: Sequence[Figure], store: str, many: int) -> list[Figure]:
    """Return how much dearer a verification is with many keys in the store than with few."""
    values = {figure.name: figure.value for figure in figures}
    name = "VerifyKey / echo, server CPU a call"
    few, same = values[f"{store}, {FEW} keys: {name}"], values[f"{store}, {many} keys, {FEW} asked: {name}"]
    every = values[f"{store}, {many} keys, all asked: {name}"]
    return [
        Figure(f"{store}: {many} / {FEW} keys in the store, the same number asked", same / few, "x", "0.9 to 1.1"),
        Figure(f"{store}: {many} / {FEW} keys in the store, all asked in turn", every / few, "x"),
    ]


def run(args: Any) -> list[Figure]:
    """Measure every store, with few and with many keys."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for store in args.stores.split(","):
            directory = Path(folder) / store
            directory.mkdir()
            redis = RedisServer(directory, {"appendfsync": "no"}) if store == "Redis" else None
            if redis is not None:
                redis.start()
            for count in (FEW, args.keys):
                place = directory / str(count)
                place.mkdir()
                progress(f"{store}: {count} keys are put into the store")
                server = Server(place, count, None if redis is None else redis.url)
                try:
                    names = (
                        {FEW: f"{store}, {FEW} keys"}
                        if count == FEW
                        else {
                            FEW: f"{store}, {count} keys, {FEW} asked",
                            count: f"{store}, {count} keys, all asked",
                        }
                    )
                    for asked, name in names.items():
                        figures += figures_of(server, name, asked, args)
                finally:
                    server.process.stop()
            figures += growth(figures, store, args.keys)
            if redis is not None:
                redis.stop()
    return figures


def main() -> None:
    """Measure, and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--stores", default="SQLite,Redis", help="which, by comma (default: %(default)s)")
    parser.add_argument("--keys", type=int, default=100_000, help="keys in the large store (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each method (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=2000, help="calls a round and load (default: %(default)s)")
    parser.add_argument("--loads", type=int, default=1, help="processes that call (default: %(default)s)")
    args = parser.parse_args()
    show(run(args), as_json=args.json)


if __name__ == "__main__":
    main()

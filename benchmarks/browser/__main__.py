"""How soon the JavaScript client is back after an outage, and what it loses: in a real browser, against real services.

Every message is accounted for: one that is lost, doubled or out of order fails the measurement.
"""

from __future__ import annotations

import gzip
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.browser.world import CHANNEL, DEADLINE_S, World, running_world
from benchmarks.harness.figures import Figure, parser_of, percentile, progress, show
from tests.support.browser import ENGINES
from tests.support.npm import CLIENT, FRONTEND, build_client
from tests.support.waiting import wait_until

OUTAGE_S: Final = 2.0
# Clients that are cut off at the same time, each with waits of its own.
AT_ONCE: Final = 20
# So that a hundred cuts in a row are over soon: the waits would grow to half a minute.
SHORT_WAITS: Final = {"backoffBaseMs": 50, "backoffMaxMs": 500}
WRITER, READER = "writer", "reader"


def reconnection_ms(engine: str, cuts: int) -> list[float]:
    """Return how long each client needed from the end of an outage until it was authenticated again, in milliseconds."""
    found: list[float] = []
    with running_world(engine, AT_ONCE) as world:
        for number in range(AT_ONCE):
            world.open(f"client-{number}", number, {})
        world.wait_for_states("connected")
        while len(found) < cuts:
            # Each outage is a first one: waits grow only while a client does not stay connected.
            wait_until(lambda: not any(stands.failures for stands in world.standings()), DEADLINE_S, "all are stable")
            world.proxy.cut()
            world.wait_for_states("reconnecting")
            time.sleep(OUTAGE_S)
            world.proxy.restore()
            restored_ms = time.time() * 1000
            world.wait_for_states("connected")
            found += [max(0.0, stands.connected_at_ms - restored_ms) for stands in world.standings()]
            progress(f"  {len(found)} of {cuts}")
    return found[:cuts]


def publish_through_cuts(world: World, messages: int, cuts: int) -> None:
    """Publish numbers from one client to another, and cut both off again and again meanwhile."""
    each = messages // cuts
    for turn in range(cuts):
        world.tab.run("(args) => bench.publish(...args)", [WRITER, CHANNEL, turn * each, (turn + 1) * each])
        world.proxy.cut()
        wait_until(
            lambda: all(stands.state != "connected" for stands in world.standings()), DEADLINE_S, "both are cut off"
        )
        world.proxy.restore()
        world.wait_for_states("connected")
        if not (turn + 1) % 10:
            progress(f"  {turn + 1} of {cuts} cuts")


def lost(engine: str, messages: int, cuts: int) -> int:
    """Return how many confirmed messages did not arrive.

    Raises:
        RuntimeError: some were refused, doubled or out of order.
    """
    with running_world(engine, 1) as world:
        for name in (WRITER, READER):
            world.open(name, 0, SHORT_WAITS)
        world.wait_for_states("connected")
        publish_through_cuts(world, messages, cuts)

        def settled() -> bool:
            writer, reader = (world.tab.run("(name) => bench.counts(name)", name) for name in (WRITER, READER))
            return bool(writer["confirmed"] + writer["refused"] == messages and reader["received"] >= messages)

        wait_until(settled, DEADLINE_S, "every message is confirmed and received")
        refused = world.tab.run("(name) => bench.counts(name)", WRITER)["refused"]
        received: list[int] = world.tab.run("(name) => bench.contents(name)", READER)
    if refused or received != sorted(set(received)):
        raise RuntimeError(f"{refused} refused, {len(received) - len(set(received))} doubled, or out of order")
    return len(set(range(messages)) - set(received))


def client_bytes() -> int:
    """Return how large the client is, minified and compressed."""
    build_client()
    # A script of Node's, or, where npm lets packages set themselves up, a program.
    esbuild = FRONTEND / "node_modules" / ".bin" / "esbuild"
    command = [esbuild, CLIENT / "dist" / "index.js", "--minify", "--format=esm"]
    return len(gzip.compress(subprocess.run(command, capture_output=True, check=True).stdout))


def measure(engine: str, reconnects: int, messages: int, cuts: int) -> Sequence[Figure]:
    """Measure everything."""
    size_bytes = client_bytes()
    progress(f"{reconnects} outages of {OUTAGE_S:g} s in {engine}")
    delays = reconnection_ms(engine, reconnects)
    progress(f"{messages} messages over {cuts} cuts in {engine}")
    missing = lost(engine, messages, cuts)
    note = f"{reconnects} outages of {OUTAGE_S:g} s, {engine}"
    return [
        Figure("size of the client", size_bytes, "bytes", "< 8000", "minified, gzip"),
        Figure("back after an outage: p50", percentile(delays, 0.5), "ms", note=note),
        Figure("back after an outage: p99", percentile(delays, 0.99), "ms", note=note),
        Figure("messages lost", missing, "messages", "0", f"{messages} over {cuts} cuts, {engine}"),
    ]


def main() -> None:
    """Measure, and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="default: %(default)s")
    parser.add_argument("--reconnects", type=int, default=200, help="outages that are timed (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=10_000, help="messages (default: %(default)s)")
    parser.add_argument("--cuts", type=int, default=100, help="cuts meanwhile (default: %(default)s)")
    args = parser.parse_args()
    show(measure(args.engine, args.reconnects, args.messages, args.cuts), as_json=args.json)


if __name__ == "__main__":
    main()

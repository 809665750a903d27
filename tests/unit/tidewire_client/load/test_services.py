"""What services say of themselves, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.unit.tidewire_client.peers import unused_target
from tidewire_client.load.services import Sample, Services


@asynccontextmanager
async def saying(*texts: str) -> AsyncIterator[list[str]]:
    """Serve metrics, each text at a URL of its own."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=texts[int(request.match_info["number"])])

    application = web.Application()
    application.add_routes([web.get("/{number}", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield [f"http://127.0.0.1:{runner.addresses[0][1]}/{number}" for number in range(len(texts))]
    finally:
        await runner.cleanup()


def metrics(memory: int, cpu: float, slow: int = 0) -> str:
    return (
        f"process_resident_memory_bytes {memory}\nprocess_cpu_seconds_total {cpu}\n"
        f"tidewire_edge_slow_consumers_total {slow}\n"
    )


async def test_all_together() -> None:
    async with saying(metrics(1000, 1.5, 2), metrics(500, 0.5)) as urls:
        services = Services(urls)
        found = await services.sample()
    assert found is not None
    assert (found.memory_bytes, found.cpu_s, found.slow_consumers) == (1500, 2.0, 2)
    assert services.known
    assert services.problems == {}


async def test_one_that_is_away_is_named() -> None:
    with unused_target() as target:
        async with saying(metrics(1000, 1.5)) as urls:
            services = Services([*urls, f"http://{target}/metrics"])
            assert await services.sample() is None
    assert services.problems == {f"http://{target}/metrics": "cannot be reached"}


async def test_one_without_memory_is_named() -> None:
    async with saying("up 1\n") as urls:
        services = Services(urls)
        assert await services.sample() is None
    assert "process_resident_memory_bytes" in services.problems[urls[0]]


async def test_nobody_is_asked() -> None:
    services = Services([])
    assert await services.sample() is None
    assert not services.known
    await services.watch(1.0, lambda _: None)


async def test_samples_come_again_and_again() -> None:
    found: list[Sample] = []
    three = asyncio.Event()

    def take(sample: Sample) -> None:
        found.append(sample)
        if len(found) == 3:
            three.set()

    async with saying(metrics(1000, 1.5)) as urls:
        watching = asyncio.create_task(Services(urls).watch(0.01, take))
        async with asyncio.timeout(30):
            await three.wait()
        watching.cancel()
        await asyncio.wait({watching})
    assert [sample.at_s for sample in found] == sorted({sample.at_s for sample in found})

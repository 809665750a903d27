"""Keys with bounds, on real services: bounds hold exactly over processes, crashes and faults; looks cost nothing."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from tidewire.auth.v1 import auth_pb2, keys_pb2

from tests.support.auth_client import AuthClient, assert_verdict, code_name, refused
from tests.support.http_client import http
from tests.support.processes import ServiceProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

TOKEN = f"canary-token-{secrets.token_hex(16)}"
HOUR = Duration(seconds=3600)
BOUND = 50
TRIES = 200
BOUNDS = [
    {"max_uses": BOUND},
    {"verification_rate": keys_pb2.VerificationRate(verifications=BOUND, period=HOUR)},
]
HEALS_WITHIN_S = 30.0
# Between the clock of services and that of tests.
CLOCKS_S = 0.05

Start = Callable[..., ServiceProcess]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a service; each ends in order at the end, and the service token is not in its log."""
    started: list[ServiceProcess] = []

    def run(store_url: str | None = None, **flags: object) -> ServiceProcess:
        folder = tmp_path_factory.mktemp("auth")
        variables = {
            "TIDEWIRE_MODE": "production",
            "TIDEWIRE_SERVICE_TOKEN": TOKEN,
            "TIDEWIRE_AUTH_PEPPER": "1:" + "p" * 40,
            **({"TIDEWIRE_AUTH_STORE_URL": store_url} if store_url else {}),
        }
        named = {name.replace("_", "-"): value for name, value in flags.items()}
        named = {
            "data-dir": folder / "data",
            "watch-checkpoint-s": 0.1,
            "store-timeout-s": 2,
            "metrics-port": 0,
            **named,
        }
        process = ServiceProcess("auth_service", folder, named, variables)
        started.append(process)
        process.start()
        return process

    yield run
    for process in started:
        if process.running:
            assert process.stop() == 0, process.log()[-2000:]
        for canary in (TOKEN, "Traceback", "tw_live_"):
            assert canary not in process.log()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis whose every confirmed change is on the disk."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def on_redis(redis: RedisServer, start: Start) -> list[ServiceProcess]:
    """Two services on one Redis."""
    return [start(redis.url), start(redis.url)]


@pytest.fixture(scope="module")
def on_file(start: Start) -> list[ServiceProcess]:
    """One service on a file."""
    return [start()]


@pytest.fixture(params=["on_file", "on_redis"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[list[AuthClient]]:
    """A client of each service on one store."""
    async with clients_of(request.getfixturevalue(request.param)) as made:
        yield made


@asynccontextmanager
async def clients_of(processes: list[ServiceProcess]) -> AsyncIterator[list[AuthClient]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(AuthClient(process.address, f"Bearer {TOKEN}")) for process in processes]


async def introspect(client: AuthClient, api_key: str, **use: str) -> Any:
    return (await client.call("IntrospectKey", auth_pb2.IntrospectKeyRequest(api_key=api_key, **use))).verdict


def rate(verifications: int, seconds: int = 3600) -> keys_pb2.VerificationRate:
    return keys_pb2.VerificationRate(verifications=verifications, period=Duration(seconds=seconds))


# What is charged, and what is told.


async def test_uses_are_told_down_to_the_last_and_then_refused(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(max_uses=3, owner="team")
    for left in (2, 1, 0):
        verdict = await clients[left % len(clients)].verify(text)
        assert_verdict(verdict, "VALID", key_id=key.key_id, owner="team", remaining_uses=left)
        assert verdict.cache_ttl.ToMilliseconds() == 0
    for client in clients:
        verdict = await client.verify(text)
        assert_verdict(verdict, "USAGE_EXCEEDED", key_id=key.key_id, owner="", missing="")
        assert not verdict.HasField("remaining_uses")
        assert (list(verdict.permissions), verdict.cache_ttl.ToMilliseconds()) == ([], 0)


async def test_a_rate_says_when_to_come_again_and_keeps_its_word(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(verification_rate=rate(2, seconds=1))
    denied, asked_s = None, 0.0
    while denied is None:
        asked_s = time.monotonic()
        for client in clients:
            verdict = await client.verify(text)
            assert not verdict.HasField("remaining_uses")
            if code_name(verdict.code) != "VALID":
                denied = verdict
    assert_verdict(denied, "RATE_LIMITED", key_id=key.key_id, owner="")
    assert 0 < denied.retry_after.ToMilliseconds() <= 500

    async def let_in() -> bool:
        return code_name((await clients[-1].verify(text)).code) == "VALID"

    await eventually(let_in)
    assert time.monotonic() - asked_s > denied.retry_after.ToMilliseconds() / 1000 - CLOCKS_S


async def test_looks_and_checks_cost_nothing(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(max_uses=1, verification_rate=rate(1))
    for client in clients * 3:
        assert_verdict(await introspect(client, text), "VALID", remaining_uses=0, key_id=key.key_id)
        assert_verdict(await client.check(key.key_id, "join", "chat"), "VALID")
    assert_verdict(await clients[0].verify(text), "VALID", remaining_uses=0)
    for client in clients:
        assert_verdict(await introspect(client, text), "RATE_LIMITED", key_id=key.key_id)
        assert_verdict(await client.check(key.key_id, "join", "chat"), "VALID")


async def test_what_is_denied_for_another_reason_costs_nothing(clients: list[AuthClient]) -> None:
    _, text = await clients[0].create(["join:chat"], max_uses=1, allowed_domains=["d"])
    for client in clients:
        assert_verdict(await client.verify(text, domain="other"), "FORBIDDEN")
        assert_verdict(await client.verify(text, action="join", channel="x"), "INSUFFICIENT_PERMISSIONS")
    assert_verdict(await clients[0].verify(text, action="join", channel="chat"), "VALID", remaining_uses=0)


async def test_a_batch_is_charged_in_its_order(clients: list[AuthClient]) -> None:
    bounded, text = await clients[0].create(max_uses=2)
    _, free = await clients[0].create()
    verdicts = await clients[-1].verify_many(*[{"api_key": one} for one in (text, free, text, "no key", text)])
    codes = [code_name(verdict.code) for verdict in verdicts]
    assert codes == ["VALID", "VALID", "VALID", "NOT_FOUND", "USAGE_EXCEEDED"]
    assert [verdicts[0].remaining_uses, verdicts[2].remaining_uses] == [1, 0]
    assert verdicts[1].cache_ttl.ToMilliseconds() > 0
    assert verdicts[4].key_id == bounded.key_id


# Exactness.


@pytest.mark.parametrize("bounds", BOUNDS, ids=["uses", "rate"])
async def test_of_many_at_once_exactly_as_many_as_allowed_are_good(
    clients: list[AuthClient], bounds: dict[str, Any]
) -> None:
    _, text = await clients[0].create(**bounds)
    verdicts = await asyncio.gather(*[clients[turn % len(clients)].verify(text) for turn in range(TRIES)])
    counts = Counter(code_name(verdict.code) for verdict in verdicts)
    denial = "USAGE_EXCEEDED" if "max_uses" in bounds else "RATE_LIMITED"
    assert counts == {"VALID": BOUND, denial: TRIES - BOUND}
    if "max_uses" in bounds:
        left = sorted(verdict.remaining_uses for verdict in verdicts if verdict.HasField("remaining_uses"))
        assert left == list(range(BOUND))


@pytest.mark.parametrize("bounds", BOUNDS, ids=["uses", "rate"])
async def test_of_many_batches_at_once_exactly_as_many_as_allowed_are_good(
    clients: list[AuthClient], bounds: dict[str, Any]
) -> None:
    _, text = await clients[0].create(**bounds)
    batches = await asyncio.gather(
        *[clients[turn % len(clients)].verify_many(*[{"api_key": text}] * 10) for turn in range(TRIES // 10)]
    )
    counts = Counter(code_name(verdict.code) for verdicts in batches for verdict in verdicts)
    assert (counts["VALID"], sum(counts.values())) == (BOUND, TRIES)


@pytest.mark.parametrize("on_shared_redis", [False, True], ids=["file", "redis"])
async def test_what_was_answered_is_charged_though_the_service_is_killed(
    start: Start, redis: RedisServer, on_shared_redis: bool
) -> None:
    process = start(redis.url if on_shared_redis else None)
    async with clients_of([process]) as (client,):
        _, text = await client.create(max_uses=1000)
        answers = [asyncio.ensure_future(client.verify(text)) for _ in range(100)]
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        process.kill9()
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
    good = [verdict for verdict in outcomes if not isinstance(verdict, BaseException)]
    assert good
    process.start()
    async with clients_of([process]) as (client,):
        left = (await introspect(client, text)).remaining_uses
        # A call that was killed may have been charged; one that was answered has been.
        assert 1000 - len(outcomes) <= left + 1 <= 1000 - len(good)


async def test_a_store_that_is_away_is_a_fault_and_neither_good_nor_denied(
    redis: RedisServer, on_redis: list[ServiceProcess]
) -> None:
    async with clients_of(on_redis) as clients:
        _, text = await clients[0].create(max_uses=1)
        _, free = await clients[0].create()
        for client in clients:
            assert_verdict(await introspect(client, text), "VALID", remaining_uses=0)
            assert_verdict(await client.verify(free), "VALID")
        redis.kill9()
        try:
            for client in clients:
                with refused("STORE_UNAVAILABLE"):
                    await client.verify(text)
                with refused("STORE_UNAVAILABLE"):
                    await introspect(client, text)
                with refused("STORE_UNAVAILABLE"):
                    await client.verify_many({"api_key": free}, {"api_key": text})
        finally:
            redis.start()

        async def heals() -> bool:
            try:
                return code_name((await clients[0].verify(text)).code) == "VALID"
            except Exception:
                return False

        await eventually(heals, HEALS_WITHIN_S)
        assert_verdict(await clients[1].verify(text), "USAGE_EXCEEDED")


# Attempts that fail.


def wrong(text: str) -> str:
    """Return what begins like a key and is none."""
    return text[:-1] + ("a" if text[-1] != "a" else "b")


async def test_who_fails_too_often_waits_and_nobody_else_does(clients: list[AuthClient]) -> None:
    client = clients[0]
    _, text = await client.create()
    here = {"client_address": f"2001:db8:{secrets.randbelow(65536):x}:1::1"}
    for _ in range(10):
        assert_verdict(await client.verify(wrong(text), **here), "NOT_FOUND")
    same_network = {"client_address": here["client_address"].replace("::1", "::2")}
    for where in (here, same_network):
        answers = [
            await client.verify(text, **where),
            await client.verify(wrong(text), **where),
            await introspect(client, text, **where),
            *await client.verify_many({"api_key": text, **where}),
        ]
        for verdict in answers:
            assert_verdict(verdict, "RATE_LIMITED", key_id="", owner="", missing="")
            assert 0 < verdict.retry_after.ToMilliseconds() <= 6000
            assert verdict.cache_ttl.ToMilliseconds() == 0
    for elsewhere in ({"client_address": "192.0.2.77"}, {}):
        assert_verdict(await client.verify(text, **elsewhere), "VALID")


async def test_a_holder_who_was_good_at_an_address_is_never_locked_out_there(clients: list[AuthClient]) -> None:
    client = clients[0]
    _, text = await client.create()
    here = {"client_address": f"2001:db8:{secrets.randbelow(65536):x}:2::1"}
    assert_verdict(await client.verify(text, **here), "VALID")
    for _ in range(11):
        last = await client.verify(wrong(text), **here)
    assert_verdict(last, "RATE_LIMITED")
    assert_verdict(await client.verify(text, **here), "VALID")


async def test_what_is_no_address_is_named(clients: list[AuthClient]) -> None:
    _, text = await clients[0].create(max_uses=1)
    with refused("INVALID_FIELD", field="client_address"):
        await clients[0].verify(text, client_address="somewhere")
    with refused("INVALID_FIELD", field="client_address"):
        await introspect(clients[0], text, client_address="1.2.3.4:80")
    with refused("INVALID_FIELD", field="requests[1].client_address"):
        await clients[0].verify_many({"api_key": text}, {"api_key": text, "client_address": "x"})
    assert_verdict(await clients[0].verify(text), "VALID")


async def test_throttling_is_counted_and_can_be_switched_off(start: Start) -> None:
    process = start(failed_attempts_per_minute=0, failed_attempts_per_minute_of_address=3)
    async with clients_of([process]) as (client,):
        for number in range(5):
            await client.verify(f"{number} is no key", client_address="192.0.2.1")
    facts = process.log()
    port = re.search(r'"?metrics_port"?[=:] ?(\d+)', facts)
    assert port, facts
    body = http("GET", f"http://127.0.0.1:{port[1]}/metrics").body.decode()
    assert re.search(r"^tidewire_auth_throttled_attempts_total 2.0$", body, re.MULTILINE)
    assert re.search(r"^tidewire_auth_throttle_entries 1.0$", body, re.MULTILINE)

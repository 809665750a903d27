"""The auth service as a real process: every call, every verdict, every refusal, and what survives a crash."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from tidewire.auth.v1 import admin_pb2, auth_pb2, keys_pb2

from auth_service.core.key_format import KeyText, parse
from tests.support.auth_client import (
    ADMIN_METHODS,
    AUTH_METHODS,
    REASONS,
    AuthClient,
    Observed,
    assert_verdict,
    code_name,
    refused,
    state_name,
)
from tests.support.key_admin import ACTS_WITHIN_S
from tests.support.processes import ROOT, ServiceProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

METHODS = (*AUTH_METHODS, *ADMIN_METHODS)
TOKEN = f"canary-token-{secrets.token_hex(16)}"
UNKNOWN_KEY = "tw_live_0000000000000000_000000000000000000000000000000000TDdRS"


class Running:
    """A service process, and everything that must not be in its log."""

    def __init__(self, folder: Path, flags: dict[str, object], variables: dict[str, str]) -> None:
        self.data_dir = folder / "data"
        self.canaries = {TOKEN}
        self.process = ServiceProcess(
            "auth_service",
            folder,
            {"data-dir": self.data_dir, **flags},
            {"TIDEWIRE_MODE": "development", "TIDEWIRE_SERVICE_TOKEN": TOKEN, **variables},
        )

    def client(self, credential: str | None = f"Bearer {TOKEN}") -> AuthClient:
        return AuthClient(self.process.address, credential, self.canaries.add)

    def assert_no_canary_in_log(self) -> None:
        log = self.process.log()
        assert "ready" in log
        for canary in self.canaries:
            assert canary not in log
            assert canary.rpartition("_")[2] not in log, "the secret part of a key"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start a service; each ends in order at the end, and no key is in its log then."""
    started: list[Running] = []

    def run(flags: dict[str, object] | None = None, *, launch: bool = True, **variables: str) -> Running:
        running = Running(tmp_path_factory.mktemp("auth"), flags or {}, variables)
        started.append(running)
        if launch:
            running.process.start()
        return running

    yield run
    for running in started:
        if running.process.running:
            assert running.process.stop() == 0, running.process.log()[-2000:]
        if "ready" in running.process.log():
            running.assert_no_canary_in_log()


@pytest.fixture(scope="module")
def service(start: Callable[..., Running]) -> Running:
    """A service with the usual settings, that no test stops."""
    return start({"watch-checkpoint-s": 0.1})


@pytest.fixture(scope="module")
def bounded(start: Callable[..., Running]) -> Running:
    """A service whose bounds are soon reached."""
    return start(
        {
            "watch-checkpoint-s": 0.1,
            "watch-queue-size": 5,
            "max-watchers": 3,
            "change-log-size": 12,
            "store-timeout-s": 1,
        }
    )


@pytest.fixture
async def client(service: Running) -> AsyncIterator[AuthClient]:
    async with service.client() as made:
        yield made


def wrong_secret(api_key: str, other: str) -> str:
    """Return a well-formed key with the id of one and the secret of another."""
    return KeyText(parse(api_key).environment, parse(api_key).key_id, parse(other).secret).text


# Verdicts.


async def test_a_good_key_with_everything_that_is_known_of_it(client: AuthClient) -> None:
    limits = keys_pb2.KeyLimits(frames_per_second=7, max_channels=3)
    key, text = await client.create(["join:chat-*", "admin:*"], owner="team", limits=limits, expires_in_s=3600)
    verdict = await client.verify(text)
    assert_verdict(verdict, "VALID", key_id=key.key_id, owner="team", limits=limits, missing="")
    assert list(verdict.permissions) == ["join:chat-*", "admin:*"]
    assert verdict.expire_time == key.expire_time
    assert verdict.revision >= key.revision
    assert 0 < verdict.cache_ttl.ToMilliseconds() <= 30_000


async def test_a_verdict_may_not_be_used_longer_than_its_key(client: AuthClient) -> None:
    key, text = await client.create(expires_in_s=5)
    assert 0 < (await client.verify(text)).cache_ttl.ToMilliseconds() <= 5000
    # So that its expiry is told to no watch of a later test.
    await client.call("DeleteKey", admin_pb2.DeleteKeyRequest(key_id=key.key_id))


async def test_unknown_malformed_and_wrong_secret_cannot_be_told_apart(client: AuthClient) -> None:
    _, text = await client.create()
    _, other = await client.create()
    texts = [
        UNKNOWN_KEY,
        wrong_secret(text, other),
        "",
        "x",
        text[:-1],
        text + "x",
        "tw_live_x",
        "\u00fc" * 500,
        text.upper(),
    ]
    verdicts = [await client.verify(each) for each in texts]
    for verdict in verdicts:
        assert_verdict(verdict, "NOT_FOUND", key_id="", owner="", missing="")
        assert not verdict.HasField("expire_time")
        # The store's revision goes on with every change of any key: it says nothing of this one.
        verdict.ClearField("revision")
    assert len({verdict.SerializeToString() for verdict in verdicts}) == 1


@pytest.mark.parametrize("code", ["DISABLED", "REVOKED", "EXPIRED"])
async def test_keys_that_are_no_longer_good_show_nothing_of_what_they_permit(client: AuthClient, code: str) -> None:
    key, text = await client.create(owner="team", expires_in_s=0.5 if code == "EXPIRED" else None)
    if code == "DISABLED":
        await client.disable(key.key_id)
    elif code == "REVOKED":
        await client.revoke(key.key_id)
    else:

        async def expired() -> bool:
            return code_name((await client.verify(text)).code) == code

        await eventually(expired)
    for verdict in (
        await client.verify(text),
        (await client.verify_many({"api_key": text}))[0],
        await client.check(key.key_id, "join", "chat"),
    ):
        assert_verdict(verdict, code, key_id=key.key_id, owner="", missing="")
        assert list(verdict.permissions) == []


@pytest.mark.parametrize(
    ("use", "missing"),
    [({"domain": "d2", "workspace": "w1"}, "domain d2"), ({"domain": "d1", "workspace": "w2"}, "workspace w2")],
)
async def test_a_key_in_a_place_where_it_may_not_be_used(client: AuthClient, use: dict[str, str], missing: str) -> None:
    key, text = await client.create(allowed_domains=["d1"], allowed_workspaces=["w1"])
    assert_verdict(await client.verify(text, domain="d1", workspace="w1"), "VALID")
    assert_verdict(await client.verify(text), "VALID")
    assert_verdict(await client.verify(text, **use), "FORBIDDEN", owner="tests", missing=missing)
    assert_verdict(await client.check(key.key_id, "join", "chat", **use), "FORBIDDEN", missing=missing)


@pytest.mark.parametrize(
    ("permission", "action", "channel", "allowed"),
    [
        ("join:chat-*", "join", "chat-1", True),
        ("join:chat-*", "join", "tasks", False),
        ("join:chat-*", "publish", "chat-1", False),
        ("*:chat", "history", "chat", True),
        ("broadcast:*", "broadcast", "", True),
        ("admin:*", "admin", "", True),
        ("direct:bob", "direct", "bob", True),
        ("direct:bob", "direct", "carol", False),
        ("threads:*", "threads", "any/thing", True),
        ("presence:a*b", "presence", "ab", True),
    ],
)
async def test_permissions(client: AuthClient, permission: str, action: str, channel: str, allowed: bool) -> None:
    key, text = await client.create([permission])
    code = "VALID" if allowed else "INSUFFICIENT_PERMISSIONS"
    missing = "" if allowed else f"{action}:{channel}"
    assert_verdict(await client.verify(text, action=action, channel=channel), code, missing=missing)
    assert_verdict(await client.check(key.key_id, action, channel), code, missing=missing, key_id=key.key_id)


async def test_a_permission_of_a_key_that_is_not_there(client: AuthClient) -> None:
    assert_verdict(await client.check("unknown", "join", "chat"), "NOT_FOUND")


async def test_many_at_once_come_in_the_order_that_was_asked(client: AuthClient) -> None:
    _, good = await client.create(["join:chat"])
    bad, revoked = await client.create()
    await client.revoke(bad.key_id)
    verdicts = await client.verify_many(
        {"api_key": good, "action": "join", "channel": "chat"},
        {"api_key": UNKNOWN_KEY},
        {"api_key": good, "action": "join", "channel": "tasks"},
        {"api_key": revoked},
    )
    codes = [code_name(verdict.code) for verdict in verdicts]
    assert codes == ["VALID", "NOT_FOUND", "INSUFFICIENT_PERMISSIONS", "REVOKED"]
    assert await client.verify_many() == []
    assert len(await client.verify_many(*[{"api_key": good}] * 256)) == 256


async def test_a_key_with_bounds(client: AuthClient) -> None:
    rate = keys_pb2.VerificationRate(verifications=1, period=Duration(seconds=3600))
    bounded, text = await client.create(max_uses=1)
    assert_verdict(await client.verify(text), "VALID", remaining_uses=0)
    assert_verdict(await client.verify(text), "USAGE_EXCEEDED", key_id=bounded.key_id, owner="")
    rated, text = await client.create(verification_rate=rate)
    assert_verdict(await client.verify(text), "VALID")
    assert_verdict(await client.verify(text), "RATE_LIMITED", key_id=rated.key_id, owner="")


async def test_development_keys(client: AuthClient) -> None:
    for name in ("development", "valid-test-key"):
        assert_verdict(await client.verify(name, action="broadcast"), "VALID", owner="development")
    assert_verdict(await client.verify("expired-test-key"), "EXPIRED")
    assert_verdict(await client.verify("another-test-key"), "NOT_FOUND")


async def test_a_change_acts_on_the_very_next_verdict(client: AuthClient) -> None:
    key, text = await client.create()
    for _ in range(10):
        await client.disable(key.key_id)
        assert_verdict(await client.verify(text), "DISABLED")
        await client.enable(key.key_id)
        assert_verdict(await client.verify(text), "VALID")
    await client.revoke(key.key_id)
    assert_verdict(await client.verify(text), "REVOKED")


# Administration.


async def test_a_new_key_is_shown_once_and_as_it_was_asked_for(client: AuthClient) -> None:
    limits = keys_pb2.KeyLimits(bytes_per_second=2**53 - 1, key_frames_per_second=9)
    key, text = await client.create(
        ["join:a", "join:a", "publish:b"],
        owner="team",
        name="back end",
        allowed_domains=["d", "d"],
        allowed_workspaces=["w"],
        limits=limits,
        environment="test",
    )
    assert text.startswith(f"tw_test_{key.key_id}_")
    assert text.startswith(key.prefix)
    assert (key.owner, key.name, key.environment, key.limits) == ("team", "back end", "test", limits)
    assert list(key.permissions) == ["join:a", "publish:b"]
    assert (list(key.allowed_domains), list(key.allowed_workspaces)) == (["d"], ["w"])
    assert (state_name(key.state), key.HasField("expire_time"), key.revision > 0) == ("ACTIVE", False, True)
    found = await client.get(key.key_id)
    assert found == key
    assert text.rpartition("_")[2] not in str(found)


async def test_states(client: AuthClient) -> None:
    key, _ = await client.create()
    disabled = await client.disable(key.key_id, "lost laptop")
    assert (state_name(disabled.state), disabled.state_reason) == ("DISABLED", "lost laptop")
    assert disabled.revision > key.revision
    assert await client.disable(key.key_id, "again") == disabled
    enabled = await client.enable(key.key_id)
    assert (state_name(enabled.state), enabled.state_reason) == ("ACTIVE", "")
    assert await client.enable(key.key_id) == enabled
    revoked = await client.revoke(key.key_id, "leaked")
    assert (state_name(revoked.state), revoked.state_reason) == ("REVOKED", "leaked")
    assert await client.revoke(key.key_id, "again") == revoked
    assert await client.get(key.key_id) == revoked
    with refused("KEY_REVOKED"):
        await client.enable(key.key_id)
    with refused("KEY_REVOKED"):
        await client.disable(key.key_id)


async def test_lists(client: AuthClient) -> None:
    owner = f"owner-{secrets.token_hex(4)}"
    made = [(await client.create(owner=owner))[0] for _ in range(5)]
    await client.create(owner="somebody else")
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await client.list_page(2, token, owner)
        found += page.keys
        token = page.next_page_token
        pages += 1
    assert (found, pages) == (made, 3)
    everyone = await client.list_page(1000)
    assert [key for key in everyone.keys if key.owner == owner] == made
    assert everyone.next_page_token == ""


@pytest.mark.parametrize("method", ["GetKey", "RevokeKey", "DisableKey", "EnableKey"])
async def test_a_key_that_is_not_there(client: AuthClient, method: str) -> None:
    with refused("KEY_NOT_FOUND"):
        await client.call(method, getattr(admin_pb2, f"{method}Request")(key_id="unknown"))


# Refusals.


def a_request(**fields: Any) -> Any:
    return admin_pb2.CreateKeyRequest(**{"owner": "tests", "permissions": ["*:*"], **fields})


def past() -> Any:
    request = a_request()
    request.expire_time.seconds = 1
    return request


def nonsense_time() -> Any:
    request = a_request()
    request.expire_time.nanos = -1
    return request


CREATE = [
    ("owner", a_request(owner="")),
    ("owner", a_request(owner="x" * 129)),
    ("owner", a_request(owner="a\nb")),
    ("name", a_request(name="x" * 129)),
    ("permissions", a_request(permissions=[])),
    ("permissions", a_request(permissions=["join:a"] * 101)),
    ("permissions[1]", a_request(permissions=["join:a", "fly:a"])),
    ("permissions[0]", a_request(permissions=["join"])),
    ("permissions[0]", a_request(permissions=["join:" + "x" * 129])),
    ("allowed_domains", a_request(allowed_domains=["d"] * 101)),
    ("allowed_domains[0]", a_request(allowed_domains=["a b"])),
    ("allowed_workspaces[1]", a_request(allowed_workspaces=["w", ""])),
    ("limits.bytes_per_second", a_request(limits=keys_pb2.KeyLimits(bytes_per_second=2**53))),
    ("environment", a_request(environment="staging")),
    ("expire_time", past()),
    ("expire_time", nonsense_time()),
]
VERIFY: list[tuple[str, Any]] = [
    ("domain", auth_pb2.VerifyKeyRequest(domain="a b")),
    ("workspace", auth_pb2.VerifyKeyRequest(workspace="x" * 65)),
    ("action", auth_pb2.VerifyKeyRequest(action="fly", channel="a")),
    ("channel", auth_pb2.VerifyKeyRequest(action="join")),
    ("channel", auth_pb2.VerifyKeyRequest(action="join", channel="a b")),
]
OTHERS: list[tuple[str, str, Any]] = [
    ("GetKey", "key_id", admin_pb2.GetKeyRequest(key_id="")),
    ("GetKey", "key_id", admin_pb2.GetKeyRequest(key_id=UNKNOWN_KEY)),
    ("RevokeKey", "key_id", admin_pb2.RevokeKeyRequest(key_id="a-b")),
    ("RevokeKey", "reason", admin_pb2.RevokeKeyRequest(key_id="a", reason="x" * 257)),
    ("DisableKey", "reason", admin_pb2.DisableKeyRequest(key_id="a", reason="\x00")),
    ("EnableKey", "key_id", admin_pb2.EnableKeyRequest(key_id="x" * 65)),
    ("ListKeys", "page_size", admin_pb2.ListKeysRequest(page_size=-1)),
    ("ListKeys", "page_size", admin_pb2.ListKeysRequest(page_size=1001)),
    ("ListKeys", "page_token", admin_pb2.ListKeysRequest(page_token="x")),
    ("ListKeys", "page_token", admin_pb2.ListKeysRequest(page_token="9" * 19)),
    ("ListKeys", "owner", admin_pb2.ListKeysRequest(owner="x" * 129)),
    ("CheckPermission", "key_id", auth_pb2.CheckPermissionRequest(action="join", channel="a")),
    ("CheckPermission", "action", auth_pb2.CheckPermissionRequest(key_id="a", action="everything")),
    ("CheckPermission", "channel", auth_pb2.CheckPermissionRequest(key_id="a", action="join")),
    ("WatchKeys", "from_revision", auth_pb2.WatchKeysRequest(from_revision=-1)),
]


@pytest.mark.parametrize(
    ("method", "field", "request_"),
    [
        *[("CreateKey", field, request) for field, request in CREATE],
        *[("VerifyKey", field, request) for field, request in VERIFY],
        *OTHERS,
    ],
)
async def test_every_field_has_bounds(client: AuthClient, method: str, field: str, request_: Any) -> None:
    with refused("INVALID_FIELD", field=field):
        await client.call(method, request_)


@pytest.mark.parametrize(("field", "request_"), VERIFY)
async def test_a_bad_field_in_a_batch_is_named_with_its_place(client: AuthClient, field: str, request_: Any) -> None:
    good = auth_pb2.VerifyKeyRequest(api_key="x")
    with refused("INVALID_FIELD", field=f"requests[1].{field}"):
        await client.call("VerifyKeys", auth_pb2.VerifyKeysRequest(requests=[good, request_]))


async def test_a_change_of_a_key_that_is_another_one_by_now(client: AuthClient) -> None:
    key, _ = await client.create()
    await client.disable(key.key_id)
    request = admin_pb2.UpdateKeyRequest(key=keys_pb2.Key(key_id=key.key_id, name="new", etag=key.etag))
    request.update_mask.paths.append("name")
    with refused("ETAG_MISMATCH"):
        await client.call("UpdateKey", request)
    with refused("KEY_NOT_ACTIVE"):
        await client.call("RotateKey", admin_pb2.RotateKeyRequest(key_id=key.key_id, grace=Duration(seconds=1)))


async def test_a_batch_that_is_too_large(client: AuthClient) -> None:
    with refused("LIMIT_EXCEEDED"):
        await client.verify_many(*[{"api_key": "x"}] * 257)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "credential",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {UNKNOWN_KEY}",
        "Bearer expired-test-key",
    ],
    ids=["none", "empty", "no-token", "wrong", "basic", "bare", "longer", "unknown-key", "expired-key"],
)
async def test_no_method_without_a_credential(service: Running, method: str, credential: str | None) -> None:
    async with service.client(credential) as client:
        with refused("CALLER_UNKNOWN"):
            await client.call(method)


@pytest.mark.parametrize("method", METHODS)
async def test_no_method_for_a_key_that_is_no_administrator(service: Running, client: AuthClient, method: str) -> None:
    everything_but = [f"{action}:*" for action in ("join", "publish", "history", "presence", "broadcast", "threads")]
    for fields in (
        {"permissions": everything_but},
        {"permissions": ["admin:chat"]},
        {"permissions": ["*:*"], "allowed_domains": ["d"]},
        {"permissions": ["*:*"], "allowed_workspaces": ["w"]},
    ):
        _, text = await client.create(**fields)
        async with service.client(f"Bearer {text}") as caller:
            with refused("CALLER_NOT_ALLOWED"):
                await caller.call(method)


async def test_every_method_for_an_administrators_key(service: Running, client: AuthClient) -> None:
    key, text = await client.create(["admin:*"])
    async with service.client(f"Bearer {text}") as caller:
        assert_verdict(await caller.verify(text), "VALID")
        assert_verdict((await caller.verify_many({"api_key": text}))[0], "VALID")
        assert_verdict(await caller.check(key.key_id, "admin"), "VALID")
        made, _ = await caller.create()
        assert (await caller.list_page()).keys
        for change in (caller.get, caller.disable, caller.enable, caller.revoke):
            assert (await change(made.key_id)).key_id == made.key_id
        async with caller.watch() as watch:
            assert watch.first.checkpoint.revision > 0
        await client.revoke(key.key_id)
        with refused("CALLER_UNKNOWN"):
            await caller.get(made.key_id)


# The watch.


async def test_a_watch_begins_with_a_checkpoint_and_goes_on_with_them(client: AuthClient) -> None:
    revision = await client.revision()
    async with client.watch(revision) as watch:
        assert watch.first.checkpoint.revision == revision
        assert [await watch.checkpoint() for _ in range(4)] == [revision] * 4


async def test_every_change_is_told_with_what_it_means(client: AuthClient) -> None:
    async with client.watch(await client.revision()) as watch:
        key, _ = await client.create()
        short, _ = await client.create(expires_in_s=2)
        await client.disable(key.key_id)
        await client.enable(key.key_id)
        await client.disable(key.key_id)
        await client.revoke(key.key_id)
        assert await watch.changes(7) == [
            (key.key_id, "VALID"),
            (short.key_id, "VALID"),
            (key.key_id, "DISABLED"),
            (key.key_id, "VALID"),
            (key.key_id, "DISABLED"),
            (key.key_id, "REVOKED"),
            (short.key_id, "EXPIRED"),
        ]


async def test_a_revocation_is_told_at_once(client: AuthClient) -> None:
    key, _ = await client.create()
    async with client.watch(key.revision) as watch:
        started_s = time.monotonic()
        await client.revoke(key.key_id)
        assert await watch.changes(1) == [(key.key_id, "REVOKED")]
        assert time.monotonic() - started_s < ACTS_WITHIN_S


async def test_a_watcher_that_comes_back_is_told_what_it_missed(client: AuthClient) -> None:
    key, _ = await client.create()
    await client.disable(key.key_id)
    await client.enable(key.key_id)
    last = (await client.revoke(key.key_id)).revision
    async with client.watch(key.revision) as watch:
        assert [code for _, code in await watch.changes(3)] == ["DISABLED", "VALID", "REVOKED"]
        while await watch.checkpoint() < last:
            pass
        other, _ = await client.create()
        assert await watch.changes(1) == [(other.key_id, "VALID")]


async def test_all_watchers_are_told_the_same(client: AuthClient) -> None:
    async with contextlib.AsyncExitStack() as stack:
        revision = await client.revision()
        watches = [await stack.enter_async_context(client.watch(revision)) for _ in range(10)]
        keys = [(await client.create())[0] for _ in range(20)]
        expected = [(key.key_id, "VALID") for key in keys]
        assert [await watch.changes(20) for watch in watches] == [expected] * 10


async def test_a_revision_that_is_gone_or_was_never_given_needs_a_resync(bounded: Running) -> None:
    async with bounded.client() as client:
        for _ in range(15):
            last = await client.revision()
        for revision in (1, last + 1000):
            async with client.watch(revision) as watch:
                assert 0 < watch.first.checkpoint.revision <= last
                assert str(revision) in await watch.until_resync()


async def test_a_watcher_that_missed_more_than_it_may_needs_a_resync(bounded: Running) -> None:
    async with bounded.client() as client:
        first = (await client.create())[0].revision
        for _ in range(6):
            await client.create()
        async with client.watch(first) as watch:
            assert "more than 5" in await watch.until_resync()


async def test_a_watcher_that_is_too_slow_needs_a_resync(bounded: Running) -> None:
    """Ten keys expire at the same moment: more at once than may wait for one watcher."""
    async with bounded.client() as client:
        request = a_request()
        request.expire_time.FromMilliseconds(int(time.time() * 1000) + 1500)
        for _ in range(10):
            await client.call("CreateKey", request)
        async with client.watch() as watch:
            assert "slow" in await watch.until_resync()
        async with client.watch() as watch:
            assert await watch.checkpoint() > 0


async def test_too_many_watchers_are_refused_and_the_others_go_on(bounded: Running) -> None:
    async with bounded.client() as client, contextlib.AsyncExitStack() as stack:
        revision = await client.revision()
        watches = [await stack.enter_async_context(client.watch(revision)) for _ in range(3)]
        with refused("LIMIT_EXCEEDED"):
            await client.call("WatchKeys")
        key, _ = await client.create()
        assert [await watch.changes(1) for watch in watches] == [[(key.key_id, "VALID")]] * 3
        await stack.aclose()

        async def free_again() -> bool:
            try:
                return (await client.call("WatchKeys")).WhichOneof("event") == "checkpoint"
            except grpc.aio.AioRpcError:
                return False

        await eventually(free_again)


async def test_a_watch_ends_when_its_callers_key_is_revoked(service: Running, client: AuthClient) -> None:
    key, text = await client.create(["admin:*"])
    async with service.client(f"Bearer {text}") as caller, caller.watch() as watch:
        await client.revoke(key.key_id)
        with refused("CALLER_UNKNOWN"):
            while True:
                assert await watch.next() is not None


async def test_changes_of_another_process_are_told_too(bounded: Running) -> None:
    async with bounded.client() as client, client.watch(await client.revision()) as watch:
        bootstrapped = await asyncio.to_thread(run_command, "bootstrap", bounded.data_dir)
        assert bootstrapped.returncode == 0
        key_id = bootstrapped.stdout.split("_")[2]
        assert await watch.changes(1) == [(key_id, "VALID")]
        bounded.canaries.add(bootstrapped.stdout.strip())


# The store.


async def test_a_store_that_does_not_answer_is_a_fault_and_heals(bounded: Running) -> None:
    async with bounded.client() as client:
        key, text = await client.create()
        with contextlib.closing(sqlite3.connect(bounded.data_dir / "auth.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with refused("STORE_UNAVAILABLE"):
                await client.create()
            with refused("STORE_UNAVAILABLE"):
                await client.revoke(key.key_id)
            assert_verdict(await client.verify(text), "VALID")
            other.execute("ROLLBACK")
        assert state_name((await client.revoke(key.key_id)).state) == "REVOKED"
        assert_verdict(await client.verify(text), "REVOKED")


async def test_keys_and_what_became_of_them_survive_kill_9(start: Callable[..., Running]) -> None:
    running = start()
    made: list[tuple[Any, str]] = []
    async with running.client() as client:
        made = [await client.create(owner=f"owner-{number}") for number in range(10)]
        await client.revoke(made[0][0].key_id)
        revision = (await client.disable(made[1][0].key_id, "why")).revision
    running.process.restart_after_kill9()
    async with running.client() as client:
        codes = [code_name((await client.verify(text)).code) for _, text in made]
        assert codes == ["REVOKED", "DISABLED"] + ["VALID"] * 8
        assert (await client.get(made[1][0].key_id)).state_reason == "why"
        for key, _ in made[2:]:
            assert await client.get(key.key_id) == key
        async with client.watch(revision) as watch:
            assert watch.first.checkpoint.revision >= revision
            assert await watch.checkpoint() >= revision
        assert (await client.create())[0].revision > revision


def is_unavailable(error: BaseException | None) -> bool:
    """The call met a service that had just been killed."""
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAVAILABLE


async def test_every_confirmed_key_survives_a_kill_in_the_middle(start: Callable[..., Running]) -> None:
    running = start()
    confirmed: list[str] = []
    async with running.client() as client:

        async def create_for_ever() -> None:
            while True:
                confirmed.append((await client.create())[1])

        creating = [asyncio.create_task(create_for_ever()) for _ in range(8)]

        async def enough() -> bool:
            return len(confirmed) > 200

        await eventually(enough, 30)
        running.process.kill9()
        for task in creating:
            task.cancel()
        await asyncio.wait(creating)
        assert not [task for task in creating if not task.cancelled() and not is_unavailable(task.exception())]
    running.process.start()
    async with running.client() as client:
        verdicts = []
        for begin in range(0, len(confirmed), 256):
            verdicts += await client.verify_many(*[{"api_key": text} for text in confirmed[begin : begin + 256]])
    assert {code_name(verdict.code) for verdict in verdicts} == {"VALID"}
    assert len(verdicts) == len(confirmed)


# Starting, and commands.


def run_command(*arguments: object, mode: str = "development", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m auth_service <command> --data-dir ...` to its end."""
    command, data_dir, *flags = map(str, arguments)
    return subprocess.run(
        [sys.executable, "-m", "auth_service", *filter(None, [command]), "--data-dir", data_dir, *flags],
        env={
            "PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}",
            "TIDEWIRE_MODE": mode,
            "TIDEWIRE_SERVICE_TOKEN": TOKEN,
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_bootstrap_prints_an_admin_key_once(tmp_path: Path) -> None:
    first = run_command("bootstrap", tmp_path / "data", mode="production")
    assert first.returncode == 0, first.stderr
    key = first.stdout.strip()
    assert key.startswith("tw_live_")
    assert len(first.stdout.splitlines()) == 1
    assert key not in first.stderr
    second = run_command("bootstrap", tmp_path / "data", mode="production")
    assert (second.returncode, second.stdout) == (3, "")
    assert "made before" in second.stderr
    assert key not in second.stderr


async def test_the_bootstrapped_key_administers(start: Callable[..., Running]) -> None:
    running = start(launch=False, TIDEWIRE_MODE="production")
    made = await asyncio.to_thread(run_command, "bootstrap", running.data_dir, mode="production")
    key = made.stdout.strip()
    running.canaries.add(key)
    running.process.start()
    async with running.client(f"Bearer {key}") as client:
        _, text = await client.create(["join:*"])
        assert_verdict(await client.verify(text, action="join", channel="chat"), "VALID")
        for name in ("development", "valid-test-key", "expired-test-key"):
            assert_verdict(await client.verify(name), "NOT_FOUND")


def test_production_mode_refuses_a_store_with_development_keys(start: Callable[..., Running]) -> None:
    running = start()
    running.process.stop()
    for command in ("", "bootstrap"):
        refusal = run_command(command, running.data_dir, "--port", "0", mode="production")
        assert refusal.returncode == 1
        assert "holds development keys (dev_development, dev_expired_test_key, dev_valid_test_key)" in refusal.stderr
        assert "remove-development-keys" in refusal.stderr
        assert refusal.stdout == ""
    removed = run_command("remove-development-keys", running.data_dir, mode="production")
    assert (removed.returncode, "3 development keys removed" in removed.stderr) == (0, True)
    again = run_command("remove-development-keys", running.data_dir, mode="production")
    assert "0 development keys removed" in again.stderr
    assert run_command("bootstrap", running.data_dir, mode="production").returncode == 0


@pytest.mark.parametrize("token", [None, "", "short", "development-service-token"])
def test_production_mode_refuses_to_start_without_a_service_token(tmp_path: Path, token: str | None) -> None:
    variables = {} if token is None else {"TIDEWIRE_SERVICE_TOKEN": token}
    refusal = subprocess.run(
        [sys.executable, "-m", "auth_service", "--data-dir", str(tmp_path), "--mode", "production", "--port", "0"],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refusal.returncode == 2
    assert refusal.stderr.startswith("TIDEWIRE_AUTH_SERVICE_TOKEN: service_token must be set in production mode")
    assert list(tmp_path.iterdir()) == []


def test_production_mode_cannot_be_told_to_know_development_keys(tmp_path: Path) -> None:
    refusal = run_command("", tmp_path, "--development-keys", "--port", "0", mode="production")
    assert refusal.returncode == 2
    assert refusal.stderr.startswith("TIDEWIRE_AUTH_DEVELOPMENT_KEYS: ")


def test_a_store_made_with_another_pepper_is_refused(tmp_path: Path) -> None:
    assert run_command("bootstrap", tmp_path).returncode == 0
    refusal = run_command("", tmp_path, "--port", "0", TIDEWIRE_AUTH_PEPPER="x" * 40)
    assert refusal.returncode == 1
    assert "pepper" in refusal.stderr
    assert "x" * 40 not in refusal.stderr


def test_a_port_that_is_taken_is_named(service: Running, tmp_path: Path) -> None:
    refusal = run_command("", tmp_path, "--port", service.process.port)
    assert refusal.returncode == 1
    assert f"auth: cannot listen on 127.0.0.1:{service.process.port}" in refusal.stderr


def test_a_store_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "auth.db").write_bytes(b"no database, " * 1000)
    refusal = run_command("", tmp_path, "--port", "0")
    assert refusal.returncode == 1
    assert f"the key store {tmp_path / 'auth.db'} cannot be opened" in refusal.stderr


async def test_it_ends_in_order_though_somebody_watches(start: Callable[..., Running]) -> None:
    running = start()
    async with running.client() as client, client.watch() as watch:
        started_s = time.monotonic()
        assert await asyncio.to_thread(running.process.stop) == 0
        assert time.monotonic() - started_s < 5.0
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await watch.next() is not None:
                pass


# What the tests above have seen together.


def test_every_verdict_and_every_reason_was_seen() -> None:
    codes = {code_name(number) for number in auth_pb2.VerdictCode.values()}
    assert Observed.verdicts == codes - {"UNSPECIFIED"}
    assert set(REASONS) - {"INTERNAL"} == Observed.reasons


def test_no_key_is_in_any_log(service: Running, bounded: Running) -> None:
    assert len(service.canaries) > 30
    service.assert_no_canary_in_log()
    bounded.assert_no_canary_in_log()

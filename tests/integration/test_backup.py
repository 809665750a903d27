"""Backup and restore as docs/backup.md says: its very commands, against services with traffic."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.doc_shell import Checkout
from tests.support.key_admin import MadeKey
from tests.support.ledger import Place, Publisher, history
from tests.support.protocol_client import Clients, new_name
from tests.support.redis_server import RedisServer
from tests.support.requirements import skip_without
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.integration

TRAFFIC_DEADLINE_S = 60.0
CHANNEL = "kept"
FAST = {"frames-per-second": 0, "bytes-per-second": 0}
# So that all that was published is there to be counted.
ALL = {"retention-messages": 1_000_000}


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()


@dataclass
class Tenant:
    """Somebody with a key and a channel, before the disaster and after it."""

    key: MadeKey
    workspace: str = field(default_factory=lambda: new_name("w"))
    before: dict[str, Place] = field(default_factory=dict)
    after: dict[str, Place] = field(default_factory=dict)

    def publisher(self, gateway: Gateway, count: int) -> Publisher:
        """Return who publishes so many messages to the channel."""
        url = Target.of(gateway).ws_url
        return Publisher(url, new_name("says"), self.key.api_key, self.workspace, CHANNEL, count, window=5)

    async def kept(self, gateway: Gateway) -> list[tuple[Place, str]]:
        """Return the channel's history."""
        url = Target.of(gateway).ws_url
        return await history(url, new_name("reads"), self.key.api_key, self.workspace, CHANNEL)

    @asynccontextmanager
    async def publishing(self, gateway: Gateway) -> AsyncIterator[None]:
        """Publish without a pause; note what was confirmed before what is done meanwhile, and what only after it."""
        publisher = self.publisher(gateway, 200_000)
        task = asyncio.create_task(publisher.run())

        async def more_than(count: int) -> None:
            async def confirmed() -> bool:
                return len(publisher.confirmed) > count

            await eventually(confirmed, TRAFFIC_DEADLINE_S, f"more than {count} messages are confirmed")

        try:
            await more_than(50)
            self.before = dict(publisher.confirmed)
            yield
            meanwhile = set(publisher.confirmed)
            await more_than(len(meanwhile) + 20)
            self.after = {name: place for name, place in publisher.confirmed.items() if name not in meanwhile}
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class Past:
    """What was there when the copy was made, and what was done after it."""

    tenant: Tenant
    made_after: MadeKey
    revoked_after: MadeKey


async def live_through(gateway: Gateway, checkout: Checkout, backup: str, **variables: str) -> Past:
    """Make keys, publish, copy in the middle of it, change more; then everything dies."""
    admin = gateway.key_admin()
    tenant, revoked = Tenant(admin.create()), admin.create()
    async with tenant.publishing(gateway):
        await asyncio.to_thread(checkout.run, backup, **variables)
        made = admin.create()
        admin.revoke(revoked)
    gateway.kill()
    return Past(tenant, made, revoked)


async def check(gateway: Gateway, past: Past, *, remembers_epochs: bool) -> None:
    """What was there before the copy is there again, and nothing pretends that what came after it was there."""
    tenant = past.tenant
    kept = await tenant.kept(gateway)
    offsets = {message_id: place.offset for place, message_id in kept}
    assert {message_id: offsets.get(message_id) for message_id in tenant.before} == {
        message_id: place.offset for message_id, place in tenant.before.items()
    }
    assert list(offsets.values()) == list(range(1, len(kept) + 1))
    known = max(tenant.before.values(), key=lambda place: place.offset)
    lost = max(tenant.after.values(), key=lambda place: place.offset)
    assert lost.offset > len(kept), "the copy has everything: nothing is shown"

    async with Clients(Target(f"http://{gateway.edge.address}", tenant.key.api_key)) as clients:
        assert await recovered(clients, tenant, known) == (remembers_epochs or "epoch_changed")
        assert await recovered(clients, tenant, lost) == "epoch_changed"
        # Now offsets are given out a second time.
        await tenant.publisher(gateway, lost.offset - len(kept) + 1).run()
        assert await recovered(clients, tenant, lost) == "epoch_changed"

        await clients.connected(workspace=tenant.workspace, api_key=past.revoked_after.api_key)
        stranger = await clients.open()
        frame_id = await stranger.send_connect(tenant.workspace, api_key=past.made_after.api_key)
        await stranger.expect_refusal("invalid_key", 403, frame_id=frame_id)


async def recovered(clients: Clients, tenant: Tenant, position: Place) -> bool | str:
    """Return if somebody who had seen so much has missed nothing; else why."""
    client = await clients.connected(workspace=tenant.workspace)
    answer = await client.join(CHANNEL, recover={"epoch": position.epoch, "offset": position.offset})
    return answer["data"]["recovered"] or answer["data"]["reason"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Of the system that is lost, and of the one that comes after it."""
    made = (tmp_path / "live", tmp_path / "again")
    for folder in made:
        folder.mkdir()
    return made


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_sqlite(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    live, again = folders
    checkout = Checkout(tmp_path / "checkout")
    with running(Gateway(live, session=ALL, edge=FAST)) as gateway:
        (checkout.folder / ".tidewire").symlink_to(live / "data")
        past = await live_through(gateway, checkout, "backup-sqlite")
    assert "channels have another epoch" in checkout.run("restore-sqlite")
    where = {"data-dir": checkout.folder / "restored"}
    with running(Gateway(again, auth=where, session={**where, **ALL}, edge=FAST)) as restored:
        await check(restored, past, remembers_epochs=False)
        restored.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_redis(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    live, again = folders
    if shutil.which("redis-cli") is None:
        skip_without("redis-cli")
    checkout = Checkout(tmp_path / "checkout")
    redis = RedisServer(live / "redis")
    try:
        redis.start()
        with running(Gateway(live, redis=redis.url, session=ALL, edge=FAST)) as gateway:
            where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}
            past = await live_through(gateway, checkout, "backup-redis", **where)
    finally:
        redis.stop()

    other = RedisServer(checkout.folder / "restored")
    checkout.run("restore-redis", REDIS_PORT=str(other.port))
    try:
        other.start()
        said = checkout.run("renew-redis", TIDEWIRE_SESSION_ENGINE_URL=other.url)
        assert "channels have another epoch" in said
        # The pepper is the one file that was kept elsewhere.
        pepper = {"data-dir": live / "data"}
        with running(Gateway(again, redis=other.url, auth=pepper, session=ALL, edge=FAST)) as restored:
            await check(restored, past, remembers_epochs=True)
            restored.stop()
    finally:
        other.stop()


def test_without_the_pepper_the_key_store_is_of_no_use_and_nothing_pretends_otherwise(tmp_path: Path) -> None:
    first = Gateway(tmp_path)
    try:
        first.auth.start()
        first.key_admin().create()
        assert first.auth.stop() == 0
        (tmp_path / "data" / "pepper.json").unlink()
        first.auth.launch()
        wait_until(lambda: not first.auth.running, what="the auth service has ended")
        assert first.auth.exit_code == 1
        assert "is not the one that the store's keys were made with" in first.auth.log()
    finally:
        first.kill()


def test_a_store_in_use_is_not_renewed(tmp_path: Path, gateway: Gateway) -> None:
    done = renew(Checkout(tmp_path / "checkout"), gateway.directory / "data")
    assert done.returncode == 1
    assert "another session service uses" in done.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = renew(Checkout(tmp_path / "checkout"), tmp_path / "nothing")
    assert done.returncode == 1
    assert "there is no message store" in done.stderr
    assert not (tmp_path / "nothing").exists()


def renew(checkout: Checkout, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return checkout.attempt(f"python3 -m session_service renew-epochs --data-dir {data_dir}")

"""The disk of the stores is full, or may only be read: what is refused is said, nothing confirmed is lost."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.stress.caller import Caller, Refused
from tests.stress.process_watch import counted, is_ready, reason_of
from tests.support.ledger import history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEY = "valid-test-key"
MIB = 1024 * 1024
DISK_BYTES = 8 * MIB
PAD = "x" * 20_000
RECOVERED_WITHIN_S = 10.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "data", DISK_BYTES) as made:
        yield made


@pytest.fixture
async def gateway(tmp_path: Path, disk: SmallDisk) -> AsyncIterator[Gateway]:
    """A gateway whose stores are on a small disk, and its logs are not."""
    made = Gateway(tmp_path, auth={"metrics-port": 0}, session={"metrics-port": 0}, edge={"frames-per-second": 0})
    async with made:
        yield made


class Writer:
    """Publishes numbered messages and keeps books."""

    def __init__(self, caller: Caller, channel: str) -> None:
        self.caller = caller
        self.channel = channel
        self.confirmed: dict[str, int] = {}
        self.perhaps: list[str] = []
        self.number = 0

    async def publish(self) -> Refused | None:
        """Publish one; return why not, if it was refused."""
        self.number += 1
        message_id = f"{self.channel}-{self.number}"
        try:
            frame = await self.caller.publish(self.channel, PAD, message_id)
        except Refused as refused:
            if refused.data["error_type"] == "timeout":
                self.perhaps.append(message_id)
            return refused
        self.confirmed[message_id] = frame.data["offset"]
        return None

    async def until_refused(self, error: str) -> Refused:
        """Publish until one is refused so. Others may be told `timeout`: their time was over while a repeat was under way."""
        async with asyncio.timeout(60):
            while (refused := await self.publish()) is None or refused.data["error_type"] != error:
                assert refused is None or refused.data["error_type"] == "timeout", refused
        return refused


async def a_writer(gateway: Gateway, workspace: str) -> Writer:
    channel = new_name("room")
    return Writer(await Caller.open(gateway.edge.address, KEY, workspace, "writer", channels=[channel]), channel)


async def is_refused_in_words(gateway: Gateway, writer: Writer, error: str = "unavailable") -> None:
    """What cannot be stored is told, and safe to repeat; readiness says why."""
    refused = await writer.until_refused(error)
    assert refused.safe_to_repeat
    assert refused.data["retry_after_ms"] > 0

    async def says_so() -> bool:
        return not await is_ready(gateway.edge)

    await eventually(says_so, what="the edge is not ready")
    assert reason_of(gateway.edge).startswith("no canary has returned")
    assert "message store fails" in gateway.session.log()
    assert await counted(gateway.session, "tidewire_session_engine_healthy") == 0
    assert await counted(gateway.session, "tidewire_session_commands_failed_total") > 0


async def works_again(gateway: Gateway, writer: Writer, workspace: str) -> None:
    """Without a restart, within ten seconds, all is as before, and all that was confirmed is there."""

    async def publishes() -> bool:
        return await writer.publish() is None and await is_ready(gateway.edge)

    await eventually(publishes, RECOVERED_WITHIN_S, "messages are confirmed again")
    assert await counted(gateway.session, "tidewire_session_engine_healthy") == 1
    assert writer.caller.goodbye is None, "the client stayed where it was"
    url = f"ws://{gateway.edge.address}"
    kept = {m: place.offset for place, m in await history(url, new_name("reads"), KEY, workspace, writer.channel)}
    assert {m: o for m, o in writer.confirmed.items() if kept.get(m) != o} == {}
    assert set(kept) - set(writer.confirmed) <= set(writer.perhaps), "what was refused was not stored"
    assert sorted(kept.values()) == list(range(1, len(kept) + 1))


async def test_messages_on_a_full_disk(gateway: Gateway, disk: SmallDisk) -> None:
    workspace = new_name("w")
    writer = await a_writer(gateway, workspace)
    for _ in range(20):
        assert await writer.publish() is None
    disk.fill()
    await is_refused_in_words(gateway, writer)
    with pytest.raises(Refused, match=r"unavailable|timeout"):  # its inbox is new, and cannot be stored
        await Caller.open(gateway.edge.address, KEY, workspace, new_name("late"))
    answer = await writer.caller.ask("history", {"channel": writer.channel}, until="history")
    assert {m["id"]: m["offset"] for m in answer.data["messages"]} == writer.confirmed
    disk.make_room()
    await works_again(gateway, writer, workspace)
    writer.caller.drop()


async def test_keys_on_a_full_disk(gateway: Gateway, disk: SmallDisk) -> None:
    """Keys that are there go on to be good; none is made or revoked, which is a fault and no denial."""
    admin = gateway.key_admin()
    good, other = [await asyncio.to_thread(admin.create) for _ in range(2)]
    workspace = new_name("w")
    inside = await Caller.open(gateway.edge.address, good.api_key, workspace, "inside")
    disk.fill()
    faults = []

    async def nothing_fits() -> bool:
        try:
            await asyncio.to_thread(admin.create)
        except grpc.RpcError as fault:
            faults.append(fault.code())
        return bool(faults)

    await eventually(nothing_fits, what="there is no room for a key")
    assert set(faults) == {grpc.StatusCode.UNAVAILABLE}
    with pytest.raises(grpc.RpcError) as fault:
        await asyncio.to_thread(admin.revoke, other)
    assert fault.value.code() is grpc.StatusCode.UNAVAILABLE
    await eventually(says(gateway.auth, 0), what="the auth service says that its store takes nothing")
    assert "key store fails" in gateway.auth.log()
    assert (await inside.ask("ping", {}, until="pong")).type == "pong"
    disk.make_room()

    async def revoked() -> bool:
        try:
            await asyncio.to_thread(admin.revoke, other)
        except grpc.RpcError:
            return False
        return True

    await eventually(revoked, RECOVERED_WITHIN_S, "keys can be changed again")
    await eventually(says(gateway.auth, 1), RECOVERED_WITHIN_S, "the auth service says that it works")
    fresh = await asyncio.to_thread(admin.create)
    for key in (good, fresh):
        (await Caller.open(gateway.edge.address, key.api_key, workspace, new_name("after"))).drop()
    with pytest.raises(Refused, match="key_revoked"):
        await Caller.open(gateway.edge.address, other.api_key, workspace, "revoked")
    inside.drop()


def says(auth: ServiceProcess, healthy: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await counted(auth, "tidewire_auth_store_healthy") == healthy

    return condition


async def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """The operating system lets files grow no further (RLIMIT_FSIZE, a quota): the same, and no process is killed for it."""
    gateway = Gateway(tmp_path, session={"metrics-port": 0}, edge={"frames-per-second": 0})
    async with gateway:
        workspace = new_name("w")
        writer = await a_writer(gateway, workspace)
        for _ in range(20):
            assert await writer.publish() is None
        largest = max(file.stat().st_size for file in (tmp_path / "data").iterdir())
        _, hard = resource.prlimit(gateway.session.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.session.pid, resource.RLIMIT_FSIZE, (largest + len(PAD), hard))
        # The store is told of it while it writes, as of a defect of the disk: nobody knows then what is there.
        await is_refused_in_words(gateway, writer, "timeout")
        assert gateway.session.running
        resource.prlimit(gateway.session.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await works_again(gateway, writer, workspace)
        writer.caller.drop()


@pytest.mark.parametrize("service", ["auth_service", "session_service"])
async def test_a_store_that_may_only_be_read(tmp_path: Path, disk: SmallDisk, service: str) -> None:
    """A service does not start on it, and says why; on the same store, writable again, everything is there."""
    gateway = Gateway(tmp_path)
    workspace = new_name("w")
    async with gateway:
        writer = await a_writer(gateway, workspace)
        assert await writer.publish() is None
        writer.caller.drop()
        await asyncio.to_thread(gateway.stop)
        disk.make_read_only()
        process = gateway.auth if service == "auth_service" else gateway.session
        process.launch()
        code = await asyncio.to_thread(process.wait_exit)
        assert code == 1
        assert "cannot be opened" in process.log() or "Read-only file system" in process.log()
        assert "Traceback" not in process.log()
        disk.make_writable()
        for each in (gateway.auth, gateway.session, gateway.edge):
            await asyncio.to_thread(each.start)
        await asyncio.to_thread(gateway.wait_ready)
        url = f"ws://{gateway.edge.address}"
        kept = await history(url, new_name("reads"), KEY, workspace, writer.channel)
        assert {m: place.offset for place, m in kept} == writer.confirmed

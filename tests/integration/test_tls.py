"""Everything over mutual TLS: who is refused, who is let in by certificate, and certificates replaced under a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from service_runtime.grpc_channel import ClientTls
from tests.support.auth_client import AuthClient
from tests.support.authority import Authority, Identities, put
from tests.support.http_client import http
from tests.support.protocol_client import Clients, ProtocolClient
from tests.support.redis_access import Certificate, RedisAccess
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually, wait_until
from tidewire_client import Channels, KeyVerifier, ServiceUnavailable

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DOMAIN = "tests"
CALLERS = "edge.tidewire=verify,check,watch;operator.tidewire=*"
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass(frozen=True)
class Secured:
    """A gateway over mutual TLS, and who signed its certificates."""

    gateway: Gateway
    authority: Authority
    identities: Identities
    folder: Path


def edge_metric(gateway: Gateway, name: str) -> float:
    """Return a metric of the edge, by its name and labels."""
    text = http("GET", f"http://{gateway.edge.address}/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


def secured(folder: Path, redis: str | None = None) -> Iterator[Secured]:
    authority = Authority()
    identities = Identities.of(authority, folder / "tls")
    gateway = Gateway(
        folder,
        auth={"caller-certificates": CALLERS},
        session={"caller-certificates": "operator.tidewire"},
        redis=redis,
        tls=identities,
    )
    with gateway:
        # The first word of the watch has the edge look at every connection again: those that come later see only theirs.
        wait_until(
            lambda: edge_metric(gateway, "tidewire_edge_verifier_resyncs_total") > 0, what="the edge watches keys"
        )
        yield Secured(gateway, authority, identities, folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """For tests that change no file."""
    yield from secured(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Secured]:
    """For a test that replaces its files."""
    yield from secured(tmp_path)


@pytest.fixture
def on_redis(tmp_path: Path) -> Iterator[Secured]:
    """On a Redis that speaks TLS too."""
    server = RedisServer(
        tmp_path / "redis", access=RedisAccess("test-password", Certificate.make(tmp_path / "redis-tls"))
    )
    server.start()
    try:
        yield from secured(tmp_path, server.url)
    finally:
        server.stop()


@asynccontextmanager
async def asking(made: Secured, tls: ClientTls | None, credential: str | None = None) -> AsyncIterator[AuthClient]:
    async with AuthClient(made.gateway.auth.address, credential, made.gateway.canaries.add, tls=tls) as client:
        yield client


async def reason_of(client: AuthClient, method: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.call(method)
    return caught.value.code().name


async def assert_no_connection(made: Secured, tls: ClientTls | None) -> None:
    """Neither service answers."""
    for address in (made.gateway.auth.address, made.gateway.session.address):
        channels = Channels(
            address,
            token=made.gateway.service_token,
            client_id="backend",
            domain=DOMAIN,
            workspace="w",
            credentials=tls,
            deadline_s=1.0,
        )
        async with channels:
            with pytest.raises(ServiceUnavailable):
                await channels.publish("lobby", {"content": "never"})


def sender(made: Secured, workspace: str, *, token: str | None = None) -> Channels:
    return Channels(
        made.gateway.session.address,
        token=made.gateway.service_token if token is None else token,
        client_id="backend",
        domain=DOMAIN,
        workspace=workspace,
        credentials=made.identities.operator.files(),
    )


async def use_everything(made: Secured) -> None:
    """A client connects, joins, publishes and hears a back end; its key is revoked, and it is out."""
    admin = made.gateway.key_admin()
    key = await asyncio.to_thread(admin.create)
    async with Clients(Target.of(made.gateway)) as clients:
        client = await clients.connected(api_key=key.api_key)
        await client.join("lobby")
        await client.publish("lobby", "by a client")
        await client.take("chat_message", content="by a client")
        async with sender(made, clients.workspace) as channels:
            await channels.publish("lobby", {"content": "by a back end"})
        await client.take("channel_message", content="by a back end")
        await asyncio.to_thread(admin.revoke, key)
        await client.expect_refusal("key_revoked", 403)


async def test_a_client_lives_and_a_revoked_key_is_out(shared: Secured) -> None:
    await use_everything(shared)


async def test_the_same_on_redis_over_tls(on_redis: Secured) -> None:
    await use_everything(on_redis)


async def test_plain_text_no_certificate_and_a_foreign_one_are_refused(shared: Secured, tmp_path: Path) -> None:
    foreign = Authority().identity(tmp_path, "operator.tidewire", trusts=shared.authority.pem)
    await assert_no_connection(shared, None)
    await assert_no_connection(shared, shared.identities.operator.files(show=False))
    await assert_no_connection(shared, foreign.files())


async def test_a_named_certificate_is_enough_for_its_groups(shared: Secured) -> None:
    async with asking(shared, shared.identities.operator.files()) as operator:
        key, text = await operator.create()
        assert (await operator.get(key.key_id)).key_id == key.key_id
    async with asking(shared, shared.identities.edge.files()) as edge:
        assert (await edge.verify(text)).key_id == key.key_id
        async with edge.watch() as watch:
            assert watch.first.WhichOneof("event") == "checkpoint"
        assert await reason_of(edge, "ListKeys") == "PERMISSION_DENIED"
    async with asking(shared, shared.identities.session.files()) as session:
        assert await reason_of(session, "VerifyKey") == "UNAUTHENTICATED"


@pytest.mark.parametrize("credential", ["Bearer wrong", "Basic b3BlcmF0b3I6", "Bearer "])
async def test_a_bad_credential_is_refused_whatever_the_certificate(shared: Secured, credential: str) -> None:
    async with asking(shared, shared.identities.operator.files(), credential) as client:
        assert await reason_of(client, "ListKeys") == "UNAUTHENTICATED"


async def test_the_libraries_need_no_token_where_the_certificate_is_named(shared: Secured) -> None:
    async with sender(shared, "by-certificate", token="") as channels:
        assert (await channels.publish("lobby", {"content": "hi"})).position.offset == 1
    verifier = KeyVerifier(shared.gateway.auth.address, service_token="", credentials=shared.identities.edge.files())
    key = await asyncio.to_thread(shared.gateway.key_admin().create)
    await verifier.start()
    try:
        assert (await verifier.verify(key.api_key)).allowed
    finally:
        await verifier.close()


class Roll:
    """Goes from one authority to another, and looks after each step if the client is still there."""

    def __init__(self, made: Secured, member: ProtocolClient, clients: Clients) -> None:
        self.made = made
        self.after = Authority()
        self.both = made.authority.pem + self.after.pem
        self._member = member
        self._clients = clients
        self._said = 0

    async def check(self) -> None:
        """A message of the old connection goes round, and so does one of a new client with a new key."""
        self._said += 1
        await self._member.publish("lobby", self._said)
        await self._member.take("chat_message", content=self._said)
        key = await asyncio.to_thread(self.made.gateway.key_admin().create)
        await self._clients.connected(api_key=key.api_key)


async def test_certificates_are_replaced_by_those_of_a_new_authority_while_a_client_stays(
    own: Secured, tmp_path: Path
) -> None:
    gateway, identities = own.gateway, own.identities
    old = own.authority.identity(tmp_path / "old", "operator.tidewire").files()
    async with Clients(Target.of(gateway)) as clients:
        roll = Roll(own, await clients.member("lobby"), clients)
        await roll.check()
        # First all trust both, then all show the new ones, then nobody trusts the old ones.
        identities.trust(roll.both)
        await roll.check()
        Identities.of(roll.after, tmp_path / "tls", trusts=roll.both)
        await roll.check()
        only_new = roll.after.identity(tmp_path / "new", "operator.tidewire")
        async with asking(own, only_new.files()) as client:
            await client.create()
        identities.trust(roll.after.pem)
        await roll.check()
        await assert_no_connection(own, old)
        # What has to connect again now does so with the new ones: nothing else is let in.
        for process in (gateway.auth, gateway.session):
            await asyncio.to_thread(process.restart_after_kill9)
            await asyncio.to_thread(gateway.wait_ready)
            await roll.check()
        assert edge_metric(gateway, 'tidewire_tls_reloads_total{result="taken"}') >= 2


async def test_broken_files_keep_the_old_ones(own: Secured) -> None:
    gateway, identities = own.gateway, own.identities
    whole = {path: path.read_bytes() for path in (identities.auth.cert, identities.edge.key, identities.session.ca)}
    async with Clients(Target.of(gateway)) as clients:
        roll = Roll(own, await clients.member("lobby"), clients)
        for path, content in whole.items():
            put(path, content[: len(content) // 2])

        async def told() -> bool:
            await roll.check()
            words = "changed TLS files are not used"
            return all(words in process.log() for process in (gateway.auth, gateway.edge))

        await eventually(told)
        assert gateway.auth.log().count("changed TLS files are not used") == 1
        for path, content in whole.items():
            put(path, content)
        await roll.check()


def test_a_service_whose_files_are_broken_does_not_start_and_says_why(tmp_path: Path) -> None:
    identities = Identities.of(Authority(), tmp_path / "tls")
    identities.auth.key.write_bytes(identities.session.key.read_bytes())
    gateway = Gateway(tmp_path, tls=identities)
    gateway.auth.launch()
    wait_until(lambda: not gateway.auth.running, what="the auth service gives up")
    assert gateway.auth.exit_code == 1
    assert f"{identities.auth.cert} and {identities.auth.key} are no certificate chain" in gateway.auth.log()
    assert "Traceback" not in gateway.auth.log()

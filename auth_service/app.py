"""Puts the auth service together: the one place that knows every part."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tidewire.auth.v1 import admin_pb2, auth_pb2
from tidewire.envoy.v3 import external_auth_pb2

from auth_service.adapters import metrics
from auth_service.adapters.debug_access import DebugAccess
from auth_service.adapters.debug_listings import auth_listings
from auth_service.adapters.http_api.server import HttpServer
from auth_service.adapters.peppers import file as pepper_file
from auth_service.adapters.peppers.rotation import PepperRotation
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.adapters.store_redis.uses import RedisUses
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.adapters.store_sqlite.uses import SqliteUses
from auth_service.adapters.store_watch import StoreWatch
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.administration import Administration
from auth_service.core.errors import AuthError, KeyExistsError
from auth_service.core.hashing import Peppers, parse_peppers
from auth_service.core.ports import KeyStore, UseCharger, now_ms
from auth_service.core.quick_verdicts import DIGEST_KEY_BYTES, QuickVerdicts
from auth_service.core.throttle import Throttle
from auth_service.core.verifier import Hooks, Verifier
from auth_service.listeners import listeners
from auth_service.settings import AuthSettings
from service_runtime.clock import SystemClock
from service_runtime.debugging.admin_server import serve_debugging
from service_runtime.grpc_server import GrpcServer
from service_runtime.logs import get_logger
from service_runtime.metrics import serve_metrics
from service_runtime.process import announce_ready
from service_runtime.tasks import end_tasks
from service_runtime.tracing.grpc_calls import server_interceptors
from service_runtime.tracing.tracing import open_tracing

SERVICE: Final = "auth"
SERVICE_NAMES: Final = (
    auth_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["KeyAdminService"].full_name,
    external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"].full_name,
)
# Other auth services change keys on the same Redis all the time: their changes are looked for more often.
REDIS_POLL_S: Final = 0.2
CANARY_AGAIN_S: Final = 0.2

log = get_logger("auth_service")


class StartRefusedError(AuthError):
    """The service must not start like this; the text says what to do."""


async def serve(settings: AuthSettings, stop: asyncio.Event) -> None:
    """Run the service until `stop` is set.

    Raises:
        AuthError: it cannot or must not start.
        PortTakenError: another process listens on its port.
    """
    grace_s, clock = settings.shutdown_grace_s, SystemClock()
    # What is stopped is named as soon as it is made, so that a start that fails midway (a port is taken) ends cleanly.
    async with opened(settings) as (store, peppers), AsyncExitStack() as ending:
        named_keys = await _development_keys(settings, store, peppers)
        cached = CachedKeyStore(store, settings.record_cache_size)
        hub = WatchHub(
            cached,
            clock,
            checkpoint_s=settings.watch_checkpoint_s,
            poll_s=min(REDIS_POLL_S, settings.watch_checkpoint_s) if settings.redis_address is not None else None,
            queue_size=settings.watch_queue_size,
            max_watchers=settings.max_watchers,
            stale_after_s=settings.verdict_cache_ttl_s,
        )
        await hub.prepare()
        metrics.WATCH_LOG_AGE.set_function(hub.silence_s)
        uses = _uses(store)
        ending.push_async_callback(uses.close)
        rotation = PepperRotation(cached, peppers.current)
        ending.push_async_callback(rotation.close, grace_s)
        verifier = _verifier(settings, cached, uses, peppers, hub, named_keys, rotation)
        tracing = open_tracing(SERVICE, settings, metrics.TRACES_LEFT_OUT.inc)
        if tracing is not None:
            ending.push_async_callback(asyncio.to_thread, tracing.close)
        administration = Administration(cached, peppers, clock, secrets.randbelow)
        interceptors = (metrics.RPCS, *server_interceptors(tracing))
        server, http = listeners(settings, verifier, administration, uses, hub, interceptors)
        facts = await serve_debugging(settings, DebugAccess(verifier), auth_listings(hub, clock), ending)
        exporter = serve_metrics(settings.metrics_port, lambda: server.serving, host=settings.metrics_host)
        if exporter:
            facts["metrics_port"] = exporter.port
            ending.callback(exporter.stop)
        ending.push_async_callback(_end_calls, hub, server, http, grace_s)
        port = await server.start(SERVICE_NAMES)
        if http:
            facts["http_port"] = await http.start()
        announce_ready(settings, SERVICE, host=settings.host, port=port, **facts)
        proving = asyncio.create_task(
            _prove_store(settings, StoreWatch(store, hub, patience_s=settings.canary_patience_s), server)
        )
        ending.push_async_callback(end_tasks, proving, asyncio.create_task(metrics.LOOP_LAG.run()))
        await _until(stop, hub)


async def _end_calls(hub: WatchHub, server: GrpcServer, http: HttpServer | None, grace_s: float) -> None:
    """Take no new calls, and give those under way `grace_s` seconds."""
    await server.set_serving(False)
    hub.close()
    await asyncio.gather(server.stop(grace_s), *([http.stop()] if http else []))


async def bootstrap(settings: AuthSettings) -> str:
    """Make the first admin key and return its text.

    Raises:
        AlreadyBootstrappedError: it was made before.
        AuthError: the store cannot or must not be used.
    """
    async with opened(settings) as (store, peppers):
        await _development_keys(settings, store, peppers)
        administration = Administration(store, peppers, SystemClock(), secrets.randbelow)
        _, text = await administration.create_first()
        return text


async def remove_development_keys(settings: AuthSettings) -> int:
    """Remove the development keys from the store, so that production mode starts with it; return how many."""
    async with opened(settings) as (store, _):
        key_ids = await store.development_key_ids()
        for key_id in key_ids:
            await store.delete(key_id, now_ms=now_ms(SystemClock()))
        return len(key_ids)


@asynccontextmanager
async def opened(settings: AuthSettings) -> AsyncIterator[tuple[KeyStore, Peppers]]:
    """Open the store with its peppers checked, and close it at the end."""
    peppers = _peppers(settings)
    async with _opened_store(settings) as store:
        await store.check_peppers(peppers.fingerprints())
        yield store, peppers


@asynccontextmanager
async def _opened_store(settings: AuthSettings) -> AsyncIterator[KeyStore]:
    """Open the store that the settings name: the one place that chooses."""
    timeout_s, log_size, audit_size = settings.store_timeout_s, settings.change_log_size, settings.audit_log_size
    if settings.redis_address is not None:
        shared = RedisKeyStore(
            settings.redis_address,
            namespace=settings.store_namespace,
            timeout_s=timeout_s,
            change_log_size=log_size,
            audit_log_size=audit_size,
            wait_replicas=settings.store_wait_replicas,
            max_keys=settings.max_keys,
        )
        await shared.open()
        try:
            yield shared
        finally:
            await shared.close()
        return
    file = SqliteKeyStore(
        settings.store_path,
        timeout_s=timeout_s,
        change_log_size=log_size,
        audit_log_size=audit_size,
        max_keys=settings.max_keys,
    )
    await file.open()
    try:
        yield file
    finally:
        file.close()


def _peppers(settings: AuthSettings) -> Peppers:
    if settings.pepper is not None:
        return parse_peppers(settings.pepper.get_secret_value())
    peppers, made = pepper_file.load_or_make(settings.pepper_path)
    if made:
        log.warning(
            "pepper file made: back it up apart from the store; without it no key of the store is good",
            path=str(settings.pepper_path),
        )
        if settings.redis_address is not None:
            log.warning("every auth service on this Redis needs the same pepper: set TIDEWIRE_AUTH_PEPPER for all")
    return peppers


async def _development_keys(settings: AuthSettings, store: KeyStore, peppers: Peppers) -> dict[str, str]:
    """Put the development keys into the store, or make sure that they are not there; return those known by name."""
    if not settings.knows_development_keys:
        found = await store.development_key_ids()
        if found:
            raise StartRefusedError(
                f"the key store {_store_name(settings)} holds development keys ({', '.join(found)});"
                " remove them with: python -m auth_service remove-development-keys"
                f" --data-dir {settings.data_dir}, or use another --data-dir"
            )
        return {}
    # Imported here only: production mode does not even load the table.
    from auth_service.core.development_keys import DEVELOPMENT_KEY_IDS, development_records, restored

    for fresh in development_records(peppers, now_ms(SystemClock())):
        try:
            await store.create(fresh)
        except KeyExistsError:  # since the last start, or since another process started a moment ago
            await store.update(fresh.key_id, lambda stored, fresh=fresh: restored(fresh, stored))  # type: ignore[misc]
    log.warning(
        "DEVELOPMENT MODE: anyone may enter with the development keys, which everybody knows;"
        " never let this process be reached from outside",
        key_ids=sorted(DEVELOPMENT_KEY_IDS.values()),
    )
    return DEVELOPMENT_KEY_IDS


def _store_name(settings: AuthSettings) -> str:
    address = settings.redis_address
    return address.shown if address is not None else str(settings.store_path)


def _uses(store: KeyStore) -> RedisUses | SqliteUses:
    """Return what charges keys, in the store that they are in."""
    if isinstance(store, RedisKeyStore):
        return RedisUses(store.calls, store.prefix)
    assert isinstance(store, SqliteKeyStore)
    return SqliteUses(store)


def _throttle(settings: AuthSettings) -> Throttle:
    throttle = Throttle(
        per_minute=settings.failed_attempts_per_minute,
        per_minute_of_address=settings.failed_attempts_per_minute_of_address,
        size=settings.failed_attempts_table_size,
    )
    metrics.THROTTLE_ENTRIES.set_function(lambda: throttle.entries)
    return throttle


def _verifier(
    settings: AuthSettings,
    store: CachedKeyStore,
    uses: UseCharger,
    peppers: Peppers,
    hub: WatchHub,
    named_keys: dict[str, str],
    rotation: PepperRotation,
) -> Verifier:
    quick = QuickVerdicts(
        store.recall, size=settings.record_cache_size, digest_key=secrets.token_bytes(DIGEST_KEY_BYTES)
    )
    store.forget_with_records(quick)
    return Verifier(
        store,
        uses,
        _throttle(settings),
        peppers,
        SystemClock(),
        ttl_ms=int(settings.verdict_cache_ttl_s * 1000),
        seen_revision=hub.seen_revision,
        named_keys=named_keys,
        hooks=Hooks(throttled=metrics.THROTTLED.inc, outdated=rotation.add),
        quick=quick,
    )


async def _prove_store(settings: AuthSettings, watch: StoreWatch, server: GrpcServer) -> None:
    """Report this process as serving only while canaries come back from the store (`design.md`, decision 9)."""
    while True:
        await asyncio.sleep(settings.canary_interval_s if watch.healthy else CANARY_AGAIN_S)
        healthy_before = watch.healthy
        await watch.look()
        if watch.healthy != healthy_before:
            await server.set_serving(watch.healthy)


async def _until(stop: asyncio.Event, hub: WatchHub) -> None:
    """Run the hub until `stop` is set; a hub that fails ends the service: it would be deaf to revocations."""
    running = asyncio.create_task(hub.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if running.done():
        running.result()
    await end_tasks(running)

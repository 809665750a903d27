"""Counters of the auth service, for Prometheus. No label ever holds a key, an id of one, or an owner."""

from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge

from auth_service.core.verification import VerdictCode
from service_runtime.loop_lag import LoopLag
from service_runtime.metrics import SECONDS, Spread, Tally
from service_runtime.rpc_metrics import RpcMetrics
from service_runtime.tracing.tracing import LEFT_OUT

VERDICTS: Final = Counter("tidewire_auth_verdicts", "Verdicts given, by code", ["code"])
RPC_FAULTS: Final = Counter("tidewire_auth_rpc_faults", "Calls ended with a fault, by reason", ["reason"])
STORE_ERRORS: Final = Counter("tidewire_auth_store_errors", "Failed calls of the key store")
STORE_HEALTHY: Final = Gauge(
    "tidewire_auth_store_healthy", "1 while canaries can be written to the store and read back"
)
STORE_CANARY_TIMES: Final = Spread(
    "tidewire_auth_store_canary_seconds", "Time to write canaries to the store and read them back", SECONDS, REGISTRY
)
STORE_ALARMS: Final = Counter("tidewire_auth_store_alarms", "Times that the store ceased to do so")
CACHE_HITS: Final = Counter("tidewire_auth_record_cache_hits", "Key records found in the cache")
CACHE_MISSES: Final = Counter("tidewire_auth_record_cache_misses", "Key records read from the store")
WATCHERS: Final = Gauge("tidewire_auth_watchers", "Streams of key changes that are open")
WATCH_LOG_AGE: Final = Gauge(
    "tidewire_auth_watch_log_age_seconds", "Time since the log of key changes was last read to its end"
)
CHANGES: Final = Counter("tidewire_auth_changes", "Key changes told to watchers, once each")
RESYNCS: Final = Counter("tidewire_auth_watch_resyncs", "Watchers told to forget every verdict, by reason", ["reason"])
THROTTLED: Final = Counter("tidewire_auth_throttled_attempts", "Attempts that had to wait, because others had failed")
THROTTLE_ENTRIES: Final = Gauge(
    "tidewire_auth_throttle_entries", "What is remembered of attempts: of addresses, prefixes, and keys known there"
)
REHASHES: Final = Counter(
    "tidewire_auth_rehashes", "Keys that were to be moved to the current pepper, by what came of it", ["outcome"]
)
HTTP_REQUESTS: Final = Counter(
    "tidewire_auth_http_requests", "Requests answered over HTTP, by endpoint and status", ["endpoint", "status"]
)
TRACES_LEFT_OUT: Final = Tally("tidewire_auth_traces_left_out", LEFT_OUT, REGISTRY)
RPCS: Final = RpcMetrics("tidewire_auth", REGISTRY)
LOOP_LAG: Final = LoopLag("tidewire_auth", REGISTRY)

_OF_CODE: Final = {code: VERDICTS.labels(code.name) for code in VerdictCode}


def count_verdict(code: VerdictCode, number: int = 1) -> None:
    """Count verdicts that were given."""
    _OF_CODE[code].inc(number)

"""Two of each service behind a balancer: they keep the protocol, and get over whatever happens to containers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from tests.ledger.report import Report
from tests.ledger.run import Plan, run
from tests.ledger.wire import Account
from tests.support.compose import ComposedSystem
from tests.support.container_troubles import Trouble, Troubles, disconnect, kill, pause, restart
from tests.support.dashboard import alert_names
from tests.support.http_client import http
from tests.support.processes import ROOT
from tests.support.prometheus import PrometheusApi
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1500)]

OURS = ("auth-1", "auth-2", "session-1", "session-2", "edge-1", "edge-2")
SERVICES = ("redis", *OURS, "balancer")
PYTHON = "/opt/tidewire/bin/python"
# `curl` without curl.
LOOK = """
import os, sys, urllib.request
asked = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + os.environ["KEY"]})
print(urllib.request.urlopen(asked, timeout=10).read().decode())
"""
SUITE_DEADLINE_S = 600.0
SCRAPED_DEADLINE_S = 60.0
GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013
# What of the suite does not hold in production mode: development keys are not known there, nor the development page.
OF_DEVELOPMENT = (
    "test_seed_document_to_the_letter",
    "test_expired_development_key",
    "test_development_page_may_connect",
)
# What holds at an edge itself, and why not through the balancer.
AT_AN_EDGE = {
    "test_metrics_are_prometheus_text": "the balancer shows no metrics",
    "test_half_a_handshake_is_no_upgrade": "HAProxy refuses some by itself, with 400",
    "test_too_large_a_frame": "HAProxy closes before the client has sent all; it gets 1009",
    "byte_by_byte": "HAProxy may reset a connection that is closed while the client still sends",
    "test_frames_of_all_connections_of_a_key": "counted by each edge, and there are two",
    "test_connections_by_key": "the same",
}


@pytest.fixture(scope="module")
def key(pair: ComposedSystem) -> str:
    """The first admin key."""
    return pair.first_key()


def test_every_container_is_there_and_finds_itself_well(pair: ComposedSystem) -> None:
    assert set(pair.containers()) == set(SERVICES)
    for service in OURS:
        assert pair.engine.finds_itself_well(pair.containers()[service]), service


def test_the_protocol_is_kept_through_the_balancer(pair: ComposedSystem, key: str) -> None:
    left_out = (*OF_DEVELOPMENT, *AT_AN_EDGE)
    suite(pair, key, pair.url, " and ".join(f"not {name}" for name in left_out))


def test_what_a_balancer_hides_is_kept_at_an_edge_itself(pair: ComposedSystem, key: str) -> None:
    suite(pair, key, f"http://{pair.ip_of('edge-1')}:8000", " or ".join(AT_AN_EDGE))


@pytest.mark.usefixtures("prometheus")
def test_prometheus_scrapes_every_container_and_judges_the_rules(pair: ComposedSystem) -> None:
    pair.add("prometheus")
    api = PrometheusApi(f"http://127.0.0.1:{pair.prometheus_port}")
    wait_until(api.answers, SCRAPED_DEADLINE_S, "Prometheus answers")
    wait_until(lambda: api.values('up{job=~"tidewire-.+"}') == [1] * len(OURS), SCRAPED_DEADLINE_S, "all are scraped")
    assert api.values('count by (job) (up{job=~"tidewire-.+"})') == [2, 2, 2]
    rules = api.rules()
    assert sorted(rule["name"] for rule in rules) == sorted(alert_names())

    def all_judged() -> bool:
        return {rule["health"] for rule in api.rules()} == {"ok"}

    wait_until(all_judged, SCRAPED_DEADLINE_S, "all rules are judged")


@pytest.mark.parametrize("service", ["auth-1", "session-1", "edge-1"])
def test_a_service_is_looked_into_from_its_own_container_alone(pair: ComposedSystem, key: str, service: str) -> None:
    container = pair.containers()[service]
    shown = pair.engine.run(
        "exec", f"--env=KEY={key}", container, PYTHON, "-c", LOOK, "http://127.0.0.1:9200/debug/tasks"
    )
    assert json.loads(shown)["tasks"]
    with pytest.raises(OSError):
        http("GET", f"http://{pair.ip_of(service)}:9200/debug/tasks", headers={"Authorization": f"Bearer {key}"})


def suite(system: ComposedSystem, key: str, url: str, chosen: str) -> None:
    """Run what is chosen of the black-box suite of the protocol against an address."""
    variables = {
        "TIDEWIRE_TEST_URL": url,
        "TIDEWIRE_TEST_KEY": key,
        "TIDEWIRE_TEST_DEBUG": "0",
        "TIDEWIRE_TEST_AUTH_TARGET": f"{system.ip_of('auth-1')}:50051",
        "TIDEWIRE_TEST_SESSION_TARGET": f"{system.ip_of('session-1')}:50052",
        "TIDEWIRE_TEST_SERVICE_TOKEN": system.secret("service_token"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/protocol", "--quiet", "-p", "no:cacheprovider", "-k", chosen],
        cwd=ROOT,
        env={**inherited, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SUITE_DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + system.logs()
    assert key not in ended.stdout


async def ledger(system: ComposedSystem, key: str, happens: Trouble, services: tuple[str, ...]) -> Report:
    """Return what came of publishing while something happened to each container; nothing was lost, doubled or moved."""
    world = Troubles(system, Account(key, "ledger", "ledger"), happens, services)
    report = await run(Plan(clients=20, channels=5, rate=50, seconds=4), world)
    assert report.passed, f"{report.as_text()}\n{system.logs()}"
    assert world.troubled == list(services)
    assert report.totals()["confirmed"] > 100
    return report


@pytest.mark.parametrize("happens", [kill, pause, disconnect])
async def test_nothing_is_lost_whatever_happens_to_each_container(
    pair: ComposedSystem, key: str, happens: Trouble
) -> None:
    await ledger(pair, key, happens, SERVICES)


async def test_every_service_is_restarted_under_load_and_nobody_is_cut_off_without_a_word(
    pair: ComposedSystem, key: str
) -> None:
    report = await ledger(pair, key, restart, ("redis", *OURS))
    assert report.closes.keys() <= {GOING_AWAY, TRY_AGAIN_LATER}, report.as_text()
    assert report.closes[GOING_AWAY] > 0, "every client was on an edge that was restarted"


async def test_the_balancer_reads_its_configuration_again_and_nobody_notices(pair: ComposedSystem, key: str) -> None:
    async def reload(system: ComposedSystem, service: str) -> None:
        container = system.containers()[service]
        workers = system.logs().count("New worker")
        await asyncio.to_thread(system.engine.run, "kill", "--signal=USR2", container)
        await asyncio.to_thread(wait_until, lambda: system.logs().count("New worker") > workers)

    report = await ledger(pair, key, reload, ("balancer",))
    assert report.closes == {}, report.as_text()


def test_no_secret_is_in_a_log(pair: ComposedSystem, key: str) -> None:
    """Of all that happened before."""
    logs = pair.logs()
    for service in OURS:
        assert f"--- {service}" in logs
    assert "ready" in logs
    for secret in (key, pair.secret("service_token"), pair.secret("pepper")):
        assert secret not in logs

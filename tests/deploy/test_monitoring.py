"""Monitoring as an operator gets it: metrics, their reference, alert rules, runbook and dashboard fit together and work."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from auth_service.settings import AuthSettings
from scripts import metrics_reference
from tests.support.dashboard import ALERTS, alert_names, metric_names, queries
from tests.support.http_client import http, http_async
from tests.support.processes import ROOT
from tests.support.prometheus import MONITORING, Prometheus, promtool
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually
from ws_edge.settings import EdgeSettings

RUNBOOK = ROOT / "docs" / "runbook.md"
DATA_DEADLINE_S = 90.0
# Of a section of the runbook.
PARTS = ["Means", "Look at", "Do", "Threshold"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway on Redis, where it has all metrics that there are."""
    folder = tmp_path_factory.mktemp("watched")
    redis = RedisServer(folder)
    try:
        redis.start()
        shown = {"metrics-port": 0}
        gateway = Gateway(folder, redis=redis.url, auth=shown, session=shown)
        with gateway:
            yield gateway
    finally:
        redis.stop()


@pytest.fixture
def prometheus(watched: Gateway, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path / "prometheus", addresses(watched))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def addresses(gateway: Gateway) -> Mapping[str, str]:
    """Return where each service shows its metrics."""
    return {
        "auth": f"127.0.0.1:{gateway.auth.facts['metrics_port']}",
        "session": f"127.0.0.1:{gateway.session.facts['metrics_port']}",
        "edge": gateway.edge.address,
    }


def scraped(gateway: Gateway, service: str) -> str:
    return http("GET", f"http://{addresses(gateway)[service]}/metrics").body.decode()


@pytest.mark.parametrize("service", ["auth", "session", "edge"])
def test_the_names_of_metrics_keep_to_the_conventions(watched: Gateway, service: str) -> None:
    assert promtool("check", "metrics", text=scraped(watched, service)) == ""


@pytest.mark.parametrize("service", ["auth", "session", "edge"])
def test_the_reference_names_what_is_there_and_nothing_else(watched: Gateway, service: str) -> None:
    text = scraped(watched, service)
    shown = dict(re.findall(r"^# TYPE (tidewire_\w+) (\w+)$", text, re.MULTILINE))
    of_service = (f"tidewire_{service}_", "tidewire_tls_")
    described = {m.name: m.kind for m in metrics_reference.descriptions() if m.name.startswith(of_service)}
    assert {name: kind for name, kind in shown.items() if not name.endswith("_created")} == described
    labels = {label for found in re.findall(r"^tidewire_\w+\{(.+)\}", text, re.MULTILINE) for label in named(found)}
    assert labels <= {label for m in metrics_reference.descriptions() for label in m.labels} | {"le"}


def named(labels: str) -> list[str]:
    """Return the names of labels."""
    return re.findall(r'(\w+)="', labels)


def test_rules_and_dashboard_ask_for_metrics_that_are_there() -> None:
    known = {metric.name for metric in metrics_reference.descriptions()}
    asked = {name for query in queries() for name in metric_names(query.expression)}
    rules = re.findall(r"expr: (.+?)\n +(?:for|labels):", ALERTS.read_text(), re.DOTALL)
    assert len(rules) == len(alert_names())
    asked |= {name for rule in rules for name in metric_names(rule)}
    assert asked - known == set()


@pytest.mark.parametrize("service", ["auth", "session", "edge"])
def test_a_time_that_is_too_long_is_a_bound_of_its_histogram(watched: Gateway, service: str) -> None:
    """Between two bounds Prometheus guesses: an alert would speak of times that nobody has measured."""
    text = scraped(watched, service)
    judged = re.findall(r"histogram_quantile\(.+?\(rate\((.+?)\[\w+\]\)\)\) > ([\d.]+)", ALERTS.read_text(), re.DOTALL)
    assert len(judged) == ALERTS.read_text().count("histogram_quantile")
    for expression, threshold in judged:
        for name in metric_names(expression):
            bounds = re.findall(rf'^{name}_bucket\{{le="([\d.]+)"\}}', text, re.MULTILINE)
            assert float(threshold) in map(float, bounds) or not name.startswith(f"tidewire_{service}_"), name


def test_thresholds_follow_from_the_settings_that_the_runbook_names() -> None:
    rules = ALERTS.read_text()
    stale_s = 3 * EdgeSettings.model_fields["verdict_stale_s"].default
    assert f"verifier_watch_silence_seconds\"}} > {stale_s:g}'\n" in rules
    assert f"tidewire_auth_watch_log_age_seconds > {stale_s:g}\n" in rules
    assert AuthSettings.model_fields["watch_checkpoint_s"].default == 1
    assert EdgeSettings.model_fields["frames_per_second"].default == 200


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_each_alert_fires_and_is_silent_when_it_should() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tests = (MONITORING / "alerts_test.yml").read_text()
    assert re.findall(r"alertname: (\w+), exp_alerts: \[\]", tests) == alert_names()
    assert re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", tests) == alert_names()


def test_the_runbook_has_a_section_for_each_alert() -> None:
    sections = re.findall(r"^### (\w+)\n(.+?)(?=\n#|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == alert_names()
    for name, text in sections:
        assert re.findall(r"^\*\*([\w ]+)\.\*\*", text, re.MULTILINE) == PARTS, name
    panels = {query.panel for query in queries()}
    assert {" ".join(name.split()) for name in re.findall(r'"([A-Z][^"]+)"', RUNBOOK.read_text())} <= panels
    links = re.findall(r"- alert: (\w+).*?runbook_url: (\S+)", ALERTS.read_text(), re.DOTALL)
    assert links == [(name, f"docs/runbook.md#{name.lower()}") for name in alert_names()]


async def test_prometheus_scrapes_all_services_and_every_panel_has_data(
    watched: Gateway, prometheus: Prometheus
) -> None:
    target = Target.of(watched)
    empty = set(queries())

    async def all_have_data() -> bool:
        await some_load(target, talkers)
        for query in list(empty):
            values = await asyncio.to_thread(prometheus.api.values, query.expression)
            if any(not math.isnan(value) for value in values):
                empty.remove(query)
        return not empty

    async with Clients(target) as clients:
        talkers = [await clients.member("room") for _ in range(3)]
        try:
            await eventually(all_have_data, DATA_DEADLINE_S)
        except AssertionError:
            pytest.fail(f"without data after {DATA_DEADLINE_S} s: {sorted(empty)}")
    assert sorted(await asyncio.to_thread(prometheus.api.values, 'up{job=~"tidewire-.+"}')) == [1, 1, 1]
    rules = await asyncio.to_thread(prometheus.api.rules)
    assert sorted(rule["name"] for rule in rules) == sorted(alert_names())
    assert {rule["health"] for rule in rules} == {"ok"}


async def some_load(target: Target, talkers: list[ProtocolClient]) -> None:
    """A message to three clients, a client that comes, and a question over HTTP."""
    await talkers[0].publish("room", "hello")
    for talker in talkers:
        await talker.take("chat_message")
    async with Clients(target) as more:
        await more.connected()
    answer = await http_async(
        "GET",
        f"{target.http_url}/api/chat/threads?domain=tests&workspace={new_name('w')}",
        headers={"Authorization": f"Bearer {target.api_key}"},
    )
    assert answer.status == 200

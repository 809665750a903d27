"""Compose files, held to Compose's schema and to what they promise; monitoring in them fits together.

Grafana itself is not run: neither Debian nor PyPI has it. What it is given is tested, and what its panels ask for is asked a
real Prometheus in `test_monitoring.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dashboard import DASHBOARD
from tests.support.processes import ROOT

pytestmark = pytest.mark.integration

DEPLOY = ROOT / "deploy"
COMPOSE_FILES = ("compose.yaml", "compose.single.yaml")
SCHEMA = "vendor.compose-spec"
Composed = dict[str, Any]


def composed(file: str) -> Composed:
    return dict(yaml.safe_load((DEPLOY / file).read_text()))


def held_to_schema(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMA, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_files_keep_to_the_schema_of_compose(tmp_path: Path) -> None:
    checked = held_to_schema(*(DEPLOY / file for file in (*COMPOSE_FILES, "compose.tls.yaml")))
    assert checked.returncode == 0, checked.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("restart:", "restarts:"))
    assert "restarts" in held_to_schema(wrong).stdout


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_containers_are_held_short(file: str) -> None:
    for service in composed(file)["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges"]
        assert not {"privileged", "network_mode", "pid"} & set(service)
        for published in service.get("ports", []):
            assert published.endswith(":8000") or published.startswith("127.0.0.1:"), "one door"


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_everything_that_is_asked_for_has_an_example(file: str) -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / file).read_text()))
    example = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert asked <= example


def test_secrets_are_made_once(tmp_path: Path) -> None:
    def make() -> str:
        script = str(DEPLOY / "make_secrets.py")
        return subprocess.run(
            [sys.executable, script, str(tmp_path / "s")], capture_output=True, text=True, check=True
        ).stdout

    assert make().count(" made") == 5
    files = {file.name: file.read_text() for file in (tmp_path / "s").iterdir()}
    assert make().count(" is there") == 5
    assert {file.name: file.read_text() for file in (tmp_path / "s").iterdir()} == files
    password = files["redis.conf"].split()[1]
    assert files["redis_url"] == f"redis://:{password}@redis:6379"
    assert len(files["service_token"]) >= 32
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    (tmp_path / "s" / "redis_url").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        make()


@pytest.fixture(scope="module")
def services() -> Composed:
    return dict(composed("compose.yaml")["services"])


def mounts(service: Composed) -> dict[str, Path]:
    """Return the files and folders of `deploy` that a container sees, by their places there."""
    split = (volume.split(":") for volume in service["volumes"])
    return {place: DEPLOY / source for source, place, *_ in split if source.startswith("./")}


def provisioned(grafana: Composed, folder: str, what: str) -> list[Composed]:
    """Return what Grafana reads in one folder at its start."""
    files = mounts(grafana)[f"/etc/grafana/provisioning/{folder}"].glob("*.yml")
    return [each for file in files for each in yaml.safe_load(file.read_text())[what]]


def test_everything_starts_again_that_ends() -> None:
    for file in COMPOSE_FILES:
        assert {service["restart"] for service in composed(file)["services"].values()} == {"unless-stopped"}


def test_grafana_finds_prometheus(services: Composed) -> None:
    (source,) = provisioned(services["grafana"], "datasources", "datasources")
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert services["prometheus"]["ports"] == ["127.0.0.1:${TIDEWIRE_PROMETHEUS_PORT:-9090}:9090"]
    assert set(services["grafana"]["networks"]) & set(services["prometheus"]["networks"])
    assert set(services["grafana"]["networks"]) & set(services["redis"]["networks"]) == set(), (
        "it sees no service of ours"
    )
    assert services["grafana"]["profiles"] == services["prometheus"]["profiles"]


def test_grafana_shows_our_dashboard_from_the_source_that_it_has(services: Composed) -> None:
    grafana = services["grafana"]
    (provider,) = provisioned(grafana, "dashboards", "providers")
    folder = mounts(grafana)[provider["options"]["path"]]
    assert list(folder.glob("*.json")) == [DASHBOARD]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{DASHBOARD.name}"
    dashboard = json.loads(DASHBOARD.read_text())
    (variable,) = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    (source,) = provisioned(grafana, "datasources", "datasources")
    assert variable["query"] == source["type"]
    assert source["isDefault"] is True
    uids = {panel["datasource"]["uid"] for panel in dashboard["panels"] if panel["type"] != "row"}
    assert uids == {f"${{{variable['name']}}}"}


def test_grafana_reads_its_password_from_a_secret_and_asks_nobody_outside(services: Composed) -> None:
    grafana = services["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{grafana['secrets'][0]}"
    assert grafana["secrets"][0] in composed("compose.yaml")["secrets"]
    assert not any(re.search("PASSWORD$|SECRET", name) for name in grafana["environment"])


def test_prometheus_has_its_rules_and_knows_every_service(services: Composed) -> None:
    seen = mounts(services["prometheus"])
    configuration = yaml.safe_load(seen["/etc/prometheus/prometheus.yml"].read_text())
    assert {f"/etc/prometheus/{name}" for name in configuration["rule_files"]} <= set(seen)
    asked = {
        name for job in configuration["scrape_configs"] for names in job["dns_sd_configs"] for name in names["names"]
    }
    known = {
        alias for service in services.values() for alias in (service["networks"].get("back") or {}).get("aliases", [])
    }
    assert asked == known
    assert "back" in services["prometheus"]["networks"]


def test_images_of_others_are_pinned_and_can_be_changed(services: Composed) -> None:
    for name in ("redis", "balancer", "prometheus", "grafana"):
        assert re.fullmatch(r"\$\{TIDEWIRE_[A-Z]+_IMAGE:-[a-z/]+:v?\d[\w.-]+\}", services[name]["image"]), name

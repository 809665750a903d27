"""Manifests, held to their schemas and to what they promise; what any file of deployment sets is a setting."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from auth_service.settings import AuthSettings
from service_runtime.settings import ServiceSettings
from session_service.settings import SessionSettings
from tests.support.processes import ROOT
from ws_edge.settings import EdgeSettings

pytestmark = pytest.mark.integration

OVERLAYS = ("evaluation", "production")
SCHEMA = "1.31"
END_S = 10
Manifest = dict[str, Any]


def render(overlay: str) -> list[Manifest]:
    """Return what an overlay makes, by kustomize."""
    folder = str(ROOT / "deploy" / "kubernetes" / "overlays" / overlay)
    if shutil.which("kustomize"):
        command = ["kustomize", "build", folder]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize", folder]
    else:
        pytest.skip("MANIFESTS WERE NOT RENDERED: needs kustomize or kubectl")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(request.param)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    found = [each for each in manifests if each["kind"] in kinds]
    assert found
    return found


def name_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def pod_of(manifest: Manifest) -> Manifest:
    return dict(manifest["spec"]["template"]["spec"])


def test_every_manifest_keeps_to_its_schema(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, SCHEMA, strict=True)


def test_every_service_has_two_pods_or_an_autoscaler_and_loses_one_at_a_time(manifests: list[Manifest]) -> None:
    deployments = of_kind(manifests, "Deployment")
    assert sorted(map(name_of, deployments)) == ["auth", "edge", "session"]
    scaled = {
        name_of(each): each["spec"]["minReplicas"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler"
    }
    for deployment in deployments:
        assert deployment["spec"].get("replicas", scaled.get(name_of(deployment))) >= 2
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budgets = of_kind(manifests, "PodDisruptionBudget")
    assert {name_of(each): each["spec"]["maxUnavailable"] for each in budgets} == {"auth": 1, "session": 1, "edge": 1}


def test_pods_keep_to_the_restricted_standard(manifests: list[Manifest]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        pod = pod_of(manifest)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_callers_reach_every_pod_of_a_grpc_service(manifests: list[Manifest]) -> None:
    services = {name_of(each): each["spec"] for each in of_kind(manifests, "Service")}
    assert services["auth"]["clusterIP"] == services["session"]["clusterIP"] == "None"
    edge = next(each for each in of_kind(manifests, "Deployment") if name_of(each) == "edge")
    variables = variables_of(edge)
    assert variables["TIDEWIRE_EDGE_AUTH_TARGET"] == f"dns:///auth:{services['auth']['ports'][0]['port']}"
    assert variables["TIDEWIRE_EDGE_SESSION_TARGET"] == f"dns:///session:{services['session']['ports'][0]['port']}"


def variables_of(manifest: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod_of(manifest)["containers"][0].get("env", [])}


def test_an_edge_has_time_to_drain(manifests: list[Manifest]) -> None:
    edge = next(each for each in of_kind(manifests, "Deployment") if name_of(each) == "edge")
    pod, variables = pod_of(edge), variables_of(edge)
    container = pod["containers"][0]
    pre_stop_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = float(variables["TIDEWIRE_EDGE_DRAIN_WAIT_S"]) + float(variables["TIDEWIRE_EDGE_DRAIN_S"])
    assert pod["terminationGracePeriodSeconds"] >= pre_stop_s + drain_s + END_S
    ready = container["readinessProbe"]
    notices_s = ready["periodSeconds"] * ready["failureThreshold"]
    assert float(variables["TIDEWIRE_EDGE_DRAIN_WAIT_S"]) > notices_s, (
        "readiness falls before the first client is let go"
    )


def test_probes_ask_ports_that_are_there(manifests: list[Manifest]) -> None:
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        for container in pod_of(manifest)["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in ("livenessProbe", "readinessProbe"):
                asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert asked["port"] in ports


def test_every_pod_is_behind_a_network_policy(manifests: list[Manifest]) -> None:
    selected = {
        tuple(sorted(each["spec"]["podSelector"]["matchLabels"].items()))
        for each in of_kind(manifests, "NetworkPolicy")
    }
    for manifest in of_kind(manifests, "Deployment", "StatefulSet"):
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        assert (("app.kubernetes.io/name", labels["app.kubernetes.io/name"]),) in selected


def test_edges_grow_with_connections_and_cpu() -> None:
    scalers = {name_of(each): each["spec"] for each in of_kind(render("production"), "HorizontalPodAutoscaler")}
    assert {metric["type"] for metric in scalers["edge"]["metrics"]} == {"Pods", "Resource"}
    names = [metric["pods"]["metric"]["name"] for metric in scalers["edge"]["metrics"] if "pods" in metric]
    collector = (ROOT / "ws_edge" / "adapters" / "metrics_prometheus.py").read_text()
    assert names == ["tidewire_edge_connections"]
    assert f'"{names[0]}"' in collector


def known_variables() -> set[str]:
    """Return every variable that some service reads."""
    known = set()
    services = {"AUTH": AuthSettings, "SESSION": SessionSettings, "EDGE": EdgeSettings}
    for prefix, settings in services.items():
        known |= {f"TIDEWIRE_{prefix}_{name.upper()}" for name in settings.model_fields}
    known |= {f"TIDEWIRE_{name.upper()}" for name in ServiceSettings.model_fields}
    return known | {f"{name}_FILE" for name in known}


def set_variables(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the variables that files of deployment set, each with its file."""
    for file in [*folder.rglob("*.y*ml"), folder / "Dockerfile"]:
        for name in re.findall(
            r"(?:^\s*|name: |ENV |\s)(TIDEWIRE_[A-Z_]+)(?==|:\s|\n)", file.read_text(), re.MULTILINE
        ):
            yield name, str(file.relative_to(ROOT))


def test_what_is_set_is_a_setting() -> None:
    found = dict(set_variables(ROOT / "deploy"))
    assert len(found) > 10
    assert {
        name: file for name, file in found.items() if name not in known_variables() | {"TIDEWIRE_PROXY_CREDENTIAL"}
    } == {}

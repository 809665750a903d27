"""The images: what is in them, who runs them, and that they need nothing else."""

from __future__ import annotations

import re

import pytest

from tests.support.container_engine import BASE, ContainerEngine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1500)]

MAX_BYTES_OVER_BASE = 200_000_000
MODULES = {"auth": "auth_service", "session": "session_service", "edge": "ws_edge"}
PYTHON = "/opt/tidewire/bin/python"
FOREIGN = {
    "auth": ["ws_edge", "session_service", "tidewire_client"],
    "session": ["ws_edge", "auth_service"],
    "edge": ["auth_service", "session_service", "redis"],
}
# `ls` without a shell.
FIND = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
LIMITS = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none"]


@pytest.fixture(params=MODULES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_image_runs_without_root_and_says_what_it_is(
    engine: ContainerEngine, images: dict[str, str], service: str
) -> None:
    facts = engine.inspect(images[service])
    assert facts["Config"]["User"] == "10001:10001"
    assert facts["Config"]["Entrypoint"] == [PYTHON, "-m", MODULES[service]]
    assert facts["Config"]["Labels"]["org.opencontainers.image.title"].startswith("Tidewire")
    assert facts["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert facts["Healthcheck"]["Test"][:4] == ["CMD", PYTHON, "-m", "service_runtime.probe"]


def test_an_image_is_small(engine: ContainerEngine, images: dict[str, str], service: str) -> None:
    added = int(engine.inspect(images[service])["Size"]) - int(engine.inspect(BASE)["Size"])
    assert 0 < added < MAX_BYTES_OVER_BASE


def test_an_image_holds_its_own_service_alone(engine: ContainerEngine, images: dict[str, str], service: str) -> None:
    names = [*MODULES.values(), *FOREIGN[service], "pip"]
    found = engine.ended("run", *LIMITS, f"--entrypoint={PYTHON}", images[service], "-c", FIND, *names)
    assert str([MODULES[service]]) in found


def test_a_service_has_all_that_it_imports(engine: ContainerEngine, images: dict[str, str], service: str) -> None:
    assert "TIDEWIRE_" in engine.ended("run", *LIMITS, images[service], "--help")


def test_a_service_that_is_not_configured_does_not_start(
    engine: ContainerEngine, images: dict[str, str], service: str
) -> None:
    """Production is the default: without a token of its own it refuses."""
    said = engine.ended("run", *LIMITS, images[service])
    assert re.search(r"TIDEWIRE_\w*SERVICE_TOKEN: .*must be set in production mode", said)


def test_traces_are_sent_by_images_that_were_asked_for_it(engine: ContainerEngine, images: dict[str, str]) -> None:
    with_tracing = images["edge"].replace(":latest", ":tracing")
    engine.build("edge", with_tracing, TRACING="otel")
    imports = ["-c", "import service_runtime.tracing.otel"]
    for image, found in ((images["edge"], False), (with_tracing, True)):
        said = engine.ended("run", *LIMITS, f"--entrypoint={PYTHON}", image, *imports)
        assert ("No module named 'opentelemetry'" in said) is not found, said
        assert found is (said == ""), said

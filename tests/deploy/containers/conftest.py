"""Containers for the tests of this folder, made once for all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import ComposedSystem
from tests.support.container_engine import ContainerEngine

SERVICES = ("auth", "session", "edge")
# Of the images that are built here.
PREFIX = "localhost/tidewire-test"


@pytest.fixture(scope="session")
def engine() -> Iterator[ContainerEngine]:
    """An engine with a base image."""
    # Not in pytest's folder, whose long names do not fit where containers are mounted.
    with tempfile.TemporaryDirectory(prefix="tw-", ignore_cleanup_errors=True) as folder:
        made = ContainerEngine.require(Path(folder))
        try:
            made.make_base()
            yield made
        finally:
            made.end()


@pytest.fixture(scope="session")
def images(engine: ContainerEngine) -> dict[str, str]:
    """The image of each service."""
    names = {service: f"{PREFIX}/{service}:latest" for service in SERVICES}
    for service, name in names.items():
        engine.build(service, name)
    return names


@pytest.fixture(scope="session")
def prometheus(engine: ContainerEngine) -> str:
    """An image of Prometheus."""
    name = f"{PREFIX}/prometheus:latest"
    engine.make_prometheus(name)
    return name


@pytest.fixture(scope="module")
def pair(
    engine: ContainerEngine, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposedSystem]:
    """Two of each service behind a balancer, for all tests of a module: each leaves the system well."""
    system = ComposedSystem(engine, tmp_path_factory.mktemp("pair"), PREFIX)
    try:
        system.up("compose.yaml")
        yield system
    finally:
        system.down()


@pytest.fixture
def compose(engine: ContainerEngine, images: dict[str, str], tmp_path: Path) -> Iterator[ComposedSystem]:
    """Starts a Compose file, and removes everything of it."""
    system = ComposedSystem(engine, tmp_path, PREFIX)
    try:
        yield system
    finally:
        system.down()

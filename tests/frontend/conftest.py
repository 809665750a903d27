"""Fixtures of the browser side: the built client, and processes that use it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.node_client import NodeClient
from tests.support.npm import build_client, node
from tests.support.services import Gateway


@pytest.fixture(scope="session")
def built_client() -> None:
    """The package's `dist/`, made from its source as it is now."""
    node()
    build_client()


@pytest.fixture
def node_client(built_client: None, gateway: Gateway) -> Iterator[Callable[..., NodeClient]]:
    """Makes clients of this module's gateway, each with a workspace in common: `node_client("alice", url=...)`."""
    everyone: list[NodeClient] = []
    workspace = f"w-{secrets.token_hex(4)}"

    def make(name: str, *, url: str | None = None, api_key: str = "valid-test-key", **options: Any) -> NodeClient:
        where = url or f"http://{gateway.edge.address}"
        client = NodeClient(where, name, api_key, workspace=workspace, **options)
        everyone.append(client)
        return client

    yield make
    for client in everyone:
        client.end()

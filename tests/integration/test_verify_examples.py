"""The worked examples that verify a key, as processes of their own, against a real auth service."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.support.examples import EXAMPLES, run_example
from tests.support.key_admin import KeyAdmin
from tests.support.requirements import skip_without
from tests.support.services import Gateway

pytestmark = pytest.mark.integration


def _variables(gateway: Gateway) -> dict[str, str]:
    return {"TIDEWIRE_AUTH_TARGET": gateway.auth.address, "TIDEWIRE_SERVICE_TOKEN": gateway.service_token}


def node(gateway: Gateway, api_key: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the example for Node.js over gRPC."""
    found = shutil.which("node")
    if found is None:
        skip_without("node")
    if not (EXAMPLES / "node" / "node_modules" / "@grpc" / "grpc-js").is_dir():
        skip_without("the npm package @grpc/grpc-js")
    command = [found, str(EXAMPLES / "node" / "verify.js"), *arguments]
    return run_example(command, {**_variables(gateway), **variables}, api_key)


def verdict_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def admin(shared_gateway: Gateway) -> KeyAdmin:
    return shared_gateway.key_admin()


def test_node_over_grpc(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])
    good = node(shared_gateway, key.api_key, "join", "orders")
    verdict = verdict_of(good)
    assert (good.returncode, verdict["code"]) == (0, "VERDICT_CODE_VALID")
    assert (verdict["key_id"], verdict["owner"]) == (key.key_id, "tests")
    refused = node(shared_gateway, key.api_key, "publish", "orders")
    verdict = verdict_of(refused)
    assert (refused.returncode, verdict["code"]) == (1, "VERDICT_CODE_INSUFFICIENT_PERMISSIONS")
    assert verdict["missing"] == "publish:orders"
    unknown = node(shared_gateway, "nothing")
    assert (unknown.returncode, verdict_of(unknown)["code"]) == (1, "VERDICT_CODE_NOT_FOUND")


def test_node_with_a_wrong_service_token(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    done = node(shared_gateway, admin.create().api_key, TIDEWIRE_SERVICE_TOKEN="wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not verified: UNAUTHENTICATED" in done.stderr


def test_python(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])
    command = [sys.executable, str(EXAMPLES / "python" / "verify.py")]
    good = run_example(command, _variables(shared_gateway), key.api_key)
    assert (good.returncode, good.stdout.split()) == (0, ["VALID", key.key_id, "tests"])
    refused = run_example(command, _variables(shared_gateway), "nothing")
    assert (refused.returncode, refused.stdout.split()) == (1, ["NOT_FOUND"])

"""The worked examples that verify a key, as processes of their own, against a real auth service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def gateway_with_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """An auth service that also speaks HTTP; nothing else runs."""
    made = Gateway(tmp_path_factory.mktemp("http"), auth={"http-port": 0})
    try:
        made.auth.start()
        yield made
        assert made.auth.stop() == 0
        made.assert_no_canary_in_logs()
    finally:
        made.kill()


def over_http(gateway: Gateway, api_key: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the example for Node.js over HTTP."""
    node = shutil.which("node")
    if node is None:
        skip_without("node")
    url = {"TIDEWIRE_AUTH_URL": f"http://127.0.0.1:{gateway.auth.facts['http_port']}"}
    command = [node, str(EXAMPLES / "node" / "verify_http.js"), *arguments]
    return run_example(command, {**_variables(gateway), **url, **variables}, api_key)


def test_node_over_http(gateway_with_http: Gateway) -> None:
    key = gateway_with_http.key_admin().create(["join:orders"])
    good = over_http(gateway_with_http, key.api_key, "join", "orders")
    verdict = verdict_of(good)
    assert (good.returncode, verdict["code"], verdict["keyId"]) == (0, "VERDICT_CODE_VALID", key.key_id)
    refused = over_http(gateway_with_http, key.api_key, "publish", "orders")
    assert refused.returncode == 1
    assert verdict_of(refused)["missing"] == "publish:orders"
    stranger = over_http(gateway_with_http, key.api_key, TIDEWIRE_SERVICE_TOKEN="wrong")
    assert (stranger.returncode, stranger.stdout) == (1, "")
    assert "not verified: status 401" in stranger.stderr


def test_curl(gateway_with_http: Gateway) -> None:
    """The command of the page, as it stands there, with another address and another key."""
    curl, shell = shutil.which("curl"), shutil.which("bash")
    if curl is None or shell is None:
        skip_without("curl and bash")
    key = gateway_with_http.key_admin().create(["join:orders"])
    page = (EXAMPLES.parent / "verifying-keys.md").read_text()
    shown = re.search(r"^curl .*?^```$", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    command = shown[0].removesuffix("```").replace("tw_live_...", key.api_key)
    command = command.replace("127.0.0.1:9051", f"127.0.0.1:{gateway_with_http.auth.facts['http_port']}")
    done = run_example([shell], _variables(gateway_with_http), command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]["keyId"] == key.key_id


def test_node_with_a_wrong_service_token(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    done = node(shared_gateway, admin.create().api_key, TIDEWIRE_SERVICE_TOKEN="wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not verified: UNAUTHENTICATED" in done.stderr


def test_python(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    key = admin.create(["join:orders"])
    command = [sys.executable, str(EXAMPLES / "python" / "verify.py")]
    good = run_example(command, _variables(shared_gateway), key.api_key)
    assert (good.returncode, good.stdout.split()) == (0, ["VALID", key.key_id, "tests"]), good.stderr
    refused = run_example(command, _variables(shared_gateway), "nothing")
    assert (refused.returncode, refused.stdout.split()) == (1, ["NOT_FOUND"])

"""`tidewire keys` and `tidewire audit` as processes of their own, against a real auth service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, cli_for
from tests.support.protocol_client import new_name
from tests.support.services import Gateway

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(shared_gateway: Gateway) -> Cli:
    return cli_for(shared_gateway)


class Made:
    """A key that `tidewire keys create --json` made."""

    def __init__(self, answer: Any) -> None:
        self.api_key: str = answer["api_key"]
        self.key_id: str = answer["key"]["key_id"]
        self.owner: str = answer["key"]["owner"]


async def make(cli: Cli, gateway: Gateway, *options: str) -> Made:
    made = await cli("keys", "create", "--owner", new_name("owner"), "--permission", "join:lobby", *options, "--json")
    assert made.code == 0, made.err
    gateway.canaries.add(made.json()["api_key"])
    return Made(made.json())


async def test_a_key_is_changed(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway, "--limit", "frames_burst=7")
    options = ["--name", "renamed", "--permission", "join:*", "--limit", "max_channels=3", "--rate", "100/1m"]
    changed = await cli("keys", "update", key.key_id, *options, "--expires-in", "30d")
    assert (changed.code, changed.err) == (0, "")
    assert changed.out == f"{key.key_id} is changed: expire_time limits name permissions verification_rate\n"
    record = (await cli("keys", "get", key.key_id, "--json")).json()["key"]
    assert (record["name"], record["permissions"], record["owner"]) == ("renamed", ["join:*"], key.owner)
    assert record["limits"] == {"frames_burst": 7, "max_channels": 3}
    assert record["verification_rate"] == {"verifications": 100, "period_s": 60.0}
    assert record["expire_time"] is not None
    emptied = await cli("keys", "update", key.key_id, "--never-expires", "--no-rate", "--name", "", "--json")
    record = emptied.json()["key"]
    assert (record["expire_time"], record["verification_rate"], record["name"]) == (None, None, "")


async def test_a_change_does_not_overwrite_another(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway)
    etag = (await cli("keys", "get", key.key_id, "--json")).json()["key"]["etag"]
    assert (await cli("keys", "update", key.key_id, "--name", "first", "--etag", etag)).code == 0
    refused = await cli("keys", "update", key.key_id, "--name", "second", "--etag", etag, "--json")
    assert refused.code == 1
    assert (refused.error()["type"], refused.error()["reason"]) == ("EtagMismatch", "ETAG_MISMATCH")


async def test_a_key_is_rotated(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway)
    rotated = await cli("keys", "rotate", key.key_id, "--grace", "1d")
    assert rotated.code == 0
    api_key, *lines = rotated.out.splitlines()
    shared_gateway.canaries.add(api_key)
    assert f"replaces     {key.key_id}" in lines
    assert "this once" in rotated.err
    assert f"{key.key_id}, which it replaces, ends" in rotated.err
    for good in (key.api_key, api_key):
        assert (await cli("keys", "verify", stdin=good)).code == 0
    again = await cli("keys", "rotate", api_key.split("_")[2], "--grace", "0", "--json")
    shared_gateway.canaries.add(again.json()["api_key"])
    assert again.json()["replaced"]["state"] == "expired"


async def test_a_key_is_removed_and_the_log_keeps_it(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway)
    removed = await cli("keys", "delete", key.key_id, "--reason", "over")
    assert (removed.code, removed.out) == (0, f"{key.key_id} is removed; its connections are closed\n")
    assert (await cli("keys", "get", key.key_id)).code == 5
    assert (await cli("keys", "delete", key.key_id)).code == 5
    shown = await cli("audit", "--key-id", key.key_id)
    header, deleted, created = shown.out.splitlines()
    assert header.split() == ["TIME", "ACTION", "KEY", "ID", "ACTOR", "CHANGED", "REASON"]
    assert "deleted" in deleted
    assert deleted.endswith("over")
    assert "created" in created
    records = (await cli("audit", "--key-id", key.key_id, "--json")).json()["entries"]
    assert [(record["action"], record["actor"]) for record in records] == [
        ("deleted", "service-token"),
        ("created", "service-token"),
    ]
    assert records[0]["before"]["owner"] == key.owner
    assert records[0]["after"] is None


async def test_the_audit_log_by_page(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway)
    for command in ("disable", "enable"):
        assert (await cli("keys", command, key.key_id)).code == 0
    actions: list[str] = []
    token = ""
    while True:
        options = ["--key-id", key.key_id, "--page-size", "1", *(["--page-token", token] if token else [])]
        page = (await cli("audit", *options, "--json")).json()
        actions += [entry["action"] for entry in page["entries"]]
        token = page["next_page_token"]
        if not token:
            break
    assert actions == ["enabled", "disabled", "created"]
    everything = await cli("audit", "--key-id", key.key_id, "--page-size", "1", "--all", "--json")
    assert [entry["action"] for entry in everything.json()["entries"]] == actions
    only = await cli("audit", "--key-id", key.key_id, "--action", "disabled", "--since", "1h", "--json")
    assert [entry["action"] for entry in only.json()["entries"]] == ["disabled"]
    assert (await cli("audit", "--key-id", key.key_id, "--until", "1h")).err == "there are no such changes\n"


async def test_keys_are_filtered(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway, "--name", "Checkout", "--expires-in", "1d", "--environment", "test")
    fits = ["--owner", key.owner, "--state", "active", "--environment", "test", "--name-contains", "check"]
    for options, found in (
        ([*fits, "--expires-before", "2d"], [key.key_id]),
        ([*fits, "--expires-before", "1h"], []),
        (["--owner", key.owner, "--state", "revoked"], []),
        (["--owner", key.owner, "--environment", "live"], []),
        (["--owner", key.owner, "--name-contains", "other"], []),
    ):
        listed = await cli("keys", "list", *options, "--json")
        assert [one["key_id"] for one in listed.json()["keys"]] == found


async def test_a_key_is_verified_and_charged_and_never_an_argument(
    cli: Cli, shared_gateway: Gateway, tmp_path: Path
) -> None:
    key = await make(cli, shared_gateway, "--max-uses", "2")
    file = tmp_path / "key"
    file.write_text(key.api_key + "\n")
    looked = await cli("keys", "introspect", "--from", str(file), "--json")
    assert (looked.code, looked.json()["verdict"]["remaining_uses"]) == (0, 1)
    asked = ["--action", "join", "--channel", "lobby"]
    outcomes = [await cli("keys", "verify", *asked, "--json", stdin=key.api_key) for _ in range(3)]
    assert [outcome.code for outcome in outcomes] == [0, 0, 4]
    assert [outcome.json()["verdict"]["code"] for outcome in outcomes] == ["VALID", "VALID", "USAGE_EXCEEDED"]
    refused = await cli("keys", "verify", "--action", "publish", "--channel", "lobby", stdin=key.api_key)
    assert refused.code == 4
    assert refused.out.splitlines()[:2] == [
        "verdict      INSUFFICIENT_PERMISSIONS",
        "missing      publish:lobby",
    ]
    as_argument = await cli("keys", "verify", key.api_key)
    assert as_argument.code == 2
    assert key.api_key not in as_argument.err


async def test_a_verification_with_a_wrong_credential(cli: Cli, shared_gateway: Gateway) -> None:
    key = await make(cli, shared_gateway)
    refused = await cli.but(service_token="wrong")("keys", "verify", "--json", stdin=key.api_key)
    assert refused.code == 4
    assert refused.error()["type"] == "CallerNotAllowed"

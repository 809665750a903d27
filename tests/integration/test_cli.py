"""The command `tidewire` as a process of its own, against real services."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import Cli, cli_for
from tests.support.key_admin import MadeKey
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tidewire_client import Channels

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(shared_gateway: Gateway) -> Cli:
    """The command, in a workspace of its own."""
    return cli_for(shared_gateway)


@pytest.fixture
def make_key(shared_gateway: Gateway) -> Callable[..., MadeKey]:
    return shared_gateway.key_admin().create


def offsets(lines: list[str]) -> list[int]:
    return [json.loads(line)["offset"] for line in lines]


# listen and send


async def test_what_is_sent_is_printed(cli: Cli) -> None:
    async with cli.listening("lobby") as listen:
        sent = await cli("send", "lobby", "hello \u00fc")
        assert sent.code == 0
        assert sent.out.startswith("stored in lobby at #1  id ")
        assert (await listen.line()).endswith("  #1  ann  hello \u00fc")


async def test_frames_for_programs_are_those_of_the_protocol(cli: Cli) -> None:
    async with cli.running("listen", "lobby", "--json", "--count", "1", "--history", "1") as listen:
        sent = await cli("send", "lobby", "--data", '{"content": "x",\n "n": 1.0e2}', "--json", "--id", "m-1")
        frame = json.loads(await listen.line())
        ended = await listen.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert sent.err == ""
    assert frame["type"] == "chat_message"
    assert frame["data"] == {"content": "x", "n": 100.0}
    assert sent.json() == {"channel": "lobby", "id": "m-1", "epoch": frame["epoch"], "offset": frame["offset"]}
    assert (frame["id"], frame["client_id"], frame["offset"]) == ("m-1", "ann", 1)


async def test_a_message_with_the_same_id_is_stored_once(cli: Cli) -> None:
    first = await cli("send", "lobby", "once", "--id", "m-1", "--json")
    second = await cli("send", "lobby", "once", "--id", "m-1", "--json")
    assert first.json() == second.json()


async def test_text_and_data_from_stdin(cli: Cli) -> None:
    await cli("send", "lobby", "-", stdin="two\nlines\n")
    await cli("send", "lobby", "--type", "task_update", "--data", "-", stdin='{"task": 1}\n')
    shown = await cli("listen", "lobby", "--history", "2", "--count", "2")
    lines = shown.out.splitlines()
    assert lines[0].endswith("  ann  two\\nlines")
    assert lines[1].endswith('  ann  task_update {"task": 1}')


async def test_where_listening_begins_and_ends(cli: Cli) -> None:
    places = [(await cli("send", "lobby", str(n), "--json")).json() for n in range(5)]
    last = await cli("listen", "lobby", "--history", "2", "--count", "2", "--json")
    assert offsets(last.out.splitlines()) == [4, 5]
    place = f"{places[1]['epoch']}:{places[1]['offset']}"
    after = await cli("listen", "lobby", "--since", place, "--count", "1", "--json")
    assert offsets(after.out.splitlines()) == [3]


async def test_last_acked_goes_on_where_the_last_one_ended(cli: Cli) -> None:
    async with cli.listening("lobby", "--last-acked", "--count", "2") as first:
        for number in range(5):
            await cli("send", "lobby", str(number))
        assert (await first.end()).code == 0
    second = await cli("listen", "lobby", "--last-acked", "--count", "3", "--json")
    assert offsets(second.out.splitlines()) == [3, 4, 5]


async def test_control_characters_of_others_do_not_reach_the_terminal(cli: Cli) -> None:
    await cli("send", "lobby", "--data", json.dumps({"content": "\x1b]0;evil\x07\x9b31m\nfake  #9  bob  line"}))
    for more in ([], ["--json"]):
        shown = await cli("listen", "lobby", "--history", "1", "--count", "1", *more)
        assert shown.out.count("\n") == 1
        assert not {"\x1b", "\x07", "\x9b"} & set(shown.out)


async def test_ctrl_c_ends_it_quietly(cli: Cli) -> None:
    async with cli.listening("lobby") as listen:
        listen.process.send_signal(signal.SIGINT)
        ended = await listen.end()
    assert (ended.code, ended.out, ended.err) == (130, "", "")


async def test_it_ends_when_nobody_reads_any_more(cli: Cli) -> None:
    async with cli.listening("lobby") as listen:
        listen.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        await cli("send", "lobby", "hello")
        ended = await listen.end()
    assert (ended.code, ended.err) == (141, "")


async def test_a_revoked_key_ends_it(shared_gateway: Gateway, cli: Cli, make_key: Callable[..., MadeKey]) -> None:
    key = make_key()
    async with cli.but(api_key=key.api_key).listening("lobby") as listen:
        assert (await cli("keys", "revoke", key.key_id)).code == 0
        ended = await listen.end()
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("tidewire: API key revoked\n")
    assert "TIDEWIRE_API_KEY" in ended.err
    assert key.api_key not in ended.err


@pytest.mark.parametrize(
    ("permissions", "arguments", "words"),
    [
        (["join:other"], ["listen", "lobby"], "join:lobby"),
        (["join:other"], ["send", "lobby", "x"], "join:lobby"),
        (["join:lobby"], ["send", "lobby", "x"], "publish:lobby"),
    ],
)
async def test_what_the_key_does_not_allow_is_named(
    cli: Cli, make_key: Callable[..., MadeKey], permissions: list[str], arguments: list[str], words: str
) -> None:
    with_key = cli.but(api_key=make_key(permissions).api_key)
    refused = await with_key(*arguments)
    assert (refused.code, refused.out) == (4, "")
    assert f"Missing permission: {words}" in refused.err
    assert (await with_key(*arguments, "--json")).error()["type"] == "CallerNotAllowed"


async def test_a_wrong_key_is_refused_and_not_repeated(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0wrong0\n")
    refused = await cli("listen", "lobby", "--json", "--key-file", str(file))
    assert refused.code == 4
    error = refused.error()
    assert (error["message"], error["reason"], error["exit_code"]) == ("Invalid API key", "invalid_key", 4)
    assert str(file) in error["hint"]
    assert "0wrong0" not in refused.err


async def test_a_key_in_a_file(cli: Cli, make_key: Callable[..., MadeKey], tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(make_key(["join:lobby", "publish:lobby"]).api_key + "\n")
    assert (await cli("send", "lobby", "x", "--key-file", str(file))).code == 0


async def test_workspaces_and_domains_are_apart(cli: Cli) -> None:
    await cli("send", "lobby", "mine")
    for option in ("--workspace", "--domain"):
        other = await cli("send", "lobby", "theirs", option, new_name("x"), "--json")
        assert other.json()["offset"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["listen", "bad name"], 2, "channel name"),
        (["send", "lobby", "--data", "{}"], 2, "content"),
        (["send", "lobby", "x", "--client-id", "a b"], 2, "client id"),
        (["send", "lobby", "x", "--workspace", "a b"], 2, "workspace"),
        (["send", "lobby", "-"], 1, ""),
    ],
)
async def test_what_the_edge_refuses(cli: Cli, arguments: list[str], code: int, words: str) -> None:
    refused = await cli(*arguments, stdin="x" * 62_000)
    assert refused.code == code
    assert words in refused.err
    assert "Traceback" not in refused.err


async def test_something_that_is_no_edge(cli: Cli, shared_gateway: Gateway) -> None:
    wrong = await cli("listen", "lobby", "--url", f"http://{shared_gateway.edge.address}/elsewhere")
    assert wrong.code == 1
    assert "no edge" in wrong.err


@pytest.mark.parametrize("crash", [True, False], ids=["crash", "drain"])
async def test_listening_outlives_a_restart_of_the_edge(gateway: Gateway, crash: bool) -> None:
    """A back end publishes without a pause while the edge is killed, or drained, and started again."""
    cli, total = cli_for(gateway, domain="tests"), 200
    workspace = cli._environment["TIDEWIRE_WORKSPACE"]
    restarted = asyncio.Event()

    async def publish() -> None:
        options = {"token": gateway.service_token, "client_id": "backend", "domain": "tests"}
        async with Channels(gateway.session.address, workspace=workspace, **options) as channels:
            for number in range(total):
                await channels.publish("lobby", {"content": number})
                if number == total // 2:
                    await restarted.wait()

    async with cli.running("listen", "lobby", "--json", "--count", str(total), "--history", "1000") as listen:
        publishing = asyncio.create_task(publish())
        lines = [await listen.line() for _ in range(total // 4)]
        if crash:
            await asyncio.to_thread(gateway.edge.restart_after_kill9)
        else:
            assert await asyncio.to_thread(gateway.edge.stop) == 0
            await asyncio.to_thread(gateway.edge.start)
        restarted.set()
        await publishing
        ended = await listen.end()
    lines += ended.out.splitlines()
    assert ended.code == 0
    assert offsets(lines) == list(range(1, total + 1))
    assert [json.loads(line)["data"]["content"] for line in lines] == list(range(total))


async def test_people_are_told_of_an_interruption(gateway: Gateway) -> None:
    cli = cli_for(gateway)
    async with cli.listening("lobby") as listen:
        gateway.edge.kill9()
        assert "again in" in await listen.said("interrupted: ")
        await asyncio.to_thread(gateway.edge.start)
        await listen.said("listening to lobby")
        await cli("send", "lobby", "back")
        assert (await listen.line()).endswith("  ann  back")


# keys


async def test_the_life_of_a_key(cli: Cli, shared_gateway: Gateway) -> None:
    made = await cli(
        "keys", "create", "--owner", "ann", "--permission", "join:lobby", "--permission", "publish:lobby", "--name", "n"
    )
    assert made.code == 0
    api_key, *lines = made.out.splitlines()
    shared_gateway.canaries.add(api_key)
    key_id = api_key.split("_")[2]
    assert "this once" in made.err
    assert f"key id       {key_id}" in lines
    assert "permissions  join:lobby publish:lobby" in lines
    assert (await cli.but(api_key=api_key)("send", "lobby", "x")).code == 0
    for command, words in (
        ("disable", "is disabled"),
        ("disable", "is disabled"),
        ("enable", "is enabled"),
        ("revoke", "is revoked for ever"),
        ("revoke", "is revoked for ever"),
    ):
        changed = await cli("keys", command, key_id)
        assert (changed.code, changed.err) == (0, "")
        assert changed.out.startswith(f"{key_id} {words}")
    refused = await cli.but(api_key=api_key)("send", "lobby", "x")
    assert refused.code == 4
    assert "API key revoked" in refused.err
    failed = await cli("keys", "enable", key_id, "--json")
    assert failed.code == 1
    assert (failed.error()["type"], failed.error()["reason"]) == ("FailedPrecondition", "KEY_REVOKED")
    shown = await cli("keys", "get", key_id)
    assert "state        revoked" in shown.out.splitlines()
    assert api_key not in shown.out


async def test_keys_for_programs(cli: Cli, shared_gateway: Gateway) -> None:
    owner = new_name("owner")
    options = ["--workspace", "w1", "--domain", "d1", "--limit", "max_channels=3", "--environment", "test"]
    made = await cli(
        "keys", "create", "--owner", owner, "--permission", "join:*", "--expires-in", "30d", *options, "--json"
    )
    assert made.err == ""
    answer = made.json()
    shared_gateway.canaries.add(answer["api_key"])
    key = answer["key"]
    assert answer["api_key"].startswith(f"tw_test_{key['key_id']}_")
    assert (key["owner"], key["permissions"], key["state"]) == (owner, ["join:*"], "active")
    assert (key["allowed_domains"], key["allowed_workspaces"], key["limits"]) == (["d1"], ["w1"], {"max_channels": 3})
    assert key["expire_time"].endswith("Z")
    listed = await cli("keys", "list", "--owner", owner, "--json")
    assert listed.json() == {"keys": [key]}
    disabled = await cli("keys", "disable", key["key_id"], "--reason", "for now", "--json")
    assert disabled.json()["key"]["state_reason"] == "for now"
    assert answer["api_key"] not in listed.out + disabled.out


async def test_a_list_shows_every_id_in_full(cli: Cli, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(["join:" + "x" * 100, "publish:" + "y" * 100])
    listed = await cli("keys", "list", "--owner", "tests")
    row = next(line for line in listed.out.splitlines() if line.startswith(key.key_id))
    assert row.endswith("join:" + "x" * 100 + " publish:" + "y" * 100)
    assert "\x1b" not in listed.out


async def test_an_owner_without_keys(cli: Cli) -> None:
    listed = await cli("keys", "list", "--owner", "nobody")
    assert (listed.code, listed.out, listed.err) == (0, "", "there are no such keys\n")
    assert (await cli("keys", "list", "--owner", "nobody", "--json")).json() == {"keys": []}


async def test_a_key_that_is_not_there(cli: Cli) -> None:
    for command in ("show", "revoke", "disable", "enable"):
        missing = await cli("keys", command, "none", "--json")
        assert missing.code == 5
        assert missing.error()["reason"] == "KEY_NOT_FOUND"


async def test_only_administrators_change_keys(cli: Cli, make_key: Callable[..., MadeKey]) -> None:
    key, admin = make_key(["join:*"]), make_key(["admin:*"])
    without = cli.without("SERVICE_TOKEN")
    refused = await without.but(api_key=key.api_key)("keys", "list")
    assert refused.code == 4
    assert "TIDEWIRE_API_KEY" in refused.err
    assert "admin:*" in refused.err
    assert key.api_key not in refused.err
    assert (await without.but(api_key=admin.api_key)("keys", "list")).code == 0
    unknown = await cli.but(service_token="unknown-0secret0")("keys", "list")
    assert unknown.code == 4
    assert "TIDEWIRE_SERVICE_TOKEN" in unknown.err
    assert "0secret0" not in unknown.err


async def test_what_the_auth_service_refuses(cli: Cli) -> None:
    refused = await cli("keys", "create", "--owner", "ann", "--permission", "nonsense", "--json")
    assert refused.code == 2
    assert "action:pattern" in refused.error()["message"]


async def test_services_that_are_away(gateway: Gateway) -> None:
    cli = cli_for(gateway)
    gateway.auth.kill9()
    try:
        away = await cli("keys", "list", "--timeout", "0.5")
        assert away.code == 3
        assert gateway.auth.address in away.err
        assert "TIDEWIRE_AUTH_TARGET" in away.err
        made = await cli("keys", "create", "--owner", "a", "--permission", "join:*", "--timeout", "0.5", "--json")
        assert made.code == 3
        assert made.error()["safe_to_repeat"] is True
    finally:
        gateway.auth.start()
    gateway.edge.kill9()
    try:
        away = await cli("send", "lobby", "x", "--timeout", "0.5")
        assert away.code == 3
        assert "TIDEWIRE_URL" in away.err
    finally:
        gateway.edge.start()

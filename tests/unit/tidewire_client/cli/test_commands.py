"""What commands ask of the client and how they print its answers, with fakes in its place."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from tests.unit.tidewire_client.cli.test_keys import NOW, key
from tests.unit.tidewire_client.peers import message
from tidewire_client.audit import AuditAction, AuditEntry, AuditPage
from tidewire_client.cli import listen as listen_module
from tidewire_client.cli import send as send_module
from tidewire_client.cli.auth import AuthAccess
from tidewire_client.cli.failures import ExitCode
from tidewire_client.cli.main import run
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.edge_frames import parse_frame
from tidewire_client.edge_sender import Confirmed
from tidewire_client.errors import NotFound
from tidewire_client.keys import CreatedKey, Key, KeyState, RotatedKey, VerificationRate
from tidewire_client.listener import Joined, Received
from tidewire_client.message import Position
from tidewire_client.verdict import KeyLimits, Verdict, VerdictCode

Captured = pytest.CaptureFixture[str]
API_KEY = "tw_live_4fK2_0secret0"


class FakeAdmin:
    """A `KeyAdmin` that knows one key."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.reason = ""
        self.filters: dict[str, Any] = {}
        self.updated: Any = None
        self.rotated: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def create(self, owner: str, permissions: Sequence[str], **more: Any) -> CreatedKey:
        self.created = {"owner": owner, "permissions": permissions, **more}
        return CreatedKey(key(), API_KEY)

    async def get(self, key_id: str) -> Key:
        if key_id != "4fK2":
            raise NotFound("no such key", reason="KEY_NOT_FOUND")
        return key()

    async def list_all(self, **filters: Any) -> AsyncIterator[Key]:
        self.filters = filters
        if filters["owner"] != "nobody":
            yield await self.get("4fK2")

    async def update(self, key_id: str, *, etag: str, **fields: Any) -> Key:
        self.updated = (key_id, etag, fields)
        return key()

    async def rotate(self, key_id: str, **more: Any) -> RotatedKey:
        self.rotated = (key_id, more)
        return RotatedKey(replace(key(), key_id="new"), API_KEY, replace(key(), expire_time=NOW))

    async def delete(self, key_id: str, *, reason: str = "") -> None:
        self.reason = reason

    async def audit_page(self, *, page_token: str, **filters: Any) -> AuditPage:
        self.filters = filters
        made = AuditEntry(7, NOW, "service-token", AuditAction.CREATED, "4fK2", "", None, key())
        named = AuditEntry(8, NOW, "key:a", AuditAction.UPDATED, "4fK2", "r", key(), replace(key(), name="n", etag="2"))
        return {
            "": AuditPage((), "1"),
            "1": AuditPage((named,), "2"),
            "2": AuditPage((made,), ""),
        }[page_token]

    async def revoke(self, key_id: str, *, reason: str = "") -> Key:
        self.reason = reason
        return key(KeyState.REVOKED)

    async def disable(self, key_id: str, *, reason: str = "") -> Key:
        self.reason = reason
        return key(KeyState.DISABLED)

    async def enable(self, key_id: str) -> Key:
        return key()


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    fake = FakeAdmin()
    monkeypatch.setattr(AuthAccess, "key_admin", lambda _: fake)
    return fake


def test_a_made_key_is_the_first_line(admin: FakeAdmin, capsys: Captured) -> None:
    options = ["--expires-at", "2999-01-01T00:00:00Z", "--domain", "d", "--limit", "max_channels=3"]
    options += ["--rate", "100/1m", "--max-uses", "9"]
    assert run(["keys", "create", "--owner", "ann", "--permission", "join:*", *options]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [API_KEY, "key id       4fK2"]
    assert "this once" in err
    assert admin.created == {
        "owner": "ann",
        "permissions": ["join:*"],
        "name": "",
        "domains": ["d"],
        "workspaces": (),
        "limits": KeyLimits(max_channels=3),
        "expire_time": datetime(2999, 1, 1, tzinfo=UTC),
        "environment": "live",
        "verification_rate": VerificationRate(100, timedelta(minutes=1)),
        "max_uses": 9,
    }
    assert run(["keys", "create", "--owner", "ann", "--permission", "join:*", "--json"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert (json.loads(out)["api_key"], err) == (API_KEY, "")


@pytest.mark.usefixtures("admin")
def test_lists(capsys: Captured) -> None:
    assert run(["keys", "list"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "KEY ID  STATE   OWNER  NAME  EXPIRES  PERMISSIONS",
        "4fK2    active  ann    -     never    join:* publish:lobby",
    ]
    assert run(["keys", "list", "--json"]) == ExitCode.OK
    assert [found["key_id"] for found in json.loads(capsys.readouterr().out)["keys"]] == ["4fK2"]
    for owner in ([], ["--owner", "nobody"]):
        assert run(["keys", "list", *owner]) == ExitCode.OK
    assert capsys.readouterr().err == "there are no such keys\n"


def test_a_list_is_filtered(admin: FakeAdmin) -> None:
    options = ["--state", "active", "--environment", "test", "--name-contains", "pay"]
    assert run(["keys", "list", *options, "--expires-before", "2027-01-01T00:00:00Z"]) == ExitCode.OK
    assert admin.filters == {
        "owner": "",
        "states": [KeyState.ACTIVE],
        "environment": "test",
        "name_contains": "pay",
        "expires_before": datetime(2027, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--name", ""], {"name": ""}),
        (["--limit", "max_channels=3"], {"limits": {"max_channels": 3}}),
        (["--max-uses", "0", "--no-rate"], {"max_uses": 0, "verification_rate": None}),
        (["--rate", "5/1s"], {"verification_rate": VerificationRate(5, timedelta(seconds=1))}),
        (["--all-domains", "--workspace", "w"], {"domains": (), "workspaces": ["w"]}),
        (["--all-workspaces", "--domain", "d"], {"workspaces": (), "domains": ["d"]}),
        (["--never-expires", "--owner", "bob"], {"expire_time": None, "owner": "bob"}),
        (["--expires-at", "2999-01-01T00:00:00Z"], {"expire_time": datetime(2999, 1, 1, tzinfo=UTC)}),
        (["--permission", "join:a", "--permission", "join:b"], {"permissions": ["join:a", "join:b"]}),
    ],
)
def test_only_what_is_given_is_changed(
    admin: FakeAdmin, capsys: Captured, options: list[str], fields: dict[str, Any]
) -> None:
    assert run(["keys", "update", "4fK2", *options, "--etag", "e1"]) == ExitCode.OK
    assert admin.updated == ("4fK2", "e1", fields)
    assert capsys.readouterr().out == f"4fK2 is changed: {' '.join(sorted(fields))}\n"


def test_a_key_is_rotated_and_the_new_one_shown_once(admin: FakeAdmin, capsys: Captured) -> None:
    assert run(["keys", "rotate", "4fK2", "--grace", "24h"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [API_KEY, "key id       new"]
    assert "4fK2, which it replaces, ends 2026-11-24 09:00:00 UTC" in err
    assert admin.rotated == ("4fK2", {"grace": timedelta(hours=24), "expire_time": None})
    assert run(["keys", "rotate", "4fK2", "--grace", "0", "--json"]) == ExitCode.OK
    answer = json.loads(capsys.readouterr().out)
    assert (answer["api_key"], answer["key"]["key_id"], answer["replaced"]["key_id"]) == (API_KEY, "new", "4fK2")


def test_a_key_is_removed(admin: FakeAdmin, capsys: Captured) -> None:
    assert run(["keys", "delete", "4fK2", "--reason", "r"]) == ExitCode.OK
    assert capsys.readouterr() == ("4fK2 is removed; its connections are closed\n", "")
    assert admin.reason == "r"
    assert run(["keys", "delete", "4fK2", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"key_id": "4fK2"}


def test_changes_are_listed_by_page(admin: FakeAdmin, capsys: Captured) -> None:
    options = ["--key-id", "4fK2", "--actor", "key:a", "--action", "updated", "--since", "2026-01-01T00:00:00Z"]
    assert run(["audit", *options]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "TIME                     ACTION   KEY ID  ACTOR  CHANGED  REASON",
        "2026-11-24 09:00:00 UTC  updated  4fK2    key:a  name     r",
    ]
    assert err == "There are more: --page-token 2, or --all.\n"
    assert admin.filters == {
        "page_size": 50,
        "key_id": "4fK2",
        "actor": "key:a",
        "actions": [AuditAction.UPDATED],
        "start_time": datetime(2026, 1, 1, tzinfo=UTC),
        "end_time": None,
    }


@pytest.mark.usefixtures("admin")
def test_changes_for_programs(capsys: Captured) -> None:
    assert run(["audit", "--all", "--json"]) == ExitCode.OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["next_page_token"] == ""
    updated, created = answer["entries"]
    assert (updated["action"], updated["changed"], updated["after"]["name"]) == ("updated", ["name"], "n")
    assert (created["before"], created["changed"], created["after"]["key_id"]) == (None, [], "4fK2")
    assert run(["audit", "--page-token", "1", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["next_page_token"] == "2"


class FakeVerifier:
    """A `KeyVerifier` that knows one key."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def verify(self, api_key: str, **question: str) -> Verdict:
        self.asked.append(("verify", api_key, question))
        if api_key == API_KEY:
            return Verdict(
                VerdictCode.VALID, "4fK2", "ann", ("join:*",), remaining_uses=3, expire_time_s=NOW.timestamp()
            )
        return Verdict(VerdictCode.RATE_LIMITED, retry_after_s=1.5, missing="")

    async def introspect(self, api_key: str, **question: str) -> Verdict:
        self.asked.append(("introspect", api_key, question))
        return Verdict(VerdictCode.NOT_FOUND)

    async def close(self) -> None:
        pass


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> FakeVerifier:
    fake = FakeVerifier()
    monkeypatch.setattr(AuthAccess, "verifier", lambda _: fake)
    return fake


def test_a_key_is_verified_from_stdin_or_a_file(
    verifier: FakeVerifier, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(API_KEY + "\n"))
    options = ["--action", "join", "--channel", "lobby", "--client-address", "192.0.2.1"]
    assert run(["keys", "verify", *options, "--domain", "d", "--workspace", "w"]) == ExitCode.OK
    question = {
        "action": "join",
        "channel": "lobby",
        "client_address": "192.0.2.1",
        "domain": "d",
        "workspace": "w",
    }
    assert verifier.asked == [("verify", API_KEY, question)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "verdict      VALID"
    assert "uses left    3" in lines
    assert "expires      2026-11-24 09:00:00 UTC" in lines
    file = tmp_path / "key"
    file.write_text("other\n")
    assert run(["keys", "verify", "--from", str(file), "--json"]) == ExitCode.NOT_ALLOWED
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert (verdict["code"], verdict["valid"], verdict["retry_after_s"]) == ("RATE_LIMITED", False, 1.5)


def test_a_look_charges_nothing(verifier: FakeVerifier, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(API_KEY))
    assert run(["keys", "introspect"]) == ExitCode.NOT_ALLOWED
    assert verifier.asked[0][0] == "introspect"
    assert capsys.readouterr().out == "verdict  NOT_FOUND\n"


def test_a_terminal_is_asked_without_an_echo(verifier: FakeVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", lambda _: API_KEY)
    assert run(["keys", "verify"]) == ExitCode.OK
    assert verifier.asked[0][1] == API_KEY


def test_no_key_to_verify(verifier: FakeVerifier, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run(["keys", "verify"]) == ExitCode.USAGE
    assert "--from" in capsys.readouterr().err
    assert verifier.asked == []


@pytest.mark.usefixtures("admin")
def test_one_key_is_shown(capsys: Captured) -> None:
    assert run(["keys", "show", "4fK2"]) == ExitCode.OK
    assert "owner        ann" in capsys.readouterr().out.splitlines()
    assert run(["keys", "show", "4fK2", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["key"]["owner"] == "ann"
    assert run(["keys", "show", "other"]) == ExitCode.NOT_FOUND
    assert capsys.readouterr() == ("", "tidewire: no such key\n")


@pytest.mark.parametrize(
    ("command", "words", "state"),
    [
        (["revoke", "4fK2", "--reason", "r"], "4fK2 is revoked for ever; its connections are closed", "revoked"),
        (["disable", "4fK2", "--reason", "r"], "4fK2 is disabled; its connections are closed", "disabled"),
        (["enable", "4fK2"], "4fK2 is enabled", "active"),
    ],
)
def test_changes_are_told(admin: FakeAdmin, capsys: Captured, command: list[str], words: str, state: str) -> None:
    assert run(["keys", *command]) == ExitCode.OK
    assert capsys.readouterr() == (words + "\n", "")
    assert run(["keys", *command, "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["key"]["state"] == state
    assert admin.reason == ("r" if "--reason" in command else "")


def test_sending_names_the_place(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def send_message(login: EdgeLogin, channel: str, data: bytes, **more: Any) -> Confirmed:
        asked.append((login, channel, data, more))
        return Confirmed(channel, "m-1", Position("e1", 7))

    monkeypatch.setattr(send_module, "send_message", send_message)
    assert run(["send", "lobby", "hi", "--client-id", "ann", "--id", "m-1"]) == ExitCode.OK
    assert capsys.readouterr() == ("stored in lobby at #7  id m-1\n", "")
    assert run(["send", "lobby", "hi", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"channel": "lobby", "id": "m-1", "epoch": "e1", "offset": 7}
    login = EdgeLogin("http://127.0.0.1:8000", "development", "ann", "personal", "personal")
    more = {"message_type": "chat_message", "message_id": "m-1", "deadline_s": 10.0}
    assert asked[0] == (login, "lobby", b'{"content":"hi"}', more)


class FakeListener:
    """A `Listener` that joins, and gets two messages."""

    last: FakeListener

    def __init__(self, login: EdgeLogin, *channels: str, **more: Any) -> None:
        FakeListener.last = self
        self.asked = (channels, more)
        self.acknowledged: list[str] = []
        self._events = [
            Joined("lobby", Position("e1", 0)),
            *(Received(parse_frame(json.dumps(message(offset)))) for offset in (1, 2)),
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._events.pop(0)

    def acknowledge(self, received: Received) -> None:
        self.acknowledged.append(received.frame.id)


@pytest.mark.parametrize(
    ("options", "asked", "acknowledged"),
    [
        ([], {"since": {}, "last_acked": False, "history": 0}, []),
        (["--history", "5"], {"since": {}, "last_acked": False, "history": 5}, []),
        (["--since", "e1:3"], {"since": {"lobby": Position("e1", 3)}, "last_acked": False, "history": 0}, []),
        (["--last-acked"], {"since": {}, "last_acked": True, "history": 0}, ["m-1", "m-2"]),
    ],
)
def test_listening_begins_where_it_is_told(
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    asked: dict[str, Any],
    acknowledged: list[str],
) -> None:
    monkeypatch.setattr(listen_module, "Listener", FakeListener)
    assert run(["listen", "lobby", "--count", "2", "--timeout", "3", *options]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert [line[8:] for line in out.splitlines()] == ["  #1  alice  text 1", "  #2  alice  text 2"]
    assert err == "listening to lobby; Ctrl-C ends\n"
    assert FakeListener.last.asked == (("lobby",), {**asked, "first_connection_s": 3.0})
    assert FakeListener.last.acknowledged == acknowledged

"""What commands ask of the client and how they print its answers, with fakes in its place."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import pytest

from tests.unit.tidewire_client.cli.test_keys import key
from tests.unit.tidewire_client.peers import message
from tidewire_client.cli import listen as listen_module
from tidewire_client.cli import send as send_module
from tidewire_client.cli.auth import AuthAccess
from tidewire_client.cli.failures import ExitCode
from tidewire_client.cli.main import run
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.edge_frames import parse_frame
from tidewire_client.edge_sender import Confirmed
from tidewire_client.errors import NotFound
from tidewire_client.keys import CreatedKey, Key, KeyState
from tidewire_client.listener import Joined, Received
from tidewire_client.message import Position
from tidewire_client.verdict import KeyLimits

Captured = pytest.CaptureFixture[str]
API_KEY = "tw_live_4fK2_0secret0"


class FakeAdmin:
    """A `KeyAdmin` that knows one key."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.reason = ""

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

    async def list_all(self, *, owner: str = "") -> AsyncIterator[Key]:
        if owner != "nobody":
            yield await self.get("4fK2")

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
    assert capsys.readouterr().err == "there are no keys of nobody\n"


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

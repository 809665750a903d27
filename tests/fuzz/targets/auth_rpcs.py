"""Every RPC of the auth service, called in any order with any messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidewire.auth.v1 import admin_pb2, auth_pb2, keys_pb2
from tidewire.envoy.v3 import external_auth_pb2

from tests.fuzz.target import Check, Target
from tests.fuzz.worlds.auth import auth_world, keys_made
from tests.fuzz.worlds.loops import on_a_loop
from tests.fuzz.worlds.rpc_table import RpcTable
from tests.support.key_reference import slow_parse
from tests.support.permission_reference import WITHOUT_CHANNEL, slow_allows
from tidewire_client.keys import KeyState, key_of


def _all_came(request: auth_pb2.WatchKeysRequest, responses: Sequence[auth_pb2.WatchKeysResponse]) -> bool:
    """Say whether a stream has told what was missed: after a checkpoint what was asked for, and a checkpoint again."""
    last, asked = responses[-1].WhichOneof("event"), request.from_revision != 0
    return last == "resync_required" or (last == "checkpoint" and len(responses) > asked)


RPCS: Final = RpcTable(
    ("admin", "CreateKey", admin_pb2.CreateKeyRequest),
    ("admin", "GetKey", admin_pb2.GetKeyRequest),
    ("admin", "ListKeys", admin_pb2.ListKeysRequest),
    ("admin", "UpdateKey", admin_pb2.UpdateKeyRequest),
    ("admin", "RotateKey", admin_pb2.RotateKeyRequest),
    ("admin", "RevokeKey", admin_pb2.RevokeKeyRequest),
    ("admin", "DisableKey", admin_pb2.DisableKeyRequest),
    ("admin", "EnableKey", admin_pb2.EnableKeyRequest),
    ("admin", "DeleteKey", admin_pb2.DeleteKeyRequest),
    ("admin", "ListAuditEntries", admin_pb2.ListAuditEntriesRequest),
    ("auth", "VerifyKey", auth_pb2.VerifyKeyRequest),
    ("auth", "VerifyKeys", auth_pb2.VerifyKeysRequest),
    ("auth", "IntrospectKey", auth_pb2.IntrospectKeyRequest),
    ("auth", "CheckPermission", auth_pb2.CheckPermissionRequest),
    ("envoy", "Check", external_auth_pb2.CheckRequest),
    ("auth", "WatchKeys", auth_pb2.WatchKeysRequest),
    streams={"WatchKeys": _all_came},
)
_SECRET_CHARS: Final = 38  # secret and checksum


@dataclass
class Book:
    """What a caller knows of the keys that it made: the text of each, and the key as it was last told."""

    texts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, keys_pb2.Key] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def note(self, key: keys_pb2.Key, text: str = "") -> None:
        """Take what a response says of a key, which the client of ours must be able to read."""
        read = key_of(key)
        assert (read.key_id, read.owner, read.permissions) == (key.key_id, key.owner, tuple(key.permissions))
        assert read.state is not KeyState.UNKNOWN
        self.keys[key.key_id] = key
        self.ids.add(key.key_id)
        if text:
            assert slow_parse(text) == (key.environment, key.key_id, text[-_SECRET_CHARS:-6])
            self.texts[text] = key.key_id

    def check_valid(self, text: str, verdict: auth_pb2.Verdict) -> None:
        """Fail if a verdict on a text says VALID of what is no good key, or does not know what is one."""
        key_id = self.texts.get(text, "")
        key = self.keys.get(key_id)
        if verdict.code == auth_pb2.VERDICT_CODE_VALID:
            assert key is not None, "a text that nobody was given is a key"
            assert key.state == keys_pb2.KEY_STATE_ACTIVE, "a key that was taken back is good"
            assert list(verdict.permissions) == list(key.permissions)
        if verdict.code == auth_pb2.VERDICT_CODE_NOT_FOUND:
            assert key is None, "a key that was made is not found"

    def check_watch(self, from_revision: int, responses: Sequence[auth_pb2.WatchKeysResponse]) -> None:
        """Fail unless a watcher is told each change that it missed, once and in order, and how far that goes; or to resync."""
        first, last = responses[0], responses[-1]
        assert first.WhichOneof("event") == "checkpoint"
        changes = [response.change for response in responses[1:-1]]
        assert [change.revision for change in changes] == sorted({change.revision for change in changes})
        assert all(from_revision < change.revision <= last.checkpoint.revision for change in changes)
        assert all(change.key_id in self.ids for change in changes), "a key that nobody made has changed"
        assert all(change.code != auth_pb2.VERDICT_CODE_UNSPECIFIED for change in changes)
        if last.HasField("resync_required"):
            assert not changes
            assert last.resync_required.reason

    def check_permission(self, request: auth_pb2.CheckPermissionRequest, verdict: auth_pb2.Verdict) -> None:
        """Fail unless a permission is judged as the slow way does."""
        key = self.keys.get(request.key_id)
        judged = verdict.code in (auth_pb2.VERDICT_CODE_VALID, auth_pb2.VERDICT_CODE_INSUFFICIENT_PERMISSIONS)
        if key is not None and judged and request.action:
            resource = request.channel or ("*" if request.action in WITHOUT_CHANNEL else "")
            allowed = slow_allows(list(key.permissions), request.action, resource)
            assert allowed == (verdict.code == auth_pb2.VERDICT_CODE_VALID), (request, list(key.permissions))


async def check(data: bytes, folder: Path) -> None:
    """Make the calls of a program."""
    async with auth_world(folder) as world:
        book = Book()
        async for outcome in RPCS.run(world, data):
            if outcome.ended is None:
                _judge(book, outcome.rpc, outcome.request, outcome.response)
            else:
                for text in book.texts:
                    assert text[-_SECRET_CHARS:] not in outcome.ended.message, "a secret is in a status"


def _judge(book: Book, name: str, request: Any, response: Any) -> None:
    """Hold a response against what was known before."""
    if name == "VerifyKeys":
        assert len(response.verdicts) == len(request.requests)
        for one, verdict in zip(request.requests, response.verdicts, strict=True):
            book.check_valid(one.api_key, verdict)
    elif name in ("VerifyKey", "IntrospectKey"):
        book.check_valid(request.api_key, response.verdict)
    elif name == "CheckPermission":
        book.check_permission(request, response.verdict)
    elif name == "Check":
        assert response.HasField("ok_response") != response.HasField("denied_response")
        assert response.HasField("ok_response") == (response.status.code == 0)
    elif name == "WatchKeys":
        book.check_watch(request.from_revision, response)
    elif name == "DeleteKey":
        book.keys.pop(request.key_id)
    elif name == "ListKeys":
        for key in response.keys:
            assert key.key_id in book.keys
            book.note(key)
    elif name == "ListAuditEntries":
        assert [entry.revision for entry in response.entries] == sorted(
            (entry.revision for entry in response.entries), reverse=True
        )
    else:
        book.note(response.key, getattr(response, "api_key", ""))
        if name == "RotateKey":
            book.note(response.replaced)


@contextmanager
def opened() -> Iterator[Check]:
    """Each input has an auth service of its own."""
    with on_a_loop(check) as made:
        yield made


def seeds() -> dict[str, bytes]:
    """Return programs that use every RPC, with the keys that a world makes first."""
    first, second = keys_made(2)
    create = admin_pb2.CreateKeyRequest(owner="team", name="a key", permissions=["join:chat-*", "admin:*"])
    bounded = admin_pb2.CreateKeyRequest(owner="team", permissions=["*:*"], allowed_domains=["d"], max_uses=2)
    bounded.verification_rate.verifications = 5
    bounded.verification_rate.period.FromSeconds(1)
    bounded.expire_time.FromSeconds(4_000_000_000)
    verify = auth_pb2.VerifyKeyRequest(
        api_key=first.text, domain="d", workspace="w", action="join", channel="chat-1", client_address="192.0.2.1"
    )
    permission = auth_pb2.CheckPermissionRequest(key_id=first.key_id, action="publish", channel="chat-1")
    rotate = admin_pb2.RotateKeyRequest(key_id=first.key_id)
    rotate.grace.FromSeconds(60)
    update = admin_pb2.UpdateKeyRequest()
    update.key.key_id = first.key_id
    update.key.permissions.append("publish:*")
    update.update_mask.paths.extend(["permissions", "limits.max_channels", "expire_time"])
    listing = admin_pb2.ListKeysRequest(owner="team", page_size=1, states=[keys_pb2.KEY_STATE_ACTIVE])
    listing.expires_before.FromSeconds(4_100_000_000)
    envoy = external_auth_pb2.CheckRequest()
    envoy.attributes.request.http.headers["authorization"] = f"Bearer {first.text}"
    envoy.attributes.context_extensions["action"] = "join"
    envoy.attributes.context_extensions["channel"] = "chat-1"
    envoy.attributes.source.address.socket_address.address = "192.0.2.1"
    one = {"key_id": first.key_id}
    return {
        "create-verify-check": RPCS.program(
            ("CreateKey", create), ("VerifyKey", verify), ("CheckPermission", permission)
        ),
        "bounded": RPCS.program(("CreateKey", bounded), *[("VerifyKey", verify)] * 4, ("IntrospectKey", verify)),
        "rotate": RPCS.program(
            ("CreateKey", create),
            ("RotateKey", rotate),
            (
                "VerifyKeys",
                auth_pb2.VerifyKeysRequest(requests=[verify, auth_pb2.VerifyKeyRequest(api_key=second.text)]),
            ),
        ),
        "revoke": RPCS.program(
            ("CreateKey", create),
            ("DisableKey", admin_pb2.DisableKeyRequest(**one, reason="away")),
            ("VerifyKey", verify),
            ("EnableKey", admin_pb2.EnableKeyRequest(**one)),
            ("VerifyKey", verify),
            ("RevokeKey", admin_pb2.RevokeKeyRequest(**one, reason="gone")),
            ("VerifyKey", verify),
            ("EnableKey", admin_pb2.EnableKeyRequest(**one)),
        ),
        "update-and-list": RPCS.program(
            ("CreateKey", create),
            ("UpdateKey", update),
            ("GetKey", admin_pb2.GetKeyRequest(**one)),
            ("ListKeys", listing),
            ("ListAuditEntries", admin_pb2.ListAuditEntriesRequest(**one, page_size=1)),
        ),
        "delete": RPCS.program(
            ("CreateKey", create),
            ("DeleteKey", admin_pb2.DeleteKeyRequest(**one, reason="cleaned up")),
            ("GetKey", admin_pb2.GetKeyRequest(**one)),
            ("VerifyKey", verify),
        ),
        "envoy": RPCS.program(("CreateKey", create), ("Check", envoy)),
        "watch": RPCS.program(
            ("WatchKeys", auth_pb2.WatchKeysRequest()),
            ("CreateKey", create),
            ("DisableKey", admin_pb2.DisableKeyRequest(**one, reason="away")),
            ("WatchKeys", auth_pb2.WatchKeysRequest(from_revision=1)),
            ("DeleteKey", admin_pb2.DeleteKeyRequest(**one, reason="cleaned up")),
            *[("WatchKeys", auth_pb2.WatchKeysRequest(from_revision=revision)) for revision in (1, 2, 3, 100, -1)],
            *[("WatchKeys", auth_pb2.WatchKeysRequest())] * 12,
        ),
        "no-token": RPCS.without_token(),
        "negative-times": RPCS.program(
            ("RotateKey", admin_pb2.RotateKeyRequest(**one, expire_time={"seconds": -(2**62)}))
        ),
    }


_FIRST, _SECOND = keys_made(2)
TARGET = Target(
    oracle="a status that the request has earned; VALID only for keys that were made and not taken back; permissions as the"
    " slow matcher has them; watchers are told of each change once, in order; responses that the client library reads",
    opened=opened,
    seeds=seeds,
    words=(
        *(each.text.encode() for each in (_FIRST, _SECOND)),
        *(each.key_id.encode() for each in (_FIRST, _SECOND)),
        *(
            b"join:chat-*",
            b"*:*",
            b"admin",
            b"publish",
            b"chat-1",
            b"192.0.2.1",
            b"permissions",
            b"limits.max_channels",
        ),
        *(b"expire_time", b"verification_rate", b"\x7f\xff\xff\xff", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    ),
)

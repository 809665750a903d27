"""The fast frame codec and protobuf's own JSON mapping say the same, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from tidewire.edge.v1 import client_frames_pb2 as client_pb
from tidewire.edge.v1 import errors_pb2 as errors_pb
from tidewire.edge.v1 import server_frames_pb2 as server_pb

from tests.support.golden import golden_frames
from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.close_codes import RECONNECT, CloseCode
from ws_edge.core.errors import RULES, ErrorType, FrameError
from ws_edge.core.fanout import subscription
from ws_edge.core.ports import Member, Position, StoredMessage

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
offsets = st.integers(0, 2**63 - 1)
times = st.integers(0, 4_000_000_000_000)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, json_values, max_size=4)
positions = st.builds(Position, ids, offsets)


def encoded(message: Any) -> bytes:
    """Print as a client does that speaks by protobuf's JSON mapping: 64-bit numbers become strings."""
    return json_format.MessageToJson(message, indent=None).encode()


def parsed(payload: bytes, message_type: Any) -> Any:
    return json_format.Parse(payload, message_type())


@given(names, names, ids, ids, st.lists(st.tuples(ids, ids, offsets), max_size=3))
def test_connect(domain: str, workspace: str, key: str, frame_id: str, resume: list[tuple[str, str, int]]) -> None:
    data = client_pb.ConnectData(api_key=key, connection_type="chat", domain=domain, workspace=workspace)
    data.resume.extend(client_pb.ResumeEntry(channel=c, epoch=e, offset=o) for c, e, o in resume)
    frame = client_pb.ConnectFrame(type="connect", id=frame_id, data=data)
    envelope = cf.decode_envelope(json.dumps(json.loads(encoded(frame)) | {"ignored": 1}).encode())
    assert (envelope.type, envelope.id) == ("connect", frame_id)
    decoded = cf.DataDecoder(cf.ConnectData).decode(envelope)
    assert (decoded.api_key, decoded.domain, decoded.workspace) == (key, domain, workspace)
    assert [(r.channel, r.epoch, r.offset) for r in decoded.resume] == resume


@given(ids, st.none() | st.just("last_acked") | positions, st.none() | st.integers(1, 1000), st.booleans())
def test_join(channel: str, recover: str | Position | None, history: int | None, presence: bool) -> None:
    data: dict[str, Any] = {"channel": channel, "presence": presence}
    if recover is not None:
        data["recover"] = (
            recover if isinstance(recover, str) else {"epoch": recover.epoch, "offset": str(recover.offset)}
        )
    if history is not None:
        data["history"] = history
    frame = json_format.ParseDict({"type": "join_channel", "data": data}, client_pb.JoinChannelFrame())
    decoded = cf.DataDecoder(cf.JoinData).decode(cf.decode_envelope(encoded(frame)))
    assert (decoded.channel, decoded.history, decoded.presence) == (channel, history, presence)
    if isinstance(recover, Position):
        assert isinstance(decoded.recover, cf.Position)
        assert (decoded.recover.epoch, decoded.recover.offset) == recover
    else:
        assert decoded.recover == recover


@given(ids, ids, offsets)
def test_ack_history_and_receipt(channel: str, epoch: str, offset: int) -> None:
    ack = client_pb.AckFrame(type="ack", data=client_pb.AckData(channel=channel, epoch=epoch, offset=offset))
    seen = cf.DataDecoder(cf.AckData).decode(cf.decode_envelope(encoded(ack)))
    assert (seen.channel, seen.epoch, seen.offset) == (channel, epoch, offset)
    since = client_pb.HistorySince(epoch=epoch, offset=offset)
    history = client_pb.HistoryRequestFrame(
        type="history", data=client_pb.HistoryRequestData(channel=channel, since=since, limit=7)
    )
    wanted = cf.DataDecoder(cf.HistoryData).decode(cf.decode_envelope(encoded(history)))
    assert wanted.since is not None
    assert (wanted.channel, wanted.since.epoch, wanted.since.offset, wanted.limit) == (channel, epoch, offset, 7)
    receipt = client_pb.ReceiptRequestFrame(
        type="receipt", data=client_pb.ReceiptRequestData(channel=channel, offset=max(1, offset))
    )
    asked = cf.DataDecoder(cf.ReceiptData).decode(cf.decode_envelope(encoded(receipt)))
    assert (asked.channel, asked.offset) == (channel, max(1, offset))


@given(objects, ids, text)
def test_messages_keep_their_data(data: dict[str, Any], frame_id: str, channel: str) -> None:
    frame = client_pb.ChatMessageFrame(type="chat_message", id=frame_id, channel=channel)
    frame.data.SetInParent()
    frame.data.update(data)
    envelope = cf.decode_envelope(encoded(frame))
    assert (envelope.type, envelope.id, envelope.channel) == ("chat_message", frame_id, channel)
    assert json.loads(bytes(envelope.data)) == data


@given(objects, positions, ids, names, times)
def test_deliveries(data: dict[str, Any], at: Position, message_id: str, sender: str, time_ms: int) -> None:
    raw = json.dumps(data).encode()
    stored = StoredMessage("chat_message", message_id, sender, at.epoch, at.offset, time_ms, raw)
    frame = parsed(server_frames.message(stored, "room"), server_pb.ChatMessageDeliveryFrame)
    assert (frame.type, frame.id, frame.client_id, frame.channel) == ("chat_message", message_id, sender, "room")
    assert (frame.epoch, frame.offset) == at
    assert frame.timestamp.ToMilliseconds() == time_ms
    assert json_format.MessageToDict(frame.data) == data
    page = server_frames.history([stored], at, True, None, time_ms, frame_id="h", channel="room", client_id="me")
    history = parsed(page, server_pb.HistoryFrame)
    assert (history.data.messages[0].id, history.data.more) == (message_id, True)
    assert (history.data.epoch, history.data.offset) == at


@given(st.sampled_from(list(ErrorType)), text, st.none() | ids, st.none() | st.integers(0, 10**9), times)
def test_errors(kind: ErrorType, words: str, frame_id: str | None, wait: int | None, time_ms: int) -> None:
    problem = FrameError(kind, words, retry_after_ms=wait, details={"safe_to_repeat": True}, channel="room")
    payload = server_frames.error(problem, time_ms, frame_id=frame_id, client_id="me")
    frame = parsed(payload, errors_pb.ErrorFrame)
    assert (frame.data.error_type, frame.data.code, frame.data.message) == (kind.value, RULES[kind].code, words)
    assert frame.HasField("id") is (frame_id is not None)
    assert frame.data.HasField("retry_after_ms") is (wait is not None)
    assert frame.data.details["safe_to_repeat"] is True


@given(st.sampled_from(list(CloseCode)), text, st.integers(0, 10**9), times)
def test_disconnects(code: CloseCode, reason: str, wait: int, time_ms: int) -> None:
    payload = server_frames.disconnect(reason, code, time_ms, retry_after_ms=wait, frame_id=None, client_id="me")
    frame = parsed(payload, errors_pb.DisconnectFrame)
    assert (frame.data.reason, frame.data.code, frame.data.reconnect) == (reason, int(code), RECONNECT[code])
    assert frame.data.HasField("retry_after_ms") is RECONNECT[code]


@given(positions, st.booleans(), st.none() | text, times)
def test_confirmations_and_subscriptions(at: Position, recovered: bool, failure: str | None, time_ms: int) -> None:
    payload = server_frames.delivered(
        "chat_message", time_ms, frame_id="m", client_id="me", channel="room", position=at
    )
    frame = parsed(payload, server_pb.MessageDeliveredFrame)
    assert (frame.id, frame.channel, frame.epoch, frame.offset) == ("m", "room", *at)
    assert (frame.data.id, frame.data.channel, frame.data.epoch, frame.data.offset) == ("m", "room", *at)
    data = subscription("room", at, recovered=recovered, failure=failure)
    joined = parsed(server_frames.frame("subscription_success", data, time_ms), server_pb.SubscriptionSuccessFrame)
    assert (joined.data.epoch, joined.data.offset, joined.data.recovered) == (*at, recovered)
    assert joined.data.reason == (failure or "")


@given(names, st.sampled_from(["chat", "tasks"]), times)
def test_presence(client_id: str, connection_type: str, time_ms: int) -> None:
    member = server_frames.member(Member(client_id, connection_type, time_ms))
    payload = server_frames.frame("presence", {"channel": "room", "members": [member]}, time_ms)
    shown = parsed(payload, server_pb.PresenceFrame).data.members[0]
    assert (shown.client_id, shown.connection_type) == (client_id, connection_type)
    assert shown.joined_at.ToMilliseconds() == time_ms


@pytest.mark.parametrize("golden", [g for g in golden_frames() if g.direction == "client"], ids=lambda g: g.name)
def test_golden_frames_of_clients_decode_alike_as_text_and_through_protobuf(golden: Any) -> None:
    decoders = {
        "connect": cf.ConnectData,
        "join_channel": cf.JoinData,
        "leave_channel": cf.ChannelData,
        "presence": cf.ChannelData,
        "ack": cf.AckData,
        "history": cf.HistoryData,
        "receipt": cf.ReceiptData,
        "direct_message": cf.DirectData,
        **dict.fromkeys(cf.MESSAGE_TYPES, cf.MessageData),
    }
    direct = cf.decode_envelope(json.dumps(golden.frame).encode())
    through = cf.decode_envelope(encoded(json_format.ParseDict(golden.frame, golden.message_type())))
    assert (direct.type, direct.id, direct.channel) == (through.type, through.id, through.channel)
    data_type = decoders.get(direct.type)
    if data_type in (None, cf.MessageData, cf.DirectData):
        assert json.loads(bytes(direct.data) or b"{}") == json.loads(bytes(through.data) or b"{}")
    else:
        decoder = cf.DataDecoder(data_type)
        assert decoder.decode(direct) == decoder.decode(through)

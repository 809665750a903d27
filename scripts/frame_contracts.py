"""The contracts of the frames, read with their comments: what every rendering of them needs to know."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from scripts.contracts import PROTOS
from scripts.environment import SetupError

Comments: TypeAlias = Mapping[tuple[int, ...], str]

FRAMES: Final = tuple(
    f"tidewire/edge/v1/{name}.proto" for name in ("envelope", "client_frames", "server_frames", "errors")
)
# Of the server, and yet not what it sends as a frame of its own.
NO_FRAMES_OF_THE_SERVER: Final = frozenset({"StoredFrame", "EchoFrame"})
# A frame may come without `data`; the first gateways said no more than `Connected`.
_MAY_BE_ABSENT: Final = frozenset(
    {
        "PingFrame.data",
        "DisconnectRequestFrame.data",
        "ConnectData.resume",
        "ConnectionSuccessData.client_id",
        "ConnectionSuccessData.session_id",
    }
)
# `optional` in the contracts so that 0 is told from nothing, or because frames share their numbers.
_ALWAYS_THERE: Final = frozenset(
    {
        "PresenceMember.joined_at",
        "PresenceUpdateData.member",
        "ChannelPosition.offset",
        "ResumeEntry.offset",
        "AckData.offset",
        "HistorySince.offset",
        "ReceiptRequestData.offset",
        "SubscriptionSuccessData.epoch",
        "SubscriptionSuccessData.offset",
        "HistoryData.epoch",
        "HistoryData.offset",
        "HistoryData.more",
        "ReceiptData.epoch",
        "ReceiptData.offset",
        "ReceiptData.written",
        "ReceiptData.acknowledged",
    }
)


def described(contracts: Sequence[str], protos: Path = PROTOS) -> list[FileDescriptorProto]:
    """Return contracts with their comments, which generated Python does not keep.

    Args:
        contracts: Their files, from `protos`.
        protos: The folder of the contracts.

    Raises:
        SetupError: a contract does not compile.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "contracts.pb"
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--include_source_info"]
        result = subprocess.run(
            [*command, f"--descriptor_set_out={target}", *contracts],
            cwd=protos,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise SetupError(f"the contracts do not compile:\n{result.stderr.strip()}")
        return list(FileDescriptorSet.FromString(target.read_bytes()).file)


def comments_of(file: FileDescriptorProto) -> Comments:
    """Return the comment before each part of a contract, by the part's path as descriptors have it."""
    return {tuple(place.path): place.leading_comments for place in file.source_code_info.location}


def type_of_frame(field: FieldDescriptorProto, comment: str) -> str:
    """Return what a frame's field `type` always is; empty for other fields, and for frames of any type."""
    found = re.match(r"\s*Always `([a-z_]+)`\.", comment)
    return found[1] if field.name == "type" and found else ""


def may_be_absent(message: DescriptorProto, field: FieldDescriptorProto) -> bool:
    """Return whether a field may be left out on the wire."""
    name = f"{message.name}.{field.name}"
    if name in _MAY_BE_ABSENT:
        return True
    if name in _ALWAYS_THERE or field.label == FieldDescriptorProto.LABEL_REPEATED:
        return False
    if message.name == "StoredFrame" or message.name.endswith("DeliveryFrame"):
        return False
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        return field.name != "data"
    return field.proto3_optional

"""No error of the core is without a reason and a status, and every status is the contract's."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tidewire.session.v1 import message_pb2

from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_errors import error_info
from session_service.adapters.grpc_errors import DOMAIN, MAPPING, abort_with, command_failed
from session_service.core import errors
from tests.support.contracts import documented_reasons
from tests.unit.service_runtime.rpc import call, serving
from tests.unit.session_service.core.test_errors import MADE

REASONS = documented_reasons("tidewire/session/v1/message.proto")


def name_of(reason: int) -> str:
    return message_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def test_no_error_of_the_core_is_unmapped() -> None:
    assert set(MAPPING) == {type(error) for error in MADE}


def test_every_reason_of_the_contract_is_used_with_its_status() -> None:
    used = {name_of(reason): status for reason, status in MAPPING.values()}
    assert used == {name: status for name, (_, status, _) in REASONS.items()}
    assert set(REASONS) == {name_of(number) for number in message_pb2.ErrorReason.values()} - {"UNSPECIFIED"}


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_the_edge_stream_says_the_same(error: errors.SessionError) -> None:
    failed = command_failed(error)
    assert (failed.reason, failed.message) == (MAPPING[type(error)][0], str(error))
    assert failed.safe_to_repeat == error.safe_to_repeat
    if REASONS[name_of(failed.reason)][2]:
        assert failed.safe_to_repeat


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
async def test_a_caller_is_told_the_reason(error: errors.SessionError) -> None:
    async def fail(request: bytes, context: Any) -> bytes:
        await abort_with(context, error)

    async with serving(fail) as address, open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    info = error_info(caught.value)
    assert info is not None
    assert (info.reason, info.domain) == (name_of(MAPPING[type(error)][0]), DOMAIN)
    assert (caught.value.code(), caught.value.details()) == (REASONS[info.reason][1], str(error))
    fields = {"field": error.field} if isinstance(error, errors.InvalidField) else {}
    assert dict(info.metadata) == fields

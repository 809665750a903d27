"""No error of the core is without a status, and every status is the contract's."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tidewire.auth.v1 import keys_pb2

from auth_service.adapters.grpc_api.errors import ERROR_DOMAIN, STATUS_OF, end_with
from auth_service.core import errors
from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_errors import error_info
from tests.support.contracts import documented_reasons
from tests.unit.auth_service.core.test_errors import MADE
from tests.unit.service_runtime.rpc import call, serving

REASONS = documented_reasons("tidewire/auth/v1/keys.proto")


def test_no_error_of_the_core_is_unmapped() -> None:
    assert set(STATUS_OF) == {type(error) for error in MADE}


def test_every_reason_of_the_contract_is_used_with_its_status() -> None:
    used = {
        keys_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_"): status for status, reason in STATUS_OF.values()
    }
    assert used == {name: status for name, (_, status, _) in REASONS.items()}
    names = set(dict(keys_pb2.ErrorReason.items()))
    assert {f"ERROR_REASON_{name}" for name in REASONS} == names - {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize(
    "error", [*MADE, errors.AuthError("unforeseen"), ZeroDivisionError("tw_live_x_secret")], ids=repr
)
async def test_a_caller_is_told_the_reason_and_never_a_defects_words(error: Exception) -> None:
    async def fail(request: bytes, context: Any) -> bytes:
        await end_with(context, error)

    async with serving(fail) as address, open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    info = error_info(caught.value)
    assert info is not None
    assert info.domain == ERROR_DOMAIN
    assert caught.value.code() is REASONS[info.reason][1]
    told = "internal error" if info.reason == "INTERNAL" else str(error)
    assert caught.value.details() == told
    fields = {"field": error.field} if isinstance(error, errors.InvalidFieldError) else {}
    assert dict(info.metadata) == fields

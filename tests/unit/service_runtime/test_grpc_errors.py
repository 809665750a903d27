"""Faults with a reason, over a real connection."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_errors import abort, error_info
from tests.unit.service_runtime.rpc import Behaviour, call, serving


async def fault_of(behaviour: Behaviour) -> grpc.aio.AioRpcError:
    async with serving(behaviour) as address, open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
        return caught.value


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
async def test_every_status_comes_with_its_reason(status: grpc.StatusCode) -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        await abort(context, status, "INVALID_FIELD", "tests.tidewire", "must be \u2026 good", field="topic")

    fault = await fault_of(refuse)
    assert (fault.code(), fault.details()) == (status, "must be \u2026 good")
    info = error_info(fault)
    assert info is not None
    assert (info.reason, info.domain, dict(info.metadata)) == ("INVALID_FIELD", "tests.tidewire", {"field": "topic"})


async def test_a_fault_without_a_reason() -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-other", "1"),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")

    fault = await fault_of(refuse)
    assert fault.code() is grpc.StatusCode.NOT_FOUND
    assert error_info(fault) is None


async def test_a_fault_with_details_of_another_kind() -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo())
        await context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=14, details=[detail])))

    assert error_info(await fault_of(refuse)) is None


async def test_a_connection_that_is_refused_has_no_reason() -> None:
    async with serving(lambda request, context: None) as address:  # type: ignore[arg-type,return-value]
        pass
    async with open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(caught.value) is None

"""Repeats, deadlines, and what an error says of repeating: against a peer that fails in chosen ways."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc
from tidewire.session.v1 import session_pb2, session_pb2_grpc

from tests.support.waiting import eventually
from tests.unit.tidewire_client.peers import HANG, Fail, ScriptedService, serving, unused_target
from tidewire_client.errors import LimitExceeded, ServerFault, ServiceTimeout, ServiceUnavailable, TidewireError
from tidewire_client.service_calls import ServiceCalls

PUBLISHED = session_pb2.PublishMessageResponse(id="m-1")
CREATED = admin_pb2.CreateKeyResponse(api_key="whole")
AWAY = Fail(grpc.StatusCode.UNAVAILABLE)
REFUSED_FOR_NOW = Fail(grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE")
TIMED_OUT_INSIDE = Fail(grpc.StatusCode.DEADLINE_EXCEEDED, "ENGINE_TIMEOUT")
FULL = Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
DEFECT = Fail(grpc.StatusCode.INTERNAL, "INTERNAL")


class Client:
    """Makes one repeatable call, and one that is not."""

    def __init__(self, target: str, deadline_s: float, attempt_s: float) -> None:
        self.calls = ServiceCalls(
            target, service="peer", token="a-token", credentials=None, deadline_s=deadline_s, attempt_s=attempt_s
        )

    async def publish(self, *, caller_can_repeat: bool = True) -> session_pb2.PublishMessageResponse:
        stub = session_pb2_grpc.SessionServiceStub(self.calls.channel)
        request = session_pb2.PublishMessageRequest(id="m-1")
        return await self.calls.repeatable(stub.PublishMessage, request, caller_can_repeat=caller_can_repeat)

    async def create(self) -> admin_pb2.CreateKeyResponse:
        stub = admin_pb2_grpc.KeyAdminServiceStub(self.calls.channel)
        return await self.calls.once(stub.CreateKey, admin_pb2.CreateKeyRequest(owner="ann"))


@asynccontextmanager
async def client_of(
    service: ScriptedService, deadline_s: float = 10.0, attempt_s: float = 5.0
) -> AsyncIterator[Client]:
    async with serving(service) as target:
        client = Client(target, deadline_s, attempt_s)
        try:
            yield client
        finally:
            await client.calls.close()


async def test_every_attempt_carries_the_credential_and_the_same_request() -> None:
    service = ScriptedService(AWAY, PUBLISHED)
    async with client_of(service) as client:
        assert await client.publish() == PUBLISHED
    assert service.requests[0] == service.requests[1]
    assert [metadata["authorization"] for metadata in service.metadata] == ["Bearer a-token"] * 2


@pytest.mark.parametrize("problem", [AWAY, REFUSED_FOR_NOW, TIMED_OUT_INSIDE])
async def test_a_repeatable_call_outlives_what_passes(problem: Fail) -> None:
    service = ScriptedService(problem, problem, PUBLISHED)
    async with client_of(service) as client:
        assert await client.publish() == PUBLISHED
    assert len(service.requests) == 3


async def test_a_hung_service_gets_another_attempt() -> None:
    service = ScriptedService(HANG, PUBLISHED)
    async with client_of(service, attempt_s=0.2) as client:
        assert await client.publish() == PUBLISHED
    assert len(service.requests) == 2


@pytest.mark.parametrize(("problem", "kind"), [(FULL, LimitExceeded), (DEFECT, ServerFault)])
async def test_a_refusal_is_not_repeated(problem: Fail, kind: type[TidewireError]) -> None:
    service = ScriptedService(problem, PUBLISHED)
    async with client_of(service) as client:
        with pytest.raises(kind):
            await client.publish()
    assert len(service.requests) == 1


async def test_the_deadline_holds_for_all_attempts_together() -> None:
    service = ScriptedService(HANG)
    async with client_of(service, deadline_s=0.5, attempt_s=0.2) as client:
        started = time.monotonic()
        with pytest.raises(ServiceTimeout, match="the peer service did not answer in time"):
            await client.publish()
    assert time.monotonic() - started < 2.0
    assert len(service.requests) >= 2


@pytest.mark.parametrize("problem", [AWAY, HANG, TIMED_OUT_INSIDE])
async def test_whoever_gave_the_id_can_always_repeat(problem: object) -> None:
    async with client_of(ScriptedService(problem), deadline_s=0.3, attempt_s=0.1) as client:
        with pytest.raises(TidewireError) as raised:
            await client.publish()
    assert raised.value.safe_to_repeat


@pytest.mark.parametrize("problem", [AWAY, HANG, TIMED_OUT_INSIDE, DEFECT])
async def test_whoever_does_not_know_the_id_is_told_that_it_may_be_done(problem: object) -> None:
    async with client_of(ScriptedService(problem), deadline_s=0.3, attempt_s=0.1) as client:
        with pytest.raises(TidewireError) as raised:
            await client.publish(caller_can_repeat=False)
    assert not raised.value.safe_to_repeat


@pytest.mark.parametrize("problem", [REFUSED_FOR_NOW, FULL])
async def test_whoever_does_not_know_the_id_can_repeat_what_was_refused(problem: Fail) -> None:
    async with client_of(ScriptedService(problem), deadline_s=0.3) as client:
        with pytest.raises(TidewireError) as raised:
            await client.publish(caller_can_repeat=False)
    assert raised.value.safe_to_repeat


async def test_one_doubtful_attempt_makes_the_whole_call_doubtful() -> None:
    service = ScriptedService(HANG, REFUSED_FOR_NOW)
    async with client_of(service, deadline_s=0.6, attempt_s=0.1) as client:
        with pytest.raises(ServiceUnavailable) as raised:
            await client.publish(caller_can_repeat=False)
    assert not raised.value.safe_to_repeat


@pytest.mark.parametrize("problem", [AWAY, HANG, TIMED_OUT_INSIDE, DEFECT])
async def test_what_is_not_repeatable_is_sent_once(problem: object) -> None:
    service = ScriptedService(problem, CREATED)
    async with client_of(service, deadline_s=1.0) as client:
        with pytest.raises(TidewireError) as raised:
            await client.create()
    assert len(service.requests) == 1
    assert not raised.value.safe_to_repeat


async def test_what_is_not_repeatable_is_sent_again_when_the_service_says_it_did_nothing() -> None:
    service = ScriptedService(REFUSED_FOR_NOW, CREATED)
    async with client_of(service) as client:
        assert await client.create() == CREATED
    assert len(service.requests) == 2


async def test_a_refusal_of_what_is_not_repeatable_can_be_repeated() -> None:
    async with client_of(ScriptedService(FULL)) as client:
        with pytest.raises(LimitExceeded) as raised:
            await client.create()
    assert raised.value.safe_to_repeat


async def test_nothing_was_sent_to_a_service_that_cannot_be_reached() -> None:
    with unused_target() as target:
        client = Client(target, deadline_s=0.3, attempt_s=0.2)
        with pytest.raises(ServiceUnavailable, match="the peer service cannot be reached") as raised:
            await client.create()
        assert raised.value.safe_to_repeat
        with pytest.raises(ServiceUnavailable, match="the peer service cannot be reached"):
            await client.publish()
        await client.calls.close()


@asynccontextmanager
async def client_of_two(
    first: ScriptedService, second: ScriptedService, attempt_s: float = 5.0
) -> AsyncIterator[Client]:
    async with serving(first) as one, serving(second) as other:
        client = Client(f"ipv4:{one},{other}", 10.0, attempt_s)

        async def both() -> bool:
            await client.publish()
            return bool(first.requests and second.requests)

        try:
            await eventually(both, what="both are asked in turn")
            yield client
        finally:
            await client.calls.close()


async def test_calls_go_to_all_services_in_turn() -> None:
    first, second = ScriptedService(PUBLISHED), ScriptedService(PUBLISHED)
    async with client_of_two(first, second) as client:
        first.requests.clear()
        second.requests.clear()
        for _ in range(10):
            await client.publish()
    assert (len(first.requests), len(second.requests)) == (5, 5)


@pytest.mark.parametrize("problem", [AWAY, REFUSED_FOR_NOW, TIMED_OUT_INSIDE, HANG])
async def test_what_fails_at_one_service_is_repeated_at_the_other(problem: object) -> None:
    first, second = ScriptedService(PUBLISHED, problem), ScriptedService(PUBLISHED)
    async with client_of_two(first, second, attempt_s=0.2) as client:
        for _ in range(4):
            assert await client.publish() == PUBLISHED
    assert len(first.requests) > 2, "the failing one was asked as well"


async def test_the_death_of_one_service_is_not_noticed() -> None:
    dying, living = ScriptedService(PUBLISHED, HANG), ScriptedService(PUBLISHED, PUBLISHED, PUBLISHED)
    async with serving(living) as other:
        async with serving(dying) as one:
            client = Client(f"ipv4:{one},{other}", 10.0, 5.0)

            calls: list[asyncio.Task[object]] = []

            async def asked() -> bool:
                calls.append(asyncio.create_task(client.publish()))
                return len(dying.requests) >= 2

            await eventually(asked, what="calls are under way at both")
        assert await asyncio.gather(*calls) == [PUBLISHED] * len(calls)
        assert await client.publish() == PUBLISHED
        await client.calls.close()

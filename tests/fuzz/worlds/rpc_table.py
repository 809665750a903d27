"""The RPCs of a service, called by programs: the first byte of a call says which, and whether the caller shows its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import DecodeError

from tests.fuzz.program import Call, calls_of, program
from tests.fuzz.worlds.grpc_call import CallContext, Ended, check_ended

NO_TOKEN: Final = 0x80
STREAM_DEADLINE_S: Final = 10.0
AllCame = Callable[[Any, Sequence[Any]], bool]


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a response, or a list of those of a stream; or a status that the request has earned."""

    rpc: str
    request: Any
    response: Any = None
    ended: Ended | None = None


class RpcTable:
    """The RPCs by their place, which is the name that programs have for them.

    Args:
        rows: The attribute of a world that has the servicer, the RPC's name, and the type of its request. New ones come last,
            or the corpus means something else.
        streams: Of each RPC that streams responses: whether those that came are all that come before something happens.
    """

    def __init__(self, *rows: tuple[str, str, Any], streams: Mapping[str, AllCame] = MappingProxyType({})) -> None:
        self._rows = rows
        self._streams = streams
        self._places = {name: place for place, (_, name, _) in enumerate(rows)}

    def program(self, *calls: tuple[str, Any]) -> bytes:
        """Return the program of calls, each the name of an RPC and its request."""
        return program((self._places[name], request.SerializeToString(deterministic=True)) for name, request in calls)

    def without_token(self) -> bytes:
        """Return the program that calls each RPC without a token."""
        return program((NO_TOKEN | place, b"") for place in range(len(self._rows)))

    async def run(self, world: object, data: bytes) -> AsyncIterator[Outcome]:
        """Make the calls of a program, and yield what came of each that gRPC itself lets through."""
        for call in calls_of(data):
            outcome = await self._call(world, call)
            if outcome is not None:
                yield outcome

    async def _call(self, world: object, call: Call) -> Outcome | None:
        with_token = not call.kind & NO_TOKEN
        servicer, name, request_type = self._rows[(call.kind & ~NO_TOKEN) % len(self._rows)]
        try:
            request = request_type.FromString(call.request)
        except DecodeError:
            return None
        answering = getattr(getattr(world, servicer), name)(request, CallContext(with_token=with_token))
        try:
            if name in self._streams:
                responses = response = await _begin(answering, request, self._streams[name])
            else:
                response = await answering
                responses = [response]
        except Ended as ended:
            check_ended(ended, with_token=with_token)
            return Outcome(name, request, ended=ended)
        assert with_token, f"{name} lets everybody in"
        assert all(type(each).FromString(each.SerializeToString()) == each for each in responses)
        return Outcome(name, request, response)


async def _begin(stream: AsyncGenerator[Any, None], request: Any, all_came: AllCame) -> list[Any]:
    """Return the responses that come before something happens, and end the stream."""
    responses: list[Any] = []
    async with asyncio.timeout(STREAM_DEADLINE_S), aclosing(stream):
        async for response in stream:
            responses.append(response)
            if all_came(request, responses):
                break
    return responses

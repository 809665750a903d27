"""`POST /v1/verify` and `POST /v1/check`: `AuthService.VerifyKey` and `CheckPermission` in the JSON form of protobuf."""

from typing import Final, TypeVar

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from tidewire.auth.v1 import auth_pb2

from auth_service.adapters.grpc_api.verdict_messages import use_of, verdict_message
from auth_service.adapters.http_api.caller import HttpCallers
from auth_service.adapters.metrics import count_verdict
from auth_service.core.callers import Group
from auth_service.core.errors import InvalidFieldError
from auth_service.core.validation import clean_key_id, clean_use
from auth_service.core.verification import Verdict
from auth_service.core.verifier import Verifier
from service_runtime.http_bodies import read_body

VERIFY_PATH: Final = "/v1/verify"
CHECK_PATH: Final = "/v1/check"
M = TypeVar("M", bound=Message)


class Verification:
    """The endpoints for back ends.

    Args:
        callers: lets them in.
        verifier: gives verdicts.
    """

    def __init__(self, callers: HttpCallers, verifier: Verifier) -> None:
        self._callers = callers
        self._verifier = verifier

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post(VERIFY_PATH, self.verify), web.post(CHECK_PATH, self.check)]

    async def verify(self, request: web.Request) -> web.Response:
        """Verify a key and charge it."""
        await self._callers.admit(request, Group.VERIFY)
        asked = await _message(request, auth_pb2.VerifyKeyRequest())
        verdict = await self._verifier.verify(asked.api_key, clean_use(use_of(asked)), asked.client_address)
        return _json(auth_pb2.VerifyKeyResponse(verdict=_counted(verdict)))

    async def check(self, request: web.Request) -> web.Response:
        """Decide if the holder of a key may do something, by the key's id."""
        await self._callers.admit(request, Group.CHECK)
        asked = await _message(request, auth_pb2.CheckPermissionRequest())
        verdict = await self._verifier.check(clean_key_id(asked.key_id), clean_use(use_of(asked)))
        return _json(auth_pb2.CheckPermissionResponse(verdict=_counted(verdict)))


async def _message(request: web.Request, message: M) -> M:
    """Read the body into a message. What the parser says of it is not told: it may quote a key."""
    body = await read_body(request)
    try:
        if not body.lstrip().startswith(b"{"):
            raise ValueError("no object")  # the parser takes some lists for one
        return json_format.Parse(body, message)
    except (json_format.ParseError, ValueError, RecursionError):
        names = " ".join(field.json_name for field in message.DESCRIPTOR.fields)
        raise InvalidFieldError("body", f"must be a JSON object with texts for any of: {names}") from None


def _counted(verdict: Verdict) -> auth_pb2.Verdict:
    count_verdict(verdict.code)
    return verdict_message(verdict)


def _json(message: Message) -> web.Response:
    return web.Response(text=json_format.MessageToJson(message, indent=None), content_type="application/json")

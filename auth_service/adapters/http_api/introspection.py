"""`POST /v1/introspect`: token introspection (RFC 7662). Charges nothing."""

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from auth_service.adapters.http_api.caller import HttpCallers
from auth_service.adapters.metrics import count_verdict
from auth_service.core.callers import Group
from auth_service.core.errors import InvalidFieldError
from auth_service.core.external_authorization import once_each
from auth_service.core.introspection import introspection
from auth_service.core.verifier import Verifier
from service_runtime.http_bodies import read_body

PATH: Final = "/v1/introspect"
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 16


class Introspection:
    """The endpoint for resource servers.

    Args:
        callers: lets them in.
        verifier: gives verdicts.
    """

    def __init__(self, callers: HttpCallers, verifier: Verifier) -> None:
        self._callers = callers
        self._verifier = verifier

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.post(PATH, self.introspect)]

    async def introspect(self, request: web.Request) -> web.Response:
        """Say whether a key is good now, and whose it is."""
        await self._callers.admit(request, Group.VERIFY)
        verdict = await self._verifier.introspect(await _token(request))
        count_verdict(verdict.code)
        return web.json_response(introspection(verdict))


async def _token(request: web.Request) -> str:
    """Return the form's `token`; `token_type_hint` and whatever else is there does not matter (section 2.1)."""
    if request.content_type != _FORM:
        raise InvalidFieldError("Content-Type", f"must be {_FORM}")
    try:
        pairs = parse_qsl((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidFieldError("body", f"must be {_FORM} in UTF-8, with at most {_MAX_FIELDS} fields") from None
    token = once_each(pairs).get("token", "")
    if not token:
        raise InvalidFieldError("token", "must be given")
    return token

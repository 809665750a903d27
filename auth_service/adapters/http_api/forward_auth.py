"""`/v1/forward-auth`: a proxy asks over HTTP whether a request may go on (nginx `auth_request`, Caddy `forward_auth`,
Traefik ForwardAuth).

The request's own headers carry the holder's key. What the key is wanted for is in the query of the URL that the proxy's
configuration names. A proxy that may not ask is a fault of the installation: 500, which no proxy takes for a denial.
"""

from typing import Final

from aiohttp import hdrs, web

from auth_service.adapters.http_api.caller import HttpCallers
from auth_service.adapters.http_api.errors import fault_response
from auth_service.adapters.metrics import count_verdict
from auth_service.core.callers import Group
from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError
from auth_service.core.external_authorization import (
    CODE_HEADER,
    NO_KEY_ANSWER,
    Answer,
    answer_of,
    client_address,
    limited_status,
    once_each,
    presented_key,
    use_asked,
)
from auth_service.core.verifier import Verifier

PATH: Final = "/v1/forward-auth"
API_KEY_HEADER: Final = "X-API-Key"
_LIMITED: Final = "limited"


class ForwardAuth:
    """The endpoint for proxies.

    Args:
        callers: lets proxies in.
        verifier: gives verdicts.
    """

    def __init__(self, callers: HttpCallers, verifier: Verifier) -> None:
        self._callers = callers
        self._verifier = verifier

    def routes(self) -> list[web.RouteDef]:
        """Return the route, for every method: some proxies ask with that of the request."""
        return [web.route(hdrs.METH_ANY, PATH, self.ask)]

    async def ask(self, request: web.Request) -> web.Response:
        """Say whether a request may go on; the key is charged."""
        try:
            await self._callers.admit_proxy(request, Group.VERIFY)
        except (CallerUnknownError, CallerNotAllowedError) as error:
            return fault_response(error, status=500)
        asked = once_each(request.query.items())
        limited = limited_status(asked.pop(_LIMITED, ""))
        use = use_asked(asked)
        api_key = presented_key(_joined(request, hdrs.AUTHORIZATION), _joined(request, API_KEY_HEADER))
        if api_key is None:
            return _response(NO_KEY_ANSWER)
        address = client_address(_joined(request, hdrs.X_FORWARDED_FOR))
        verdict = await self._verifier.verify(api_key, use, address)
        count_verdict(verdict.code)
        return _response(answer_of(verdict, limited))


def _joined(request: web.Request, header: str) -> str:
    """Return all values of a header as one: of two keys none is good, because the back end might read the other."""
    return ",".join(request.headers.getall(header, ()))


def _response(answer: Answer) -> web.Response:
    headers = {CODE_HEADER: answer.code, **dict(answer.headers)}
    if answer.allowed:
        return web.Response(status=answer.status, headers=headers)
    return web.json_response({"error": answer.error, "code": answer.code}, status=answer.status, headers=headers)

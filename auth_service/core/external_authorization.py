"""A verdict as an HTTP answer for a proxy that asks whether a request may go on, and what that proxy may ask.

Proxies ask over HTTP (nginx, Caddy, Traefik) or over gRPC (Envoy); what they are told is decided here once. A denial is an
answer; a fault (the store is away) never becomes one. Statuses and `WWW-Authenticate` follow RFC 6750 section 3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product
from typing import Final
from urllib.parse import quote

from auth_service.core.errors import InvalidFieldError
from auth_service.core.validation import clean_use
from auth_service.core.verification import Use, Verdict, VerdictCode

KEY_ID_HEADER: Final = "X-Tidewire-Key-Id"
OWNER_HEADER: Final = "X-Tidewire-Owner"
PERMISSIONS_HEADER: Final = "X-Tidewire-Permissions"
IDENTITY_HEADERS: Final = (KEY_ID_HEADER, OWNER_HEADER, PERMISSIONS_HEADER)
CODE_HEADER: Final = "X-Tidewire-Code"
# In CODE_HEADER when the request had no key at all, and so there is no verdict.
NO_KEY: Final = "NO_KEY"

REALM: Final = 'Bearer realm="tidewire"'
USE_FIELDS: Final = ("action", "channel", "domain", "workspace")
TOO_MANY_REQUESTS: Final = 429
FORBIDDEN: Final = 403

_UNAUTHORIZED: Final = frozenset(
    {VerdictCode.NOT_FOUND, VerdictCode.DISABLED, VerdictCode.REVOKED, VerdictCode.EXPIRED}
)
_INSUFFICIENT: Final = frozenset({VerdictCode.FORBIDDEN, VerdictCode.INSUFFICIENT_PERMISSIONS})
# What stays as it is in a header: printable ASCII but the space and `%`. Everything else is percent-encoded UTF-8.
_PLAIN: Final = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"
_MS_PER_S: Final = 1000
# Of names that are not known, in characters: the names there are, and slips of the pen, are shorter, secrets are longer.
_LONGEST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a proxy is told.

    Args:
        status: of HTTP; 200: the request may go on.
        code: for `X-Tidewire-Code`.
        headers: for the back end if the request may go on, else for whoever sent it; `X-Tidewire-Code` is not among them.
        error: of RFC 6750 section 3.1, or one of ours in its form; empty: allowed.
    """

    status: int
    code: str
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return not self.error


NO_KEY_ANSWER: Final = Answer(401, NO_KEY, (("WWW-Authenticate", REALM),), "missing_token")


def answer_of(verdict: Verdict, limited_status: int = TOO_MANY_REQUESTS) -> Answer:
    """Return a verdict as an answer.

    Args:
        verdict: on the key.
        limited_status: for a key that is used too often or used up: 429, or 403 for proxies that do not know 429.
    """
    code = verdict.code
    if code is VerdictCode.VALID:
        return Answer(200, code.name, identity_headers(verdict))
    if code in _UNAUTHORIZED:
        return Answer(401, code.name, (("WWW-Authenticate", f'{REALM}, error="invalid_token"'),), "invalid_token")
    if code in _INSUFFICIENT:
        scope = f', scope="{verdict.missing}"' if code is VerdictCode.INSUFFICIENT_PERMISSIONS else ""
        challenge = f'{REALM}, error="insufficient_scope"{scope}'
        return Answer(FORBIDDEN, code.name, (("WWW-Authenticate", challenge),), "insufficient_scope")
    headers = (("Retry-After", _whole_seconds(verdict.retry_after_ms)),) if verdict.retry_after_ms else ()
    return Answer(limited_status, code.name, headers, code.name.lower())


def identity_headers(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Return who holds the key, for the back end; each value is percent-encoded, so that none can end its header."""
    return (
        (KEY_ID_HEADER, header_value(verdict.key_id)),
        (OWNER_HEADER, header_value(verdict.owner)),
        (PERMISSIONS_HEADER, " ".join(header_value(text) for text in verdict.permissions)),
    )


def header_value(text: str) -> str:
    """Return a text as the value of a header; `decodeURIComponent` or `urllib.parse.unquote` gives the text back."""
    return quote(text, safe=_PLAIN)


def forgeable_names() -> tuple[str, ...]:
    """Return, in lower case, the names that a back end may read as an identity header, though they are another one.

    Many application servers cannot tell `-` and `_` in a header's name apart (CGI, WSGI, PHP).
    """
    names = []
    for name in IDENTITY_HEADERS:
        first, *rest = name.lower().split("-")
        for marks in product("-_", repeat=len(rest)):
            names.append(first + "".join(mark + part for mark, part in zip(marks, rest, strict=True)))
    real = {name.lower() for name in IDENTITY_HEADERS}
    return tuple(name for name in names if name not in real)


def use_asked(fields: Mapping[str, str]) -> Use:
    """Return what a key is wanted for, from the names that a proxy's configuration gave.

    Whatever would not be checked is refused: a slip of the pen must not let anybody in.

    Raises:
        InvalidFieldError: a name is not known, a value breaks a rule, or there is a channel without an action.
    """
    for name in fields:
        if name not in USE_FIELDS:
            raise InvalidFieldError(shown(name), f"is not known; allowed are {' '.join(USE_FIELDS)}")
    use = Use(**fields)
    if use.channel and not use.action:
        raise InvalidFieldError("action", "must be given with a channel, which is not checked without it")
    return clean_use(use)


def presented_key(authorization: str | None, api_key: str | None) -> str | None:
    """Return the key that a request carries; None if it carries none.

    Args:
        authorization: its `Authorization`; counts only with the scheme Bearer, and then before `api_key`.
        api_key: its `X-API-Key`.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return (api_key or "").strip() or None


def limited_status(text: str) -> int:
    """Return the status that a proxy wants for a key that is used too often or used up.

    Args:
        text: as it was asked for; empty: 429.

    Raises:
        InvalidFieldError: it is neither 403 nor 429.
    """
    if text not in ("", str(FORBIDDEN), str(TOO_MANY_REQUESTS)):
        raise InvalidFieldError("limited", f"must be {FORBIDDEN} or {TOO_MANY_REQUESTS}")
    return int(text) if text else TOO_MANY_REQUESTS


def client_address(forwarded_for: str) -> str:
    """Return the address that a request came from at the proxy.

    Args:
        forwarded_for: `X-Forwarded-For`; its last entry is the proxy's own, all others anybody may have written.

    Returns:
        An IPv4 or IPv6 address without port or zone; empty if there is none.
    """
    last = forwarded_for.rpartition(",")[2].strip()
    if last.startswith("["):
        last = last[1:].partition("]")[0]
    elif last.count(":") == 1:
        last = last.partition(":")[0]
    try:
        return str(ip_address(last.partition("%")[0]))  # a zone names an interface of the proxy's
    except ValueError:
        return ""


def once_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return names and values as a dictionary.

    Raises:
        InvalidFieldError: a name comes twice; which of the two is meant cannot be known.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidFieldError(shown(name), "must be given once only")
        found[name] = value
    return found


def shown(name: str) -> str:
    """Return a name that somebody sent, fit for a message; of a long one, which may be a key, only how long it is."""
    return ascii(name)[1:-1] if len(name) <= _LONGEST_SHOWN else f"a name of {len(name)} characters"


def _whole_seconds(milliseconds: int) -> str:
    return str(-(-milliseconds // _MS_PER_S))

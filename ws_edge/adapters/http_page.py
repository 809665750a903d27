"""The page at `/`: the built bundle of `frontend/`, or, where it was not built, what to do.

The files are few and small, so they are read and compressed once, at the start: no request ever names a path on the disk, or
takes the event loop's time for more than a copy.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import hdrs, web

_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
# The names of assets hold a digest of what is in them.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
# What the page needs and nothing else (https://www.w3.org/TR/CSP3/); it may connect to other edges.
_POLICY: Final = (
    "default-src 'self'; connect-src 'self' http: https: ws: wss:; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the page.

    Args:
        body: Its content.
        content_type: What it is.

    Attributes:
        gzipped: Its content, for those who take it so (RFC 9110 section 8.4.1.3).
    """

    body: bytes
    content_type: str
    gzipped: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gzipped", gzip.compress(self.body, mtime=0))


class Page:
    """Serves the page and what it loads.

    Args:
        index: The page itself, HTML.
        assets: What it loads from `/assets/`, by name.
    """

    def __init__(self, index: bytes, assets: dict[str, Asset]) -> None:
        self._index = Asset(index, "text/html")
        self._assets = assets

    @classmethod
    def packaged(cls) -> Page:
        """Return the page that was installed with this package."""
        return cls.read(files("ws_edge").joinpath("static"))

    @classmethod
    def read(cls, folder: Traversable) -> Page:
        """Read the bundle in `app` of a folder; where there is none, the folder's own `index.html`."""
        bundle = folder / "app"
        if not (bundle / "index.html").is_file():
            return cls((folder / "index.html").read_bytes(), {})
        return cls((bundle / "index.html").read_bytes(), _assets(bundle / "assets"))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/", self.index), web.get("/assets/{name}", self.asset)]

    async def index(self, request: web.Request) -> web.Response:
        """Return the page; browsers ask for it anew each time."""
        headers = {
            hdrs.CACHE_CONTROL: "no-cache",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return _answer(request, self._index, headers)

    async def asset(self, request: web.Request) -> web.Response:
        """Return something that the page loads."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {hdrs.CACHE_CONTROL: _FOR_EVER, "X-Content-Type-Options": "nosniff"}
        return _answer(request, asset, headers)


def _assets(folder: Traversable) -> dict[str, Asset]:
    if not folder.is_dir():
        return {}
    known = ((file, _TYPES.get("." + file.name.rpartition(".")[2])) for file in folder.iterdir())
    return {file.name: Asset(file.read_bytes(), content_type) for file, content_type in known if content_type}


def _answer(request: web.Request, asset: Asset, headers: Mapping[str, str]) -> web.Response:
    compressed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    answer = web.Response(
        body=asset.gzipped if compressed else asset.body,
        content_type=asset.content_type,
        charset="utf-8" if asset.content_type == "text/html" else None,
        headers=headers,
    )
    answer.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if compressed:
        answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return answer

"""The page of the edge: the bundle where there is one, what to do where there is none, and nothing else of the disk."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ws_edge.adapters.http_page import Page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("not built")
    return tmp_path


@pytest.fixture
def built(folder: Path) -> Path:
    assets = folder / "app" / "assets"
    assets.mkdir(parents=True)
    (folder / "app" / "index.html").write_text("the page")
    (assets / "index-1a2b.js").write_text("code")
    (assets / "index-1a2b.css").write_text("style")
    (assets / "notes.txt").write_text("not to be served")
    return folder


async def asset(page: Page, name: str) -> web.Response:
    return await page.asset(make_mocked_request("GET", f"/assets/{name}", match_info={"name": name}))


async def test_without_a_bundle_the_page_says_what_to_do(folder: Path) -> None:
    page = Page.read(folder)
    response = await page.index(make_mocked_request("GET", "/"))
    assert response.body == b"not built"
    with pytest.raises(web.HTTPNotFound):
        await asset(page, "index-1a2b.js")


async def test_a_bundle_without_assets_is_served(folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "index.html").write_text("all in one")
    assert (await Page.read(folder).index(make_mocked_request("GET", "/"))).body == b"all in one"


async def test_the_bundle_is_served_anew_and_its_assets_are_kept(built: Path) -> None:
    page = Page.read(built)
    response = await page.index(make_mocked_request("GET", "/"))
    assert (response.body, response.content_type) == (b"the page", "text/html")
    assert response.headers["Cache-Control"] == "no-cache"
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    for name, body, content_type in (
        ("index-1a2b.js", b"code", "text/javascript"),
        ("index-1a2b.css", b"style", "text/css"),
    ):
        response = await asset(page, name)
        assert (response.body, response.content_type) == (body, content_type)
        assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["notes.txt", "..", "../index.html", "nothing.js", ""])
async def test_nothing_else_is_served(built: Path, name: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        await asset(Page.read(built), name)


def test_what_is_packaged_says_something() -> None:
    assert [route.path for route in Page.packaged().routes()] == ["/", "/assets/{name}"]


@pytest.mark.parametrize(("accepted", "encoding"), [("br, gzip", "gzip"), ("identity", None), (None, None)])
async def test_it_is_compressed_for_those_who_take_it_so(
    built: Path, accepted: str | None, encoding: str | None
) -> None:
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    response = await Page.read(built).index(make_mocked_request("GET", "/", headers=headers))
    assert response.headers.get("Content-Encoding") == encoding
    assert response.headers["Vary"] == "Accept-Encoding"
    assert isinstance(response.body, bytes)
    assert (gzip.decompress(response.body) if encoding else response.body) == b"the page"

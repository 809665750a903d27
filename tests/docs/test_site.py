"""The site: every page is in a menu, every link leads somewhere, and readers' browsers ask nobody else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts.site_hooks import rewritten
from tests.support.processes import ROOT
from tests.support.requirements import skip_without
from tests.support.site import build_site

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built by the command."""
    return build_site(tmp_path_factory.mktemp("docs"))


def test_every_document_is_a_page(site: Path) -> None:
    documents = {
        file.relative_to(ROOT / "docs") for file in (ROOT / "docs").rglob("*.md") if "node_modules" not in file.parts
    }
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    named = {str(document.with_suffix(".html")).replace("README.html", "index.html") for document in documents}
    assert named <= pages
    assert {"project/deployment.html", "project/contributing.html", "project/changelog.html"} <= pages


def test_nothing_is_fetched_from_others(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"', page.read_text())
        fetched += re.findall(
            r'<link[^>]+rel="(?:stylesheet|preconnect|icon)"[^>]+href="(https?:[^"]+)"', page.read_text()
        )
        assert fetched == [], page


def test_diagrams_are_drawn_by_a_script_of_the_site(site: Path) -> None:
    if shutil.which("node") is None:
        skip_without("Node.js")
    page = (site / "architecture.html").read_text()
    assert page.count('class="mermaid"') >= 5
    assert "assets/mermaid.min.js" in page
    assert (site / "assets" / "mermaid.min.js").stat().st_size > 100_000


def test_the_asyncapi_document_and_the_plots_are_there(site: Path) -> None:
    assert (site / "reference" / "asyncapi.yaml").read_bytes() == (ROOT / "docs/reference/asyncapi.yaml").read_bytes()
    assert {"fanout-one.svg", "fanout-sixteen.svg"} <= {file.name for file in (site / "figures").iterdir()}


def test_links_that_leave_the_documents() -> None:
    assert rewritten("[a](../deploy/README.md#compose)", "install.md") == "[a](project/deployment.md#compose)"
    assert rewritten("[a](../../CHANGELOG.md)", "adr/README.md") == "[a](../project/changelog.md)"
    assert rewritten("[a](../docs/security.md)", "project/deployment.md") == "[a](../security.md)"
    assert rewritten("[`deploy/x`](../deploy/balancers)", "install.md") == "`deploy/x` (`deploy/balancers`)"
    assert rewritten("[cfg](balancers/haproxy.cfg)", "project/deployment.md") == "cfg (`deploy/balancers/haproxy.cfg`)"
    assert rewritten("[a](nowhere.md)", "install.md") == "[a](nowhere.md)"
    assert rewritten("[a](https://b.example/c)", "install.md") == "[a](https://b.example/c)"
    assert rewritten("```text\n[a](../deploy/README.md)\n```", "install.md") == "```text\n[a](../deploy/README.md)\n```"

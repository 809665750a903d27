"""Hooks of mkdocs: documents that lie outside of docs/ become pages, and links that leave docs/ lead there, or become words.

mkdocs calls `on_config`, `on_files` and `on_page_markdown` by their names.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
# What a document outside of docs/ is called in the site.
PAGES: Final = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "deploy/README.md": "project/deployment.md",
    "README.md": "index.md",
}
MERMAID: Final = "assets/mermaid.min.js"
_MERMAID_FILE: Final = ROOT / ".tools" / "mermaid" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
_FENCED: Final = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have diagrams drawn by a script of the site's own, where it is there; else browsers fetch it from its makers."""
    if _MERMAID_FILE.is_file():
        config.extra_javascript.append(MERMAID)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for source, uri in PAGES.items():
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, content=(ROOT / source).read_text()))
    if _MERMAID_FILE.is_file():
        files.append(File.generated(config, MERMAID, abs_src_path=str(_MERMAID_FILE)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links that leave docs/ into such that stay in the site."""
    return rewritten(markdown, page.file.src_uri)


def rewritten(markdown: str, uri: str) -> str:
    """Return a page's text with links that hold in the site.

    Args:
        markdown: As it lies in the checkout.
        uri: The page's place in the site.
    """
    source = next((source for source, page in PAGES.items() if page == uri and not _is_document(uri)), f"docs/{uri}")
    folder = posixpath.dirname(source)

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found["text"], found["target"], found["anchor"] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in PAGES:
            place = PAGES[path]
        elif path.startswith("docs/"):
            place = path.removeprefix("docs/")
        else:
            return _in_words(text, path) if (ROOT / path).exists() else found[0]
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(uri) or '.')}{anchor})"

    parts = _FENCED.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def _is_document(uri: str) -> bool:
    return (ROOT / "docs" / uri).is_file()


def _in_words(text: str, path: str) -> str:
    """Name a file or folder of the repository, which the site has not."""
    return text if path in text.replace("`", "") else f"{text} (`{path}`)"

"""The page on verifying keys shows the very files that the tests run, and none is left out."""

import re

from tests.support.examples import EXAMPLES

PAGE = EXAMPLES.parent / "verifying-keys.md"
SHOWN = re.compile(r"^\[`examples/(\S+)`\]\(examples/\1\):\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_are_shown_as_they_are() -> None:
    shown = dict(SHOWN.findall(PAGE.read_text()))
    assert shown == {name: (EXAMPLES / name).read_text() for name in shown}
    files = {
        str(file.relative_to(EXAMPLES)) for pattern in ("python/*.py", "node/*.js") for file in EXAMPLES.glob(pattern)
    }
    assert shown.keys() == files


def test_links_to_headings_lead_somewhere() -> None:
    text = PAGE.read_text()
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links == headings

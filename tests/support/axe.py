"""axe-core in a page: what keeps people out who do not see it, or have no mouse."""

from __future__ import annotations

from typing import Final

from tests.support.browser import Tab
from tests.support.npm import FRONTEND
from tests.support.waiting import wait_until

_SOURCE: Final = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
_RUN: Final = """() => {
  window.axeFound = null;
  axe.run().then(({ violations }) => {
    window.axeFound = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) =>
      `${node.html} ${node.any.map((check) => check.message).join(" ")}`).join(" | ")}`);
  });
}"""


def violations(tab: Tab) -> list[str]:
    """Return what axe-core finds in the page as it stands; a line for each rule that is broken."""
    if not tab.run("() => typeof axe === 'object'"):
        # Not by a script element: the policy of the page lets no stranger in.
        tab.run(f"() => {{ {_SOURCE.read_text()} }}")
    tab.run(_RUN)
    wait_until(lambda: tab.run("() => window.axeFound !== null"), what="axe-core is done")
    return list(tab.run("() => window.axeFound"))

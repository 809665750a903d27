"""`manage.py docs`: the site of docs/, built strictly, or served while it is written."""

from __future__ import annotations

import os
import sys
from typing import Final

from scripts.environment import ROOT
from scripts.npm_tool import NpmTool
from scripts.processes import run_to_the_end

SITE: Final = ROOT / "build" / "site"
# What draws the diagrams, so that the site needs nothing of others.
_MERMAID: Final = NpmTool("mermaid", {"mermaid": "11.12.0"})


def run_docs(*, serve: bool) -> int:
    """Build the site, or serve it until interrupted; return the exit code of mkdocs.

    Args:
        serve: Serve it on 127.0.0.1:8001 and build it anew when a document changes.

    Raises:
        SetupError: what draws the diagrams cannot be installed.
    """
    if _MERMAID.without_node() is None:
        _MERMAID.ensure()
    else:
        sys.stderr.write("without Node.js: readers' browsers fetch what draws the diagrams from its makers\n")
    command = ("serve", "--dev-addr", "127.0.0.1:8001") if serve else ("build", "--clean")
    # Its theme tells of the next version of mkdocs, which is not used here.
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    code = run_to_the_end([sys.executable, "-m", "mkdocs", *command, "--strict", "--quiet"], ROOT, variables)
    if code == 0 and not serve:
        sys.stdout.write(f"built: {SITE.relative_to(ROOT) / 'index.html'}\n")
    return code

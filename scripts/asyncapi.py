"""AsyncAPI's own parser over a document: is it AsyncAPI 3, do its references lead somewhere, do its examples fit their schemas.

The parser comes from npm, into a folder of its own; without Node.js it is skipped.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from scripts.environment import ROOT
from scripts.npm_tool import Answer, NpmTool

VERSION: Final = "3.6.3"
DOCUMENT: Final = ROOT / "docs" / "reference" / "asyncapi.yaml"
_TOOL: Final = NpmTool("asyncapi", {"@asyncapi/parser": VERSION})
# What is worse than information; that a newer version of AsyncAPI exists is information.
_SCRIPT: Final = """
const { Parser, fromFile, DiagnosticSeverity } = require("@asyncapi/parser");
(async () => {
  const parser = new Parser();
  const { document, diagnostics } = await fromFile(parser, process.argv[1]).parse();
  const found = diagnostics.filter((one) => one.severity <= DiagnosticSeverity.Warning);
  for (const one of found) console.log(`${one.range.start.line + 1}: ${one.code}: ${one.message} (${one.path.join("/")})`);
  process.exitCode = document && found.length === 0 ? 0 : 1;
})().catch((error) => { console.log(String(error)); process.exitCode = 1; });
"""


def validate(file: Path = DOCUMENT) -> Answer:
    """Ask if a document is valid.

    Raises:
        SetupError: the parser cannot be installed.
    """
    if (answer := _TOOL.without_node()) is not None:
        return answer
    _TOOL.ensure()
    result = subprocess.run(
        ["node", "--eval", _SCRIPT, "--", str(file)],
        cwd=_TOOL.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Answer(passed=result.returncode == 0, output=result.stdout)

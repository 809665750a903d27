"""Shell blocks of the documents, run as somebody runs them who stands in the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.commands import without_settings
from tests.support.doc_blocks import Block, named
from tests.support.processes import ROOT
from tests.support.requirements import skip_without

DEADLINE_S = 90
_OF_THE_CHECKOUT = ("scripts", "deploy", "docs", "protos", "tests")


class Checkout:
    """A folder that looks like the checkout; what blocks write stays in it.

    Args:
        folder: Made if it is not there.
        variables: Added to the environment, from which the settings of Tidewire are taken away.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        for program in ("bash", "install"):
            if shutil.which(program) is None:
                skip_without(program)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in _OF_THE_CHECKOUT:
            (folder / name).symlink_to(ROOT / name)
        # The environment that runs the tests stands for that of the checkout.
        (folder / ".venv").symlink_to(sys.prefix)
        self.variables = variables

    def run(self, block: str | Block, replaced: Mapping[str, str] | None = None, **variables: str) -> str:
        """Run a block to its end; return what it says, fail if it fails.

        Args:
            block: The block, or the name that it is marked with.
            replaced: What stands for something else here: addresses, keys.
            variables: Added to the environment.
        """
        found = named(block) if isinstance(block, str) else block
        done = self.attempt(found.text, replaced, **variables)
        assert done.returncode == 0, f"{found.place}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def attempt(
        self, text: str, replaced: Mapping[str, str] | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run commands to their end, whatever that is."""
        for old, new in (replaced or {}).items():
            assert old in text, f"{old!r} does not stand in\n{text}"
            text = text.replace(old, new)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment in which blocks run."""
        mine = without_settings()
        path = os.pathsep.join([str(Path(sys.executable).parent), mine["PATH"]])
        source = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
        return {**mine, "PATH": path, "PYTHONPATH": source, **self.variables, **variables}

"""The worked examples of docs/examples, run as they stand there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Mapping, Sequence
from types import ModuleType

from tests.support.processes import ROOT

EXAMPLES = ROOT / "docs" / "examples"
DEADLINE_S = 60


def load_example(name: str) -> ModuleType:
    """Import an example anew, e.g. `python/fastapi_app.py`."""
    spec = importlib.util.spec_from_file_location(f"example_{name.replace('/', '_')}", EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(command: Sequence[str], variables: Mapping[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a process to its end."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}
    return subprocess.run(
        list(command),
        env={**mine, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")]), **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

"""py-spy beside a process: samples its Python stacks until it is told to stop."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.profiling.samples import Samples, samples

RATE_HZ: Final = 200
_STOP_DEADLINE_S: Final = 60.0


def program() -> str | None:
    """Return py-spy's path: of this environment, or of the system; None: it is not there."""
    own = Path(sys.executable).with_name("py-spy")
    return str(own) if own.exists() else shutil.which("py-spy")


class Sampler:
    """One py-spy.

    Args:
        pid: The process.
        folder: For its files.

    Raises:
        BenchmarkError: py-spy is not there.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        py_spy = program()
        if py_spy is None:
            raise BenchmarkError("py-spy is not there: pip install py-spy")
        self._out = folder / f"{pid}.raw"
        self._log = folder / f"{pid}.log"
        words = [
            "record",
            "--native",
            "--format",
            "raw",
            "--rate",
            str(RATE_HZ),
            "--pid",
            str(pid),
            "--output",
            str(self._out),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([py_spy, *words, "--duration", "unlimited"], stdout=log, stderr=log)

    def stop(self) -> Samples:
        """End it, and return what it has seen.

        Raises:
            BenchmarkError: it could not look into the process.
        """
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._out.exists():
            raise BenchmarkError(f"py-spy has seen nothing: {self._log.read_text(errors='replace').strip()[-500:]}")
        return samples(self._out.read_text().splitlines())

"""Commands that are run and waited for, and what becomes of them when this command is interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the same as Ctrl-C, but the terminal has not told the children."""


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that nothing is left behind."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def run_to_the_end(command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> int:
    """Run a command that cleans up after itself when it is interrupted, and wait until it has; return its exit code."""
    with subprocess.Popen(command, cwd=folder, env=variables) as process:
        while True:
            try:
                return process.wait()
            except Terminated:
                process.send_signal(signal.SIGINT)
            except KeyboardInterrupt:
                continue  # it was told too, by the terminal


def run_apart(command: Sequence[str]) -> int:
    """Run a command, with what it says on stderr, and end it and all that it started on an interrupt; return its exit code."""
    # stdout belongs to the command that needs this one.
    with subprocess.Popen(command, stdout=sys.stderr, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise

"""Processes that do work on demand: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.processes import ROOT


class Worker:
    """`python -m <module>` that answers each line of its input with one of its output.

    Args:
        module: What runs.
        arguments: Of it.
        variables: Added to the environment.
    """

    def __init__(self, module: str, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": path, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **task: Any) -> None:
        """Give it a task."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer.

        Raises:
            RuntimeError: it ended instead; its own words are on standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load ended with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def all_at_once(workers: Sequence[Worker], **task: Any) -> list[Any]:
    """Give all the same task, and return their answers."""
    for worker in workers:
        worker.ask(**task)
    return [worker.answer() for worker in workers]

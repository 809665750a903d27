"""The development server of the page, beside the services: `manage.py start --frontend`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from scripts.node import Node
from scripts.page import FRONTEND
from scripts.supervision.child import TETHER

# `server.port` of frontend/vite.config.ts.
PORT: Final = 5173
_VITE: Final = FRONTEND / "node_modules" / "vite" / "bin" / "vite.js"
_END_S: Final = 5.0


@contextlib.contextmanager
def dev_server(node: Node, edge_url: str) -> Iterator[None]:
    """Run it; what it says goes to stderr, and it ends with this process, however that ends.

    Args:
        node: With the packages of `frontend/`.
        edge_url: Where the page finds the edge.
    """
    command = [
        sys.executable,
        "-I",
        "-S",
        str(TETHER),
        str(os.getpid()),
        node.program,
        str(_VITE),
        "--clearScreen=false",
    ]
    process = subprocess.Popen(
        command,
        cwd=FRONTEND,
        env={**node.variables(), "VITE_EDGE_URL": edge_url},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

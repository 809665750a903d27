"""Generated code of the contracts: made by grpcio-tools and mypy-protobuf, compared with what is committed.

The folder of a contract is its protobuf package and its Python import, so protoc's output is used as it comes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts.environment import ROOT, SetupError

PROTOS: Final = ROOT / "protos"
_PLUGINS: Final = ("python", "grpc_python", "mypy", "mypy_grpc")
_GENERATED: Final = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(protos: Path = PROTOS) -> list[Path]:
    """Write the generated files beside the contracts, and remove those whose contract is gone.

    Returns:
        The files that were changed or removed, relative to `protos`.

    Raises:
        SetupError: a contract does not compile.
    """
    changed = []
    for file, content in _differences(protos).items():
        if content is None:
            (protos / file).unlink()
        else:
            (protos / file).write_bytes(content)
        changed.append(file)
    return changed


def stale(protos: Path = PROTOS) -> list[Path]:
    """Return the generated files that are not what the contracts say, relative to `protos`.

    Raises:
        SetupError: a contract does not compile.
    """
    return list(_differences(protos))


def _differences(protos: Path) -> dict[Path, bytes | None]:
    """Return what each file that differs should hold; None: it should not be there."""
    with tempfile.TemporaryDirectory() as folder:
        _compile(protos, Path(folder))
        fresh = _generated_files(Path(folder))
    committed = _generated_files(protos)
    return {file: fresh.get(file) for file in sorted(fresh | committed) if fresh.get(file) != committed.get(file)}


def _compile(protos: Path, target: Path) -> None:
    sources = sorted(str(file.relative_to(protos)) for file in protos.rglob("*.proto"))
    outputs = [f"--{plugin}_out={target}" for plugin in _PLUGINS]
    # The plugins of mypy-protobuf lie beside the interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *sources],
        cwd=protos,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise SetupError(f"the contracts do not compile:\n{result.stderr.strip()}")


def _generated_files(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for pattern in _GENERATED for file in folder.rglob(pattern)}

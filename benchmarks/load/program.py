"""The generator's program: compiled when it is wanted and its source has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError, Missing

SOURCE: Final = Path(__file__).resolve().parents[1] / "generator"
_BUILT: Final = SOURCE.parents[1] / ".tools" / "generator"
_COMPILERS: Final = ("cc", "gcc", "clang")
_FLAGS: Final = ("-O2", "-std=c11", "-Wall", "-Wextra", "-Wno-missing-field-initializers")


def missing() -> str | None:
    """Return what the generator lacks here, or None."""
    if _compiler() is None:
        return f"a C compiler ({', '.join(_COMPILERS)}); on Debian: apt-get install gcc libc6-dev"
    return None


def program() -> Path:
    """Return the generator's program, compiled from the source as it is now.

    Raises:
        Missing: there is no compiler.
        BenchmarkError: it does not compile.
    """
    sources = sorted(SOURCE.glob("*.c"))
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for file in sorted(SOURCE.iterdir()):
        digest.update(file.read_bytes())
    built = _BUILT / f"generator-{digest.hexdigest()[:16]}"
    if built.exists():
        return built
    compiler = _compiler()
    if compiler is None:
        raise Missing(f"the load generator needs {missing()}")
    _BUILT.mkdir(parents=True, exist_ok=True)
    draft = built.with_name(f"{built.name}.{os.getpid()}")
    result = subprocess.run(
        [compiler, *_FLAGS, *map(str, sources), "-o", str(draft)], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BenchmarkError(f"the load generator does not compile:\n{result.stderr[-2000:]}")
    draft.replace(built)
    return built


def _compiler() -> str | None:
    return next((found for name in _COMPILERS if (found := shutil.which(name))), None)

"""The virtual environment of this checkout: made when it is missing, brought up to date when the pins change, entered.

A stamp in it says what was installed last. While the stamp fits, nothing is asked and nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

from scripts.processes import run_apart

ROOT: Final = Path(__file__).resolve().parents[1]
RUNTIME: Final = ""
DEVELOPMENT: Final = "dev"
BENCHMARKS: Final = "bench"
# Each extra holds those before it.
_EXTRAS: Final = (RUNTIME, DEVELOPMENT, BENCHMARKS)

_STAMP_FILE: Final = "tidewire-installed.json"
_INPUTS: Final = ("pyproject.toml", "constraints.txt")


class SetupError(Exception):
    """Something that the command needs cannot be had; the text says what to do."""


@dataclass(frozen=True)
class Stamp:
    """What was installed.

    Args:
        fingerprint: Of the files that say what to install, and of where they are.
        extra: `RUNTIME`, or `DEVELOPMENT`, which holds more, or `BENCHMARKS`, which holds most.
    """

    fingerprint: str
    extra: str

    @classmethod
    def parse(cls, text: str) -> Stamp | None:
        """Read a stamp; None if it is none."""
        try:
            value = json.loads(text)
            return cls(str(value["fingerprint"]), str(value["extra"]))
        except (ValueError, KeyError, TypeError):
            return None

    def fits(self, fingerprint: str, extra: str) -> bool:
        """Whether an environment with this stamp has what is asked for."""
        return self.fingerprint == fingerprint and _EXTRAS.index(extra) <= self.rank

    @property
    def rank(self) -> int:
        """How much is installed; an extra that is not known counts as nothing."""
        return _EXTRAS.index(self.extra) if self.extra in _EXTRAS else -1


def fingerprint(root: Path) -> str:
    """Return a digest of what decides over the content of the environment, the folder it points to included."""
    digest = hashlib.sha256(str(root).encode())
    for name in _INPUTS:
        file = root / name
        digest.update(b"\0" + (file.read_bytes() if file.exists() else b""))
    return digest.hexdigest()


class Environment:
    """`.venv` in the root of the checkout.

    Args:
        root: The checkout.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._folder = root / ".venv"
        self._stamp_file = self._folder / _STAMP_FILE
        self.python = self._folder / "bin" / "python"

    def enter(self, extra: str) -> None:
        """Go on in the environment, with `extra` installed; replaces this process if it runs elsewhere.

        Raises:
            SetupError: the environment cannot be made.
        """
        self.ensure(extra)
        if Path(sys.prefix).resolve() != self._folder.resolve():
            self._replace_this_process()

    def ensure(self, extra: str) -> None:
        """Make the environment or bring it up to date, if its stamp does not fit. Idempotent.

        Raises:
            SetupError: it cannot be made.
        """
        wanted = fingerprint(self._root)
        if self._fits(wanted, extra):
            return
        with self._locked():
            if self._fits(wanted, extra):  # another process was quicker
                return
            stamp = self._read_stamp()
            most = stamp.extra if stamp and stamp.rank > _EXTRAS.index(extra) else extra
            if not self.python.exists():
                self._create()
            self._install(most)
            self._stamp_file.write_text(json.dumps(asdict(Stamp(wanted, most))))

    def _fits(self, wanted: str, extra: str) -> bool:
        stamp = self._read_stamp()
        return stamp is not None and stamp.fits(wanted, extra) and self.python.exists()

    def _read_stamp(self) -> Stamp | None:
        try:
            return Stamp.parse(self._stamp_file.read_text())
        except OSError:
            return None

    def _create(self) -> None:
        _say(f"making the environment {self._folder}; later starts take seconds")
        _run(
            [sys.executable, "-m", "venv", "--clear", str(self._folder)],
            "a virtual environment cannot be made; on Debian and Ubuntu: apt-get install python3-venv",
        )

    def _install(self, extra: str) -> None:
        _say(f"installing {'what development needs' if extra else 'the dependencies'}")
        project = f"{self._root}[{extra}]" if extra else str(self._root)
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        constraints = self._root / "constraints.txt"
        if constraints.exists():
            command += ["--constraint", str(constraints)]
        _run([*command, "--editable", project], "the dependencies cannot be installed; pip says above why")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from installing at the same time."""
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _replace_this_process(self) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        script = str(Path(sys.argv[0]).resolve())
        os.execv(self.python, [str(self.python), script, *sys.argv[1:]])  # noqa: S606 - no shell is wanted


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _run(command: list[str], problem: str) -> None:
    if run_apart(command) != 0:
        raise SetupError(problem)

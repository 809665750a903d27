"""A wall clock for services that a test sets forward and back, while their monotonic clocks go on (libfaketime)."""

from __future__ import annotations

from pathlib import Path

from tests.support.requirements import skip_without

_LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
# For so long a process may go by what it read of the clock's file before.
CACHE_S = 1


class FakeTime:
    """The clock of all processes that are started with `variables`. Skips the test where the library is missing.

    Args:
        directory: For the file that says what the time is.
    """

    def __init__(self, directory: Path) -> None:
        found = [file for pattern in _LIBRARIES for file in Path("/").glob(pattern.removeprefix("/"))]
        if not found:
            skip_without("libfaketime (Debian: faketime)")
        self._library = found[0]
        self._file = directory / "faketime"
        self.set(0)

    @property
    def variables(self) -> dict[str, str]:
        """What processes need in their environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(CACHE_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        """Set the clock to the real time and so many seconds; negative: back."""
        draft = self._file.with_name("faketime.new")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self._file)

"""Exit codes that the commands share."""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130

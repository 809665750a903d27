"""Where code stands: `function (file:line)`, the file as it is named from the folder that it is imported from."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import FrameType


def place(frame: FrameType) -> str:
    """Return where a frame stands."""
    code = frame.f_code
    return f"{code.co_qualname} ({shown_file(code.co_filename)}:{frame.f_lineno})"


@functools.lru_cache(4096)
def shown_file(file: str) -> str:
    """Return a file's name without the folder of `sys.path` that it lies in; no path of the machine is shown."""
    folders = [folder for folder in sys.path if folder and file.startswith(f"{folder}/")]
    return file[len(max(folders, key=len)) + 1 :] if folders else Path(file).name

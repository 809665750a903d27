"""One coverage-guided run, in a process of its own: `python -m tests.fuzz.guided TARGET [options of libFuzzer]`.

libFuzzer ends the process by itself. What a target imports of the product is instrumented here, so nothing of the product may
be imported before.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from typing import Final

import atheris
import structlog

from tests.fuzz.target import load

# Their branches guide the search; those of libraries and of the targets themselves do not.
PRODUCT: Final = ("auth_service", "service_runtime", "session_service", "tidewire_client", "ws_edge")


def main(argv: list[str]) -> None:
    """Run a target until libFuzzer ends the process."""
    with atheris.instrument_imports(include=PRODUCT, enable_loader_override=False):
        target = load(argv[1])
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as opened:
        check = opened.enter_context(target.opened())
        atheris.Setup([argv[0], *argv[2:]], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)

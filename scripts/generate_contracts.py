#!/usr/bin/env python3
"""Generates Python beside the contracts in `protos/`, and the browser's frame types; with `--check`, compares only.

manage.py check --fix           in the environment of this checkout
generate_contracts.py [--check] the same, by itself
"""

import argparse
import sys
from os.path import abspath, dirname
from pathlib import Path

_HERE = dirname(abspath(__file__))  # noqa: PTH100, PTH120
sys.path[:] = [dirname(_HERE), *(folder for folder in sys.path if folder != _HERE)]  # noqa: PTH120

from scripts.environment import DEVELOPMENT, ROOT, Environment, SetupError  # noqa: E402
from scripts.exit_codes import DONE, FAILED  # noqa: E402
from scripts.start_options import add_this_python  # noqa: E402


def main(argv: list[str]) -> int:
    """Generate or compare; return the exit code: 0 done or fresh, 1 stale or failed."""
    parser = argparse.ArgumentParser(prog="generate_contracts.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="change nothing; name the files that are stale")
    add_this_python(parser)
    options = parser.parse_args(argv)
    try:
        if not options.this_python:
            Environment().enter(DEVELOPMENT)
        from scripts import contracts, frames_typescript

        files = [Path("protos") / file for file in (contracts.stale() if options.check else contracts.generate())]
        changed = not frames_typescript.is_fresh() if options.check else frames_typescript.write()
        files += [frames_typescript.FILE.relative_to(ROOT)] if changed else []
    except SetupError as error:
        sys.stderr.write(f"generate_contracts.py: {error}\n")
        return FAILED
    sys.stdout.write("".join(f"{'stale' if options.check else 'written'}: {file}\n" for file in files))
    return FAILED if options.check and files else DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

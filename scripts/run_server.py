#!/usr/bin/env python3
"""The production-like start: everything is verified before it says ready, and watched after it.

Production mode, JSON log lines on stdout, no development keys, no debug endpoint.
"""

import argparse
import sys
from os.path import abspath, dirname

if sys.version_info < (3, 11):  # noqa: UP036 - this line is for people whose python3 is older
    sys.exit(
        f"run_server.py needs Python 3.11 or later; this is {sys.version.split()[0]}. Try: python3.11 {sys.argv[0]}"
    )
if sys.platform == "win32":
    sys.exit("run_server.py runs on Linux and macOS")

_HERE = dirname(abspath(__file__))  # noqa: PTH100, PTH120
sys.path[:] = [dirname(_HERE), *(folder for folder in sys.path if folder != _HERE)]  # noqa: PTH120

from scripts.environment import RUNTIME, Environment, SetupError  # noqa: E402
from scripts.exit_codes import FAILED, INTERRUPTED  # noqa: E402
from scripts.processes import end_on_sigterm  # noqa: E402
from scripts.start_options import add_start_options, add_this_python, wishes  # noqa: E402

_DESCRIPTION = """Run auth, session and edge on this machine in production mode.

Before anything is started, the Python packages, the settings, the secrets, the data folder, the TLS files and the ports
are verified, and all that is wrong is said at once. `ready` comes when each service serves and a message has gone round.
A service that dies is started again; one that dies too often ends everything, with exit code 1.
"""
_EPILOG = """TIDEWIRE_SERVICE_TOKEN must be set, to at least 32 characters. To make one:
  python3 -c "import secrets; print(secrets.token_urlsafe(32))"
Every setting of a service can be given as a variable: docs/reference/settings.md. Keys, TLS: docs/security.md.
"""


def main(argv: list[str]) -> int:
    """Run the services and return the exit code: 0 ended when asked, 1 refused or failed, 2 wrong use."""
    options = _parser().parse_args(argv)
    end_on_sigterm()
    try:
        wanted = wishes(options, mode="production", json_logs=True)
        if not options.this_python:
            Environment().enter(RUNTIME)
        from scripts.production_start import start

        return start(wanted, options.most_crashes)
    except SetupError as error:
        sys.stderr.write(f"run_server.py: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_server.py",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_start_options(parser)
    add_this_python(parser)
    parser.add_argument(
        "--most-crashes",
        type=int,
        default=5,
        metavar="N",
        help="crashes of one service within a minute at which everything is given up (default: 5)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""The command of people who try Tidewire or work on it: start, status, test, check, docs, bench.

It needs nothing but Python 3.11 or later: the environment is made when it is not there.
"""

import argparse
import sys
from os.path import abspath, dirname
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - this line is for people whose python3 is older
    sys.exit(
        f"manage.py needs Python 3.11 or later; this is {sys.version.split()[0]}. Try: python3.11 {sys.argv[0]} ..."
    )
if sys.platform == "win32":
    sys.exit("manage.py runs on Linux and macOS")

_HERE = dirname(abspath(__file__))  # noqa: PTH100, PTH120
sys.path[:] = [dirname(_HERE), *(folder for folder in sys.path if folder != _HERE)]  # noqa: PTH120

from scripts.environment import BENCHMARKS, DEVELOPMENT, RUNTIME, Environment, SetupError  # noqa: E402
from scripts.exit_codes import FAILED, INTERRUPTED  # noqa: E402
from scripts.preflight import PACKAGES, missing_packages  # noqa: E402
from scripts.processes import end_on_sigterm  # noqa: E402
from scripts.start_options import (  # noqa: E402
    CERTIFICATES,
    DEFAULT_DATA_DIR,
    add_start_options,
    add_this_python,
    data_dir_option,
    wishes,
)

CERTS_PACKAGES = (*PACKAGES, "cryptography")

_DESCRIPTION = """Start Tidewire, look after it, and prove that it works.

  manage.py start               all services in development mode, on embedded SQLite; Ctrl-C ends them
  manage.py status              which services run, and if they are ready
  manage.py certs               certificates for mutual TLS between them, for development
  manage.py test                all tests, with coverage; `test quick` is a part of them
  manage.py check               format, lint, types, import arrows, freshness of what is generated, contracts
  manage.py docs                the site of docs/, into build/site
  manage.py bench               Tidewire and other servers on the same work: docs/benchmarks-message-path.md
"""


def main(argv: list[str]) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    options = _parse(argv)
    end_on_sigterm()
    try:
        return int(options.run(options))
    except SetupError as error:
        sys.stderr.write(f"manage.py: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("manage.py: interrupted\n")
        return INTERRUPTED


def _parse(argv: list[str]) -> argparse.Namespace:
    if argv[:1] == ["bench"]:  # each benchmark knows its own options
        own, arguments = [word for word in argv if word in ("bench", "--this-python")], argv[1:]
        arguments = [word for word in arguments if word != "--this-python"]
    else:
        own, arguments = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = _parser()
    options = parser.parse_args(own)
    if arguments and options.run not in (_test, _bench):
        parser.error("only `test` takes arguments behind --")
    options.arguments = arguments
    return options


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_this_python(shared)
    parser = argparse.ArgumentParser(
        prog="manage.py",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_start(commands, shared)
    _add_status(commands)
    _add_certs(commands, shared)
    _add_test(commands, shared)
    _add_check(commands, shared)
    _add_docs(commands, shared)
    _add_bench(commands, shared)
    return parser


def _add_start(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    start = commands.add_parser(
        "start",
        parents=[shared],
        allow_abbrev=False,
        help="start all services and look after them",
        description="Build the edge's page if it is missing or old, start auth, session and edge; say `ready` when a message"
        " has gone round; start again what dies.",
        epilog="Every setting of a service can be given as a variable too: docs/reference/settings.md",
    )
    add_start_options(start)
    start.add_argument(
        "--mode",
        choices=("development", "production"),
        help="mode of the services (default: TIDEWIRE_MODE, or development)",
    )
    start.add_argument(
        "--tls",
        action="store_true",
        help="mutual TLS between the services, with certificates that are made in the data folder if they are not there",
    )
    start.add_argument(
        "--frontend",
        action="store_true",
        help="run the page's development server too, on http://localhost:5173",
    )
    start.set_defaults(run=_start)


def _add_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = commands.add_parser(
        "status",
        allow_abbrev=False,
        help="which services run, and if they are ready",
        description="Say which services run, with pid and port, and if they are ready. Exit code 0: all are ready.",
    )
    data_dir_option(status)
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=_status)


def _add_certs(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    certs = commands.add_parser(
        "certs",
        parents=[shared],
        allow_abbrev=False,
        help="make certificates for development",
        description="Make an authority, a certificate for each service and one for an operator, for mutual TLS on this"
        " machine or in a Compose network, and print the settings that use them. Files that are there are never replaced"
        " without --force.",
    )
    certs.add_argument(
        "--out",
        type=lambda text: Path(text).expanduser().absolute(),
        default=DEFAULT_DATA_DIR / CERTIFICATES,
        metavar="FOLDER",
        help=f"where they are to be (default: {DEFAULT_DATA_DIR.name}/{CERTIFICATES} in the checkout)",
    )
    certs.add_argument("--force", action="store_true", help="replace what is there, the authority too")
    certs.set_defaults(run=_certs)


def _add_test(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser) -> None:
    test = commands.add_parser(
        "test",
        parents=[shared],
        allow_abbrev=False,
        help="run tests, with coverage",
        usage="manage.py test [-h] [--this-python] [unit|quick|integration|e2e|deploy|all] [-- PYTEST ARGUMENTS]",
        description="Run tests and measure branch coverage. `unit` must cover each core, `all` 90 % of everything besides;"
        " `quick` leaves out what is marked slow, browsers and containers;"
        " `e2e` drives the page in Chromium, Firefox and WebKit;"
        " with arguments for pytest, coverage is shown and not judged.",
    )
    test.add_argument(
        "suite",
        nargs="?",
        choices=("unit", "quick", "integration", "e2e", "deploy", "all"),
        default="all",
        help="default: all",
    )
    test.set_defaults(run=_test)


def _add_check(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    check = commands.add_parser(
        "check",
        parents=[shared],
        allow_abbrev=False,
        help="check everything that needs no running service",
        description="Run every check, also when one fails; exit code 1 if any did.",
    )
    check.add_argument(
        "--fix", action="store_true", help="first format, repair what the linter can, and generate again"
    )
    check.set_defaults(run=_check)


def _add_docs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser) -> None:
    docs = commands.add_parser(
        "docs",
        parents=[shared],
        allow_abbrev=False,
        help="build the site of docs/ into build/site",
        description="Build the site of docs/ into build/site; a link that leads nowhere, or a page that is in no menu, fails.",
    )
    docs.add_argument("--serve", action="store_true", help="serve it on http://127.0.0.1:8001, and follow every change")
    docs.set_defaults(run=_docs)


def _add_bench(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    bench = commands.add_parser(
        "bench",
        parents=[shared],
        allow_abbrev=False,
        add_help=False,
        help="measure Tidewire and other servers; `bench --help` has the names and options",
    )
    bench.set_defaults(run=_bench)


def _enter(options: argparse.Namespace, extra: str) -> None:
    """Go on in an environment that has what the command needs; may replace this process."""
    if not options.this_python:
        Environment().enter(extra)


def _start(options: argparse.Namespace) -> int:
    wanted = wishes(options, mode=options.mode)
    _enter(options, DEVELOPMENT if wanted.tls else RUNTIME)
    for problem in missing_packages(CERTS_PACKAGES if wanted.tls else PACKAGES):
        raise SetupError(problem)
    if wanted.tls:
        from scripts.certificates import Folder, make_certificates

        if not Folder(wanted.tls).complete():
            make_certificates(Folder(wanted.tls))
    from scripts.development_start import start

    return start(wanted, builds_page=not options.this_python, frontend=options.frontend)


def _status(options: argparse.Namespace) -> int:
    from scripts.status import status

    return status(options.data_dir, as_json=options.json)


def _certs(options: argparse.Namespace) -> int:
    _enter(options, DEVELOPMENT)
    for problem in missing_packages(CERTS_PACKAGES):
        raise SetupError(problem)
    from scripts.certificates import Folder, make_certificates, report

    folder = Folder(options.out)
    make_certificates(folder, force=options.force)
    print("\n".join(report(folder)))
    return 0


def _test(options: argparse.Namespace) -> int:
    _enter(options, DEVELOPMENT)
    from scripts.testing import run_tests

    return run_tests(options.suite, options.arguments)


def _check(options: argparse.Namespace) -> int:
    _enter(options, DEVELOPMENT)
    from scripts.checks import fix, run_checks

    if options.fix:
        fix()
    return run_checks()


def _docs(options: argparse.Namespace) -> int:
    _enter(options, DEVELOPMENT)
    from scripts.site import run_docs

    return run_docs(serve=options.serve)


def _bench(options: argparse.Namespace) -> int:
    _enter(options, BENCHMARKS)
    from scripts.bench import run_bench

    return run_bench(options.arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

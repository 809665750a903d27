"""The command of fuzzing: see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.target import TARGETS, load

DESCRIPTION = "Fuzz decoders and surfaces of the product, guided by the branches that inputs reach."
DEFAULT_S = 60
SHOWN_CHARS = 3000


def main(argv: list[str]) -> int:
    """Run what was asked for; return 1 if something was found."""
    options = parsed(argv)
    if options.list:
        for name in TARGETS:
            print(f"{name:<18} {load(name).oracle}")
        return 0
    names = TARGETS if options.all else (options.target,)
    if options.seeds:
        for name in names:
            for path in corpus.write_seeds(name, load(name)):
                print(f"{name:<18} wrote {path.name}")
        return 0
    if options.replay:
        return max([replay(names[0], path) for path in options.replay])
    return max([_run(name, options.seconds, keep=options.keep) for name in names])


def parsed(argv: list[str]) -> argparse.Namespace:
    """Return what was asked for; ends the process if it cannot be meant."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=DESCRIPTION)
    parser.add_argument("target", nargs="?", choices=TARGETS, metavar="TARGET", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--all", action="store_true", help="every target, one after the other")
    parser.add_argument("--seconds", type=int, default=DEFAULT_S, help=f"for each target (default: {DEFAULT_S})")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach something new to the corpus")
    parser.add_argument(
        "--replay", type=Path, nargs="+", metavar="FILE", help="try these inputs only, without a search"
    )
    parser.add_argument("--seeds", action="store_true", help="write the target's own seeds into the corpus")
    parser.add_argument("--list", action="store_true", help="list the targets and what must hold of each")
    options = parser.parse_args(argv)
    if not options.list and (options.target is None) != options.all:
        parser.error("name one target, or --all")
    if options.replay and options.all:
        parser.error("--replay needs one target")
    if options.seconds < 1:
        parser.error("--seconds must be 1 or more")
    return options


def _run(name: str, seconds: int, *, keep: bool) -> int:
    # Imported here, so that lists and replays need no atheris.
    from tests.fuzz import campaign

    target = load(name)
    with tempfile.TemporaryDirectory() as place:
        more = Path(place)
        report = campaign.run(name, target, seconds, keep=more)
        print(f"{name:<18} {report.line}", flush=True)
        if report.finding is not None:
            path = corpus.add(name, report.finding)
            print(report.output[-SHOWN_CHARS:])
            print(f"kept as {path or 'what is in the corpus already'}")
            return 1
        if keep:
            added = [corpus.add(name, path.read_bytes()) for path in more.iterdir()]
            print(f"{name:<18} kept {len(added)} inputs that reach something new")
    return 0


def replay(name: str, path: Path) -> int:
    """Try one input; return 1 if it fails."""
    with load(name).opened() as check:
        try:
            check(path.read_bytes())
        except Exception:
            traceback.print_exc()
            return 1
    print(f"{name:<18} {path}: fine")
    return 0

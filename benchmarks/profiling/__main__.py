"""`manage.py bench profile NAME...`: where Tidewire's CPU time goes in scenarios of the message path."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.program import missing
from benchmarks.message_path import SCENARIOS, allow_many_files
from benchmarks.peers.tidewire import Tidewire
from benchmarks.profiling.sampler import Sampler, program
from benchmarks.profiling.samples import Samples
from benchmarks.rounds import run_rounds
from benchmarks.scenarios.base import FULL, SMALL
from benchmarks.usage import Cpu, cpu_times

_SHOWN: Final = 12


class ProfiledTidewire(Tidewire):
    """Tidewire with a sampler beside each service, from the moment that it serves until it is stopped."""

    found: ClassVar[dict[str, tuple[Samples, Cpu]]] = {}

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Peer.start`."""
        super().start(directory, identities)
        self._services = {name: pid for name, pid in self.parts().items() if name != "launcher"}
        self._before = {name: cpu_times(pid) for name, pid in self._services.items()}
        self._samplers = {name: Sampler(pid, directory) for name, pid in self._services.items()}

    def stop(self) -> None:
        """See `Peer.stop`."""
        try:
            for name, pid in self._services.items():
                used = cpu_times(pid).since(self._before[name])
                self.found[name] = self._samplers[name].stop(), used
        finally:
            super().stop()


def main(argv: Sequence[str]) -> int:
    """Profile scenarios.

    Args:
        argv: Their names, and `--small`.

    Returns:
        0; 1 if nothing can be seen, or deliveries were wrong.
    """
    parser = argparse.ArgumentParser(prog="manage.py bench profile", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="+", choices=sorted(SCENARIOS), metavar="NAME", help="a scenario")
    parser.add_argument("--small", action="store_true", help="seconds only, to see that it works")
    options = parser.parse_args(argv)
    lack = missing() or (None if program() else "py-spy")
    if lack:
        sys.stderr.write(f"nothing can be seen: {lack} is needed\n")
        return 1
    allow_many_files()
    wrong = False
    for name in options.names:
        ProfiledTidewire.found.clear()
        try:
            result = run_rounds(SCENARIOS[name], [ProfiledTidewire], 1, SMALL if options.small else FULL)
        except BenchmarkError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        wrong |= any(contender.faults for contender in result.contenders)
        print("\n".join(shown(name, ProfiledTidewire.found)), flush=True)
    return int(wrong)


def shown(scenario: str, found: Mapping[str, tuple[Samples, Cpu]]) -> Iterator[str]:
    """Yield the lines of a report.

    Args:
        scenario: Its name.
        found: For each service, where it was seen, and the CPU time that it used.
    """
    whole_s = max(sum(cpu.whole_s for _, cpu in found.values()), 1e-9)
    yield f"{scenario}: {whole_s:.1f} CPU s of all services, from their start to their end"
    for service, (seen, cpu) in sorted(found.items(), key=lambda item: -item[1][1].whole_s):
        user = cpu.user_s / max(cpu.whole_s, 1e-9)
        yield f"  {service}: {cpu.whole_s / whole_s:.0%} of it; {user:.0%} user, {1 - user:.0%} kernel; {seen.total} samples"
        for kind, counts in (("by room", seen.rooms), ("by function", seen.places), ("in system calls", seen.calls)):
            yield f"    {kind}"
            for where, count in counts.most_common(_SHOWN):
                yield f"      {count / seen.total:6.1%}  {where}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

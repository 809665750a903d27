"""Ties a service to its supervisor, then becomes the service: `tether.py SUPERVISOR_PID COMMAND...`.

On Linux the kernel kills the service when the supervisor ends in whatever way, SIGKILL included (prctl(2),
PR_SET_PDEATHSIG; kept over execve(2)). A process of its own does this, because code between fork and exec of a program
with threads may deadlock. Elsewhere a supervisor that is killed with SIGKILL leaves its services running.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(supervisor_pid: int, command: list[str]) -> None:
    """Become `command`; end at once if the supervisor has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == supervisor_pid:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

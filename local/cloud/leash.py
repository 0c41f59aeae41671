"""Runs a command so that the kernel ends it when the process that asked for it ends, however that ends.

Started as a file of its own (``python -I -S leash.py PARENT SIGNAL UID GID COMMAND...``) rather than through
``preexec_fn``: the owner then never runs Python between fork and exec, which is unsafe beside its threads
and gRPC's.  It replaces itself by the command, so nothing of it stays.  Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send ``signal_number`` to this process when the thread that spawned it ends.

    Only Linux has this; elsewhere nothing happens and the owner's ``atexit`` is all there is.  A change of
    user clears it, ``exec`` keeps it.

    Raises:
        OSError: the kernel refused.

    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _become(uid: int, gid: int) -> None:
    if os.geteuid() == uid:
        return
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Become the command in ``arguments[4:]``: see the module's own text for the four before it."""
    parent, signal_number, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    _become(uid, gid)
    die_with_parent(signal_number)
    # The parent may have ended before the line above; then no signal will ever come.
    if os.getppid() != parent:
        sys.exit("the process that asked for this one is gone")
    os.execvp(command[0], command)  # noqa: S606 - that is the whole point: no shell, the command itself


if __name__ == "__main__":
    main(sys.argv[1:])

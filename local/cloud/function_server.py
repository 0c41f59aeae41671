"""``functions-framework`` as the emulated cloud runs it: its workers end with their master.

The framework serves with gunicorn, whose worker notices a dead master only between two requests, and a
detection may take minutes.  Every fork of this process therefore asks the kernel to be killed with it.
"""

from __future__ import annotations

import os
import signal
from importlib.metadata import entry_points

from gunicorn.config import ControlSocketDisable

from local.cloud.leash import die_with_parent


def main() -> None:
    """Run the ``functions-framework`` command with this process's own arguments."""
    os.register_at_fork(after_in_child=lambda: die_with_parent(signal.SIGKILL))
    # gunicorn would open one socket file in the home folder, the same for all four functions.
    ControlSocketDisable.default = True
    (command,) = entry_points(group="console_scripts", name="functions-framework")
    command.load()()


if __name__ == "__main__":
    main()

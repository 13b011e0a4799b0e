"""Run a Python module that ends when its parent does, however that came about.

`python -m ordertrace_shop.leash MODULE ARGUMENT…` with standard input a pipe that the parent holds open and never
writes to. When the parent is gone, even by SIGKILL, the system closes the pipe; the module then gets SIGTERM, and
is ended for good if it is still there a little later.
"""

import os
import runpy
import signal
import sys
import threading
import time

GRACE = 5.0  # seconds from SIGTERM to the end


def watch_parent() -> None:
    """Wait for the end of standard input, then end this process."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    threading.Thread(target=watch_parent, name="leash", daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

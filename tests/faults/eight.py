"""Runs eight sweeps at the same time with the options that it is given, each in a process with a Spark of its own.

They share the import of the libraries, which would take more of the time than the sweeps. Exits with the worst of their codes.
"""

import os
import sys

import dbscan_sweep

from common import options


def main() -> int:
    """Starts them, and waits for all."""
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            os._exit(options.run(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters))
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main())

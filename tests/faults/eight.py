"""Runs eight processes at the same time, each of which sweeps into one store after the other.

Takes the stores' URIs, `--`, and the options of the sweeps. The processes share the import of the libraries, and the sweeps
of a process share its Spark: both would take longer than they do. Exits with the worst of their codes.
"""

import os
import sys
import warnings
from collections.abc import Sequence

import dbscan_sweep
import mlflow

from common import options, spark


def sweeps(uris: Sequence[str], argv: Sequence[str]) -> int:
    """Sweeps into each of the stores."""
    codes = []
    with spark.session("local[1]"):
        for uri in uris:
            os.environ["MLFLOW_TRACKING_URI"] = uri
            mlflow.set_tracking_uri(uri)
            codes.append(options.run(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, list(argv)))
    return max(codes)


def main() -> int:
    """Starts them, and waits for all."""
    at = sys.argv.index("--")
    # Python 3.12 warns of threads beside a fork: those of the libraries are idle, and hold no lock.
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            os._exit(sweeps(sys.argv[1:at], sys.argv[at + 1 :]))
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main())

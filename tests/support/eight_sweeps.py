"""Run eight processes at the same time, each of which sweeps into one store after the other.

Takes a Connect server's URL, the stores' URIs, `--`, and the options of the sweeps. Exits with the worst of their codes. The
processes share the import of the libraries, and the sweeps of a process share its session, to save time.
"""

import os
import sys
import warnings
from collections.abc import Sequence

import dbscan_sweep
import matplotlib.pyplot  # noqa: F401  # a sweep imports it when it needs it
import mlflow

from penguins.cli.script import run_entry_point
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget


def sweep_into(uris: Sequence[str], connect_url: str, argv: Sequence[str]) -> int:
    """Sweep into each of the stores; return the worst exit code."""
    codes = []
    with spark_session(SparkTarget(connect_url)) as session:
        session.conf.set("spark.sql.shuffle.partitions", 1)
        for uri in uris:
            os.environ["MLFLOW_TRACKING_URI"] = uri
            mlflow.set_tracking_uri(uri)
            codes.append(run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, list(argv)))
    return max(codes)


def main() -> int:
    """Start the processes and wait for all of them."""
    at = sys.argv.index("--")
    # Python 3.12 warns of threads beside a fork: those of the libraries are idle and hold no lock.
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            os._exit(sweep_into(sys.argv[2:at], sys.argv[1], sys.argv[at + 1 :]))
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main())

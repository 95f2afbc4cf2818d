"""The cost of one group's sweep by its size and number of columns, against the libraries called for each eps.

The plain side is scikit-learn's DBSCAN, three of its indices and s-dbw, one call after the other. For DBSCAN alone, there are
also scikit-learn's and the C++ package `dbscan` where it is installed (`pip install dbscan`; it takes 2 to 20 columns).
Milliseconds are the minimum of several repetitions, each side in turn.
"""

import importlib.util
import json
import time
from collections.abc import Callable

import comparison
import numpy as np
import pandas as pd
from metrics import EPS_OF_ISLANDS, MIN_SAMPLES, plain
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler

from penguins.clustering.dbcv import dbcv
from penguins.clustering.dbscan import dbscan
from penguins.clustering.eps_grid import propose_eps
from penguins.clustering.indices import DBCV, evaluate

RECORDS, COLUMNS = (20, 50, 200, 1_000, 5_000), (2, 4, 20)
HAS_PACKAGE = importlib.util.find_spec("dbscan") is not None
# A side is repeated for about so many seconds, and three times at least.
SECONDS, FEWEST = 0.5, 3


def milliseconds(functions: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the minimum of each function's times; the functions take turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    until = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < until or len(next(iter(times.values()))) < FEWEST:
        for name, function in functions.items():
            times[name].append(1_000 * comparison.seconds(function))
    return {name: min(measured) for name, measured in times.items()}


def functions_of(n_records: int, n_columns: int) -> dict[str, Callable[[], object]]:
    """Return what is measured on a table of 12 blobs, by the name of its column."""
    X, _ = make_blobs(n_records, n_columns, centers=12, cluster_std=0.6, random_state=0)
    frame, scaled = pd.DataFrame(X), StandardScaler().fit_transform(X)
    # Distances grow with the number of columns, and eps with them.
    eps_values = tuple(float(eps * np.sqrt(n_columns / 4)) for eps in EPS_OF_ISLANDS)
    labels = [found.labels for found in dbscan(scaled, eps_values, MIN_SAMPLES)]
    with_dbcv = [one for one, found in zip(labels, evaluate(scaled, labels), strict=True) if DBCV in found.metrics]

    def compute(values: tuple[float, ...]) -> None:
        found = [clustering.labels for clustering in dbscan(scaled, values, MIN_SAMPLES)]
        evaluate(scaled, found)

    functions: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(frame, eps_values),
        "ours": lambda: compute(eps_values),
        "dbcv": lambda: dbcv(scaled, with_dbcv) if with_dbcv else None,
        "auto": lambda: compute(propose_eps(scaled, MIN_SAMPLES, 40).values),
        "dbscan sklearn": lambda: [DBSCAN(eps=eps, min_samples=MIN_SAMPLES).fit(scaled) for eps in eps_values],
        "dbscan ours": lambda: dbscan(scaled, eps_values, MIN_SAMPLES),
    }
    if HAS_PACKAGE:
        package = importlib.import_module("dbscan")
        functions["dbscan package"] = lambda: [package.DBSCAN(scaled, eps, MIN_SAMPLES) for eps in eps_values]
    return functions


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1)
    rows = []
    for n_columns in COLUMNS:
        for n_records in RECORDS:
            comparison.progress(f"{n_records} records, {n_columns} columns")
            measured = milliseconds(functions_of(n_records, n_columns), SECONDS * given.rounds)
            ratios = {
                "plain/ours": measured["plain"] / measured["ours"],
                "without dbcv": measured["plain"] / (measured["ours"] - measured["dbcv"]),
                "auto/ours": measured["auto"] / measured["ours"],
                "sklearn/ours": measured["dbscan sklearn"] / measured["dbscan ours"],
            }
            if HAS_PACKAGE:
                ratios["ours/package"] = measured["dbscan ours"] / measured["dbscan package"]
            rows.append({"records": n_records, "columns": n_columns, **measured, **ratios})
    if given.json:
        print(json.dumps(rows))
        return
    print(f"milliseconds for {len(EPS_OF_ISLANDS)} eps, or 40 where it says auto; {comparison.machine()}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()

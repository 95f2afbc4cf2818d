"""The cost of computing DBSCAN and its indices for every eps: the libraries, one call after the other, and the sweep.

The sweep also computes DBCV, which the plain side leaves out: no library computes it for 20,000 records in bounded memory.
Also the time of the sweep for an island and for 100,000 records, and its memory, in processes of its own.
"""

import json
import subprocess
import sys

import comparison
import numpy as np
import pandas as pd
from comparison import Comparison
from s_dbw import S_Dbw
from sklearn import metrics as libraries
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler

from penguins.sweep.fit import sweep

EPS = (0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3)
NINE_EPS = (*EPS, 0.4, 0.5)
EPS_OF_ISLANDS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
MIN_SAMPLES = 3


def table(records: int) -> pd.DataFrame:
    """Return a table of 12 blobs in four columns."""
    X, _ = make_blobs(records, 4, centers=12, cluster_std=0.6, random_state=0)
    return pd.DataFrame(X, columns=["a", "b", "c", "d"])


def plain(frame: pd.DataFrame, eps_values: tuple[float, ...]) -> None:
    """Call each library for each eps, as in a notebook."""
    X = StandardScaler().fit_transform(frame)
    for eps in eps_values:
        labels = DBSCAN(eps=eps, min_samples=MIN_SAMPLES).fit(X).labels_
        clustered = labels != -1
        if 2 <= len(np.unique(labels[clustered])) < clustered.sum():
            libraries.silhouette_score(X[clustered], labels[clustered])
            libraries.calinski_harabasz_score(X[clustered], labels[clustered])
            libraries.davies_bouldin_score(X[clustered], labels[clustered])
            S_Dbw(X, labels, alg_noise="filter")


def compare_sides(records: int, eps_values: tuple[float, ...], rounds: int) -> Comparison:
    """Measure both sides on a table of so many records."""
    frame = table(records)
    return comparison.compare(
        f"{records} records, {len(eps_values)} eps",
        lambda: comparison.seconds(lambda: plain(frame, eps_values)),
        lambda: comparison.seconds(lambda: sweep(frame, eps_values, MIN_SAMPLES)),
        rounds,
    )


def measure_alone(records: int, eps_values: tuple[float, ...]) -> dict[str, float]:
    """Return the seconds and the peak memory of our side in a process of its own."""
    arguments = [sys.executable, __file__, "alone", str(records), ",".join(map(str, eps_values))]
    measured: dict[str, float] = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    return measured


def print_figures(records: int, eps_values: tuple[float, ...]) -> None:
    """Print what `measure_alone` reads."""
    frame = table(records)
    sweep(table(500), eps_values, MIN_SAMPLES)
    took = comparison.seconds(lambda: sweep(frame, eps_values, MIN_SAMPLES))
    print(json.dumps({"seconds": took, "peak_mib": comparison.peak_mib()}))


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=3, records=20_000, large=100_000)
    comparison.progress("an island")
    island = compare_sides(160, EPS_OF_ISLANDS, 5 * given.rounds)
    comparison.progress(f"{given.records} records, on both sides: minutes")
    main_case = compare_sides(given.records, EPS, given.rounds)
    main_case.remarks["ours_peak_mib"] = measure_alone(given.records, EPS)["peak_mib"]
    comparison.progress(f"{given.large} records, ours alone")
    measured = [measure_alone(given.large, NINE_EPS) for _ in range(given.rounds)]
    large = Comparison(f"{given.large} records, {len(NINE_EPS)} eps, ours alone")
    large.remarks["seconds"] = max(one["seconds"] for one in measured)
    large.remarks["peak_mib"] = max(one["peak_mib"] for one in measured)
    comparison.report("computing", [main_case, island, large], given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["alone"]:
        print_figures(int(sys.argv[2]), tuple(map(float, sys.argv[3].split(","))))
    else:
        main()

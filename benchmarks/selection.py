"""How well each rule chooses eps: the adjusted Rand index of the chosen clustering with the known clusters of many tables.

For each table: every rule on the grid of `eps=auto`, the best value of that grid if one knew it, HDBSCAN of scikit-learn
without tuning, the sweeps of HDBSCAN and k-means with their defaults, and the plain default: S_Dbw on the default list of eps.
Records that are noise in truth are left out of the index; records that a clustering calls noise count as one more cluster.
"""

import json
from collections.abc import Iterator, Sequence

import comparison
import numpy as np
import pandas as pd
from labelled_tables import NOISE, labelled_tables
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from penguins.cli.rules import Auto
from penguins.clustering.dbscan import dbscan
from penguins.clustering.doubts import Candidate
from penguins.clustering.eps_grid import propose_eps
from penguins.clustering.indices import HIGHEST_IS_BEST, evaluate
from penguins.clustering.selection import STABILITY, choose
from penguins.sweep.algorithm import ALGORITHMS
from penguins.sweep.fit import Grid, fit_grid

N_VALUES, MIN_COVERAGE = 40, 0.5
DEFAULT_EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
RULES = (STABILITY, *HIGHEST_IS_BEST)
BEST, HDBSCAN_ALONE = "best of the grid", "HDBSCAN"
HDBSCAN_SWEEP, KMEANS_SWEEP = "sweep of HDBSCAN, stability", "sweep of k-means, silhouette"
N_CLUSTERS = (2, 3, 4, 5, 6, 8, 10)
ON_DEFAULT_LIST = {f"{rule}, default list": rule for rule in (STABILITY, "s-dbw")}


def candidates(X: np.ndarray, eps_values: Sequence[float], min_samples: int) -> list[Candidate]:
    """Cluster X for every eps and compute the indices."""
    labels = [found.labels for found in dbscan(X, eps_values, min_samples)]
    evaluations = evaluate(X, labels)
    found = zip(eps_values, labels, evaluations, strict=True)
    return [Candidate(eps, min_samples, of_eps, evaluation.metrics) for eps, of_eps, evaluation in found]


def agreement(truth: np.ndarray, labels: np.ndarray) -> float:
    """Return the adjusted Rand index over the records that belong to a cluster in truth."""
    clustered = truth != NOISE
    return float(adjusted_rand_score(truth[clustered], labels[clustered]))


def agreement_of_choice(truth: np.ndarray, tried: Sequence[Candidate], rule: str) -> float:
    """Return the agreement of the candidate that the rule chooses, 0 where it chooses none."""
    position = choose(tried, rule, MIN_COVERAGE).position
    return 0.0 if position is None else agreement(truth, tried[position].labels)


def agreement_of_sweep(truth: np.ndarray, X: np.ndarray, algorithm: str, grid: Grid, rule: str, min_coverage: float) -> float:
    """Return the agreement of the clustering that a sweep of an algorithm chooses."""
    found = fit_grid(ALGORITHMS[algorithm], X, grid)
    position = found.choose(rule, min_coverage).position
    return 0.0 if position is None else agreement(truth, found.clusterings[position].labels)


def scores_of_table(X: np.ndarray, truth: np.ndarray, min_samples: int) -> dict[str, float]:
    """Return the agreement of every rule on one table."""
    X = StandardScaler().fit_transform(X)
    tried = candidates(X, propose_eps(X, min_samples, N_VALUES).values, min_samples)
    smallest = max(5, round(0.01 * len(X)))
    scores = {
        BEST: max(agreement(truth, one.labels) for one in tried),
        HDBSCAN_ALONE: agreement(truth, HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(X)),
    }
    sizes: Grid = {"min_cluster_size": Auto(), "min_samples": (min_samples,)}
    scores[HDBSCAN_SWEEP] = agreement_of_sweep(truth, X, "hdbscan", sizes, STABILITY, MIN_COVERAGE)
    scores[KMEANS_SWEEP] = agreement_of_sweep(truth, X, "kmeans", {"n_clusters": N_CLUSTERS}, "silhouette", 0.0)
    scores |= {rule: agreement_of_choice(truth, tried, rule) for rule in RULES}
    on_list = candidates(X, DEFAULT_EPS, min_samples)
    return scores | {name: agreement_of_choice(truth, on_list, rule) for name, rule in ON_DEFAULT_LIST.items()}


def all_scores(seeds: Sequence[int], min_samples: int) -> Iterator[dict[str, object]]:
    """Yield the scores of each table; tables of measurements are the same for all seeds and yielded once."""
    seen = set()
    for seed in seeds:
        for name, X, truth in labelled_tables(seed):
            if (key := (name, X.tobytes())) not in seen:
                seen.add(key)
                yield {"table": name, "records": len(X), **scores_of_table(X, truth, min_samples)}


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, min_samples=3)
    rows = []
    for row in all_scores(range(given.rounds), given.min_samples):
        comparison.progress(str(row["table"]))
        rows.append(row)
    table = pd.DataFrame(rows).groupby("table", sort=False).mean()
    means = table.drop(columns="records").mean()
    if given.json:
        print(json.dumps({"tables": table.to_dict("index"), "mean": means.to_dict()}))
        return
    print(table.to_string(float_format="{:.2f}".format))
    summary = pd.DataFrame({"mean": means, "of the best": means / means[BEST]})
    print(f"\n{len(table)} tables, min_samples={given.min_samples}, {given.rounds} random variants of each shape")
    print(summary.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()

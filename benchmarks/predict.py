"""Predictions of the sweep's router, and of the model of one value, against a plain loop over the groups.

The plain side has scikit-learn's NearestNeighbors fitted beforehand on the scaled core records of each group, and predicts one
group after the other; both sides get the same rows. The seconds of the router include finding each row's group and checking its
columns. `--rows` are predicted by routers of `--groups` small groups and of one group of `--records`.
"""

import comparison
import numpy as np
import pandas as pd
from comparison import Comparison
from sklearn.neighbors import NearestNeighbors

from penguins.sweep.nearest import NearestPredictor, NearestRecords
from penguins.sweep.router import Key, Router

FEATURES, N_CLUSTERS, REACH = ("a", "b", "c", "d"), 5, 0.3
RECORDS_OF_SMALL_GROUP = 200


def random_records(n_records: int, random: np.random.Generator) -> NearestRecords:
    """Return core records of five clusters in four columns."""
    clusters = random.integers(0, N_CLUSTERS, n_records)
    X = random.normal(size=(n_records, len(FEATURES))) + 4.0 * clusters[:, None]
    center, scale = X.mean(axis=0), X.std(axis=0)
    return NearestRecords(FEATURES, center, scale, False, (X - center) / scale, clusters, np.full(n_records, REACH))


def plain_predictions(rows: pd.DataFrame, groups: dict[str, NearestRecords], fitted: dict[str, NearestNeighbors]) -> pd.Series:
    """Predict each group's rows with scikit-learn."""
    found = pd.Series(-1, index=rows.index)
    for name, part in rows.groupby("group"):
        group = groups[str(name)]
        distances, nearest = fitted[str(name)].kneighbors((part[list(FEATURES)].to_numpy() - group.center) / group.scale)
        is_near = distances[:, 0] <= group.reach[nearest[:, 0]]
        found[part.index] = np.where(is_near, group.clusters[nearest[:, 0]], -1)
    return found


def compare_router(n_groups: int, n_records: int, n_rows: int, rounds: int) -> Comparison:
    """Measure the router of `n_groups`, of `n_records` each, on rows of all groups in random order."""
    random = np.random.default_rng(0)
    groups = {f"group {place}": random_records(n_records, random) for place in range(n_groups)}
    keys: dict[Key, NearestRecords | str] = {(name,): group for name, group in groups.items()}
    rows = pd.DataFrame(random.normal(8, 6, size=(n_rows, len(FEATURES))), columns=list(FEATURES))
    rows["group"] = random.choice(list(groups), n_rows)
    fitted = {name: NearestNeighbors(n_neighbors=1).fit(group.points) for name, group in groups.items()}
    if not (
        Router(("group",), FEATURES, False, keys).predict(rows)["cluster"] == plain_predictions(rows, groups, fitted)
    ).all():
        raise AssertionError("the two sides do not agree")
    return comparison.compare(
        f"{n_rows:,} rows, a router of {n_groups:,} groups of {n_records:,} core records",
        lambda: comparison.seconds(lambda: plain_predictions(rows, groups, fitted)),
        lambda: comparison.seconds(lambda: Router(("group",), FEATURES, False, keys).predict(rows)),  # with new search trees
        rounds,
    )


def compare_model(n_records: int, n_rows: int, rounds: int) -> Comparison:
    """Measure the model of one value."""
    random = np.random.default_rng(0)
    nearest = random_records(n_records, random)
    rows = pd.DataFrame(random.normal(8, 6, size=(n_rows, len(FEATURES))), columns=list(FEATURES)).assign(group="one")
    fitted = {"one": NearestNeighbors(n_neighbors=1).fit(nearest.points)}
    return comparison.compare(
        f"{n_rows:,} rows, the model of a value with {n_records:,} core records",
        lambda: comparison.seconds(lambda: plain_predictions(rows, {"one": nearest}, fitted)),
        lambda: comparison.seconds(lambda: NearestPredictor(nearest).predict(rows)),
        rounds,
    )


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=5, rows=100_000, groups=1_000, records=20_000)
    found = []
    for n_groups, n_records in ((given.groups, RECORDS_OF_SMALL_GROUP), (1, given.records)):
        comparison.progress(f"{n_groups} groups of {n_records} records")
        found.append(compare_router(n_groups, n_records, given.rows, given.rounds))
    comparison.progress("the model of a value")
    found.append(compare_model(given.records, given.rows, given.rounds))
    found[-1].remarks["peak_mib"] = comparison.peak_mib()
    comparison.report("predict", found, given.json)


if __name__ == "__main__":
    main()

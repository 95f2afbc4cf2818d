"""What a sweep logs about all its groups: tables and pictures."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow.entities import Run
from stores import Store
from sweep_settings import dbscan_settings

from penguins.sweep.publish import curves_in_picture, log_clusters_figure, log_results
from penguins.sweep.results import LoggedGroup, ResultRow, SweepResults
from penguins.sweep.settings import SweepSettings
from penguins.tracking.artifacts import log_figure

SETTINGS = dbscan_settings("g", ["x"], (0.5,))


@pytest.fixture
def run(store: Store) -> Run:
    return store.client.create_run("1")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Collect the figures by name while they are logged."""
    figures: dict[str, Figure] = {}

    def log_and_collect(figure: Figure, name: str) -> None:
        figures[name] = figure
        log_figure(figure, name)

    monkeypatch.setattr("penguins.sweep.publish.log_figure", log_and_collect)
    return figures


def test_the_picture_has_one_curve_for_each_group_that_of_the_best_min_samples() -> None:
    rows = [("a", 0.1, 3, False), ("a", 0.1, 5, True), ("a", 0.2, 5, False), ("b", 0.3, 3, False), ("b", 0.3, 5, False)]
    table = pd.DataFrame(rows, columns=["g", "eps", "min_samples", "best"])
    assert curves_in_picture(table, "g", "eps", ["min_samples"]).values.tolist() == [
        list(rows[1]),
        list(rows[2]),
        list(rows[3]),
    ]


def clustered_results(n_best: int) -> SweepResults:
    """Return three groups of four records, each with two values; the second is the best one of the first groups."""
    found = SweepResults()
    for number, name in enumerate(("b", "a, \0", "c")):
        rows = [
            ResultRow(
                (name,),
                {"eps": eps, "min_samples": 3},
                {"n_clusters": n_clusters, "n_clustered_records": n_clustered, "silhouette": 0.5},
                "",
                "",
                4,
                best=number < n_best and eps == 0.5,
            )
            for eps, n_clusters, n_clustered in ((0.1, 2.0, 4.0), (0.5, 1.0, 3.0))
        ]
        found.add(LoggedGroup((name,), "run", 4, rows))
    return found


def points_of(names: list[str]) -> pd.DataFrame:
    """Return four records of each group, in turn, with their clusters at both values."""
    rows = [(name, float(number), 2.0, [number % 2, -1 if number == 3 else 0]) for number in range(4) for name in names]
    return pd.DataFrame(rows, columns=["g", "x", "y", "labels"])


def test_the_clusters_of_each_best_value_are_drawn_with_their_numbers_and_noise(
    run: Run, store: Store, logged: dict[str, Figure]
) -> None:
    with mlflow.start_run(run.info.run_id):
        log_clusters_figure(points_of(["a, \0", "b", "c"]), clustered_results(2), dbscan_settings("g", ["x", "y"], (0.1, 0.5)))
    assert store.artifacts(run) == {"clusters.png"}
    first, second = logged["clusters.png"].axes
    assert first.get_title() == "a, \\x00\neps 0.5, min_samples 3\n1 cluster, 25% noise"
    assert second.get_title() == "b\neps 0.5, min_samples 3\n1 cluster, 25% noise"
    noise, cluster = second.collections
    assert np.asarray(noise.get_offsets()).tolist() == [[3, 2]]
    assert np.asarray(cluster.get_offsets()).tolist() == [[0, 2], [1, 2], [2, 2]]


@pytest.mark.parametrize(("n_best", "names"), [(0, ["a, \0", "b", "c"]), (3, [])], ids=["no best value", "no points"])
def test_where_nothing_has_clusters_there_is_no_picture(run: Run, store: Store, n_best: int, names: list[str]) -> None:
    with mlflow.start_run(run.info.run_id):
        log_clusters_figure(points_of(names), clustered_results(n_best), dbscan_settings("g", ["x", "y"], (0.1, 0.5)))
    assert store.artifacts(run) == set()


def test_the_picture_of_the_indices_has_the_share_of_the_records_rather_than_their_number(
    run: Run, logged: dict[str, Figure]
) -> None:
    with mlflow.start_run(run.info.run_id):
        log_results(clustered_results(2), dbscan_settings("g", ["x", "y"], (0.1, 0.5)))
    [panel] = [
        panel for panel in logged["metrics_by_eps.png"].axes if panel.get_ylabel() == "share of the records\nin clusters"
    ]
    assert np.asarray(panel.lines[0].get_ydata()).tolist() == [1, 0.75]


def test_the_picture_of_k_means_has_no_panel_of_what_is_given_or_always_whole(run: Run, logged: dict[str, Figure]) -> None:
    results = SweepResults()
    metrics = {"n_clustered_records": 4.0, "silhouette": 0.5}
    rows = [ResultRow(("a",), {"n_clusters": number}, metrics, "", "", 4, best=number == 2) for number in (2, 3)]
    results.add(LoggedGroup(("a",), "run", 4, rows))
    with mlflow.start_run(run.info.run_id):
        log_results(results, SweepSettings("kmeans", ("g",), ("x", "y"), {"n_clusters": (2, 3)}))
    panels = {panel.get_ylabel().split("\n")[0] for panel in logged["metrics_by_n_clusters.png"].axes if panel.lines}
    assert panels == {"silhouette", "DBCV", "Calinski-Harabasz", "Davies-Bouldin", "S_Dbw"}

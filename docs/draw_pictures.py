"""Draw the pictures of docs/choosing.md: `python docs/draw_pictures.py`, from any folder."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import make_blobs, make_moons
from sklearn.preprocessing import StandardScaler

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "steps"))

from penguins.clustering.dbscan import dbscan
from penguins.clustering.doubts import Candidate
from penguins.clustering.eps_grid import propose_eps
from penguins.clustering.indices import evaluate
from penguins.clustering.selection import choose, stabilities
from penguins.plots import k_distances_figure, use_log_axis

MIN_SAMPLES, N_VALUES, MIN_COVERAGE = 3, 40, 0.5
RULES = ("stability", "dbcv", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw")
NOISE_COLOUR = "#bbbbbb"


def example_tables() -> dict[str, np.ndarray]:
    """Return the examples of the page, scaled: round clusters, moons, and clusters of different densities in noise."""
    random = np.random.default_rng(0)
    blobs, _ = make_blobs(500, centers=[[0, 0], [6, 0], [0, 6], [6, 6], [3, 12]], cluster_std=0.9, random_state=0)
    moons, _ = make_moons(500, noise=0.07, random_state=0)
    parts = [random.normal([0, 0], 0.25, (250, 2)), random.normal([4, 3], 0.8, (200, 2)), random.uniform(-3, 8, (60, 2))]
    tables = {"round clusters": blobs, "moons": moons, "two densities, in noise": np.vstack(parts)}
    return {name: StandardScaler().fit_transform(X) for name, X in tables.items()}


def candidates(X: np.ndarray) -> list[Candidate]:
    """Cluster X for every value of an automatic grid, with all indices."""
    values = propose_eps(X, MIN_SAMPLES, N_VALUES).values
    labels = [found.labels for found in dbscan(X, values, MIN_SAMPLES)]
    evaluations = evaluate(X, labels)
    return [
        Candidate(eps, MIN_SAMPLES, one, found.metrics) for eps, one, found in zip(values, labels, evaluations, strict=True)
    ]


def choices_figure(tables: dict[str, np.ndarray]) -> Figure:
    """Draw what each rule chooses in each table."""
    figure = Figure(figsize=(2.1 * len(RULES), 2.3 * len(tables)), layout="constrained", dpi=80)
    for row, (name, X) in zip(figure.subplots(len(tables), len(RULES)), tables.items(), strict=True):
        tried = candidates(X)
        for panel, rule in zip(row, RULES, strict=True):
            position = choose(tried, rule, MIN_COVERAGE).position
            draw_clustering(panel, X, tried[0 if position is None else position].labels)
            panel.set_title(f"{rule}: {tried[position or 0].metrics['n_clusters']:g}", fontsize=9)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def draw_clustering(panel: Axes, X: np.ndarray, labels: np.ndarray) -> None:
    """Draw the records, in a colour for each cluster and noise in grey."""
    noise = labels < 0
    panel.scatter(X[noise, 0], X[noise, 1], s=3, color=NOISE_COLOUR)
    panel.scatter(X[~noise, 0], X[~noise, 1], s=3, c=labels[~noise] % 20, cmap="tab20", vmin=0, vmax=19)
    panel.set(xticks=[], yticks=[])


def curves_figure(X: np.ndarray) -> Figure:
    """Draw the number of clusters, the noise, the stability and three indices over eps, with the choice of each."""
    tried = candidates(X)
    eps = np.array([one.value for one in tried])
    curves: dict[str, np.ndarray] = {
        "clusters": np.array([one.metrics["n_clusters"] for one in tried]),
        "share of noise": np.array([1 - one.metrics["n_clustered_records"] / len(X) for one in tried]),
        "stability": stabilities(tried, MIN_COVERAGE),
        **{name: np.array([one.metrics.get(name, np.nan) for one in tried]) for name in ("dbcv", "silhouette", "s-dbw")},
    }
    figure = Figure(figsize=(10.5, 5), layout="constrained", dpi=100)
    for panel, (name, values) in zip(figure.subplots(2, 3, sharex=True).flatten(), curves.items(), strict=True):
        panel.plot(eps, values, marker="o", markersize=3)
        if name in RULES and (position := choose(tried, name, MIN_COVERAGE).position) is not None:
            label = f"chosen: eps {eps[position]:g}, {tried[position].metrics['n_clusters']:g} clusters"
            panel.plot(
                eps[position], values[position], "o", markersize=10, markerfacecolor="none", color="#333333", label=label
            )
            panel.legend(frameon=False, fontsize=8)
        panel.set(title=name, xlabel="eps")
        use_log_axis(panel.xaxis)
    return figure


def main() -> None:
    """Draw all pictures."""
    tables = example_tables()
    moons = tables["moons"]
    grid = propose_eps(moons, MIN_SAMPLES, N_VALUES)
    figures = {
        "choices": choices_figure(tables),
        "curves": curves_figure(moons),
        "k_distances": k_distances_figure(grid.distances.tolist(), MIN_SAMPLES, grid.knee, (grid.values[0], grid.values[-1])),
    }
    for name, figure in figures.items():
        figure.savefig(DOCS / "pictures" / f"{name}.png")


if __name__ == "__main__":
    main()

"""Draw the pictures of docs/choosing.md: `python docs/draw_pictures.py`, from any folder."""

import sys
from pathlib import Path

import numpy as np
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
from penguins.plots.clusters import draw_clusters
from penguins.plots.curves import k_distances_figure
from penguins.plots.style import COLOURS, INK, new_figure, use_log_axis

MIN_SAMPLES, N_VALUES, MIN_COVERAGE = 3, 40, 0.5
RULES = ("stability", "dbcv", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw")


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
    figure, panels = new_figure(1.9 * len(RULES), 2.1 * len(tables), len(tables), len(RULES))
    for row, (name, X) in enumerate(tables.items()):
        tried = candidates(X)
        of_table = panels[row * len(RULES) :][: len(RULES)]
        for panel, rule in zip(of_table, RULES, strict=True):
            position = choose(tried, rule, MIN_COVERAGE).position
            draw_clusters(panel, X, tried[0 if position is None else position].labels)
            panel.set_title(f"{rule}: {tried[position or 0].metrics['n_clusters']:g}", fontsize=9)
            panel.set(xticks=[], yticks=[])
        of_table[0].set_ylabel(name, fontsize=9)
    return figure


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
    figure, panels = new_figure(9.0, 4.8, 2, 3, sharex=True)
    for panel, (name, values) in zip(panels, curves.items(), strict=True):
        panel.plot(eps, values, marker="o", markersize=3, color=COLOURS[0])
        if name in RULES and (position := choose(tried, name, MIN_COVERAGE).position) is not None:
            panel.plot(eps[position], values[position], "o", markersize=10, markerfacecolor="none", color=INK)
            name += f"\nring: eps {eps[position]:g}, {tried[position].metrics['n_clusters']:g} clusters"
        panel.set_title(name, fontsize=10)
        panel.set(xlabel="eps")
        panel.tick_params(labelbottom=True)
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

"""Tables whose clusters are known: shapes made here, shapes of scikit-learn, and tables that come with installed packages."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn import datasets

from penguins.project import PROJECT

# The records that belong to no cluster.
NOISE = -1
Table = tuple[np.ndarray, np.ndarray]


def _stack(parts: list[np.ndarray]) -> Table:
    """Return the records of all parts, of shape (n, n_features), and the number of the part of each."""
    return np.vstack(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _gaussians(random: np.random.Generator, centers: ArrayLike, sizes: list[int], spreads: list[float]) -> Table:
    means = np.asarray(centers, dtype=float)
    return _stack(
        [random.normal(center, spread, (n, means.shape[1])) for center, n, spread in zip(means, sizes, spreads, strict=True)]
    )


def _box(random: np.random.Generator, n: int, low: list[float], high: list[float]) -> np.ndarray:
    return random.uniform(low, high, (n, len(low)))


def _arc(
    random: np.random.Generator,
    n: int,
    radius: float,
    spread: float,
    turns: tuple[float, float] = (0, 1),
    center: tuple[float, float] = (0, 0),
) -> np.ndarray:
    """Return records around a part of a circle in two dimensions; `turns` is the part, 0 and 1 are the same point."""
    angle = 2 * np.pi * random.uniform(*turns, n)
    return np.column_stack([np.cos(angle), np.sin(angle)]) * radius + random.normal(0, spread, (n, 2)) + center


def _disk(random: np.random.Generator, n: int, radius: float, center: tuple[float, ...]) -> np.ndarray:
    """Return records spread evenly in a ball of as many dimensions as `center`."""
    directions = random.normal(size=(n, len(center)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions * radius * random.uniform(size=(n, 1)) ** (1 / len(center)) + np.asarray(center))


def _with_noise(random: np.random.Generator, table: Table, share: float) -> Table:
    """Add records that are spread evenly over the range of the table; they are `share` of the new table."""
    X, y = table
    n = round(len(X) * share / (1 - share))
    margin = 0.05 * np.ptp(X, axis=0)
    noise = random.uniform(X.min(axis=0) - margin, X.max(axis=0) + margin, (n, X.shape[1]))
    return np.vstack([X, noise]), np.append(y, np.full(n, NOISE))


def _grid(columns: int, rows: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(float)


def five_blobs(random: np.random.Generator) -> Table:
    return _gaussians(random, [[0, 0], [4, 0], [0, 4], [4, 4], [2, 8]], [120] * 5, [0.5] * 5)


def fifteen_blobs(random: np.random.Generator) -> Table:
    centers = _grid(5, 3) * 4 + random.uniform(-0.8, 0.8, (15, 2))
    return _gaussians(random, centers, [100] * 15, [0.55] * 15)


def fifteen_overlapping_blobs(random: np.random.Generator) -> Table:
    centers = _grid(5, 3) * 4 + random.uniform(-0.8, 0.8, (15, 2))
    return _gaussians(random, centers, [120] * 15, [0.85] * 15)


def thirty_blobs(random: np.random.Generator) -> Table:
    centers = _grid(6, 5) * 3 + random.uniform(-0.5, 0.5, (30, 2))
    return _gaussians(random, centers, [80] * 30, [0.4] * 30)


def unbalanced_blobs(random: np.random.Generator) -> Table:
    centers = np.array([[0, 0], [3, 0], [1.5, 3], [12, 0], [15, 0], [12, 4], [15, 4], [18, 2]])
    return _gaussians(random, centers, [700] * 3 + [60] * 5, [0.35] * 3 + [0.5] * 5)


def blobs_of_three_densities(random: np.random.Generator) -> Table:
    return _gaussians(random, [[0, 0], [5, 0], [2, 9]], [300, 200, 150], [0.3, 0.8, 1.6])


def stretched_blobs(random: np.random.Generator) -> Table:
    X, y = _gaussians(random, [[0, 0], [0, 3], [0, 6]], [200] * 3, [0.5] * 3)
    return X @ np.array([[4.0, 1.5], [0.0, 1.0]]), y


def touching_gaussians(random: np.random.Generator) -> Table:
    return _gaussians(random, [[0.0, 0.0], [3.4, 0.0]], [500, 500], [1.1, 0.6])


def sixteen_blobs_in_eight_columns(random: np.random.Generator) -> Table:
    return _gaussians(random, random.uniform(0, 10, (16, 8)), [60] * 16, [0.6] * 16)


def nine_blobs_in_thirty_columns(random: np.random.Generator) -> Table:
    return _gaussians(random, random.uniform(0, 10, (9, 30)), [100] * 9, [1.2] * 9)


def hepta(random: np.random.Generator) -> Table:
    centers = [[0, 0, 0], [3, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0], [0, 0, 3], [0, 0, -3]]
    return _stack([_disk(random, 30, 1.0 if any(center) else 0.6, tuple(center)) for center in centers])


def four_touching_balls(random: np.random.Generator) -> Table:
    centers = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.82
    return _stack([_disk(random, 100, 1.0, tuple(center)) for center in centers])


def linked_rings(random: np.random.Generator) -> Table:
    first = np.column_stack([_arc(random, 400, 1, 0.08), random.normal(0, 0.08, 400)])
    second = np.column_stack([_arc(random, 400, 1, 0.08), random.normal(0, 0.08, 400)])[:, [0, 2, 1]] + [1, 0, 0]
    return _stack([first, second])


def ball_in_a_shell(random: np.random.Generator) -> Table:
    shell = random.normal(size=(400, 3))
    shell *= (5 + random.normal(0, 0.15, (400, 1))) / np.linalg.norm(shell, axis=1, keepdims=True)
    return _stack([_disk(random, 400, 1.0, (0.0, 0.0, 0.0)), shell])


def bars_and_a_ball(random: np.random.Generator) -> Table:
    return _stack(
        [_box(random, 200, [0, 0], [1, 5]), _box(random, 100, [1.6, 0], [5, 0.8]), _disk(random, 100, 1.0, (3.6, 3.4))]
    )


def two_diamonds(random: np.random.Generator) -> Table:
    turn = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    return _stack([_box(random, 400, [-1, -1], [1, 1]) @ turn + [side * 1.46, 0] for side in (-1, 1)])


def target(random: np.random.Generator) -> Table:
    corners = [random.normal(corner, 0.1, (12, 2)) for corner in ((3, 3), (3, -3), (-3, 3), (-3, -3))]
    return _stack([_arc(random, 400, 2, 0.08), _disk(random, 350, 0.6, (0.0, 0.0)), *corners])


def two_spirals(random: np.random.Generator) -> Table:
    return _spirals(random, 2, 300, 0.10)


def three_spirals(random: np.random.Generator) -> Table:
    return _spirals(random, 3, 120, 0.12)


def _spirals(random: np.random.Generator, arms: int, n: int, spread: float) -> Table:
    parts = []
    for arm in range(arms):
        angle = np.sqrt(random.uniform(0.3, 9, n)) * 1.1 * np.pi
        turned = angle + 2 * np.pi * arm / arms
        parts.append(np.column_stack([np.cos(turned), np.sin(turned)]) * angle[:, None] / 2 + random.normal(0, spread, (n, 2)))
    return _stack(parts)


def four_rings(random: np.random.Generator) -> Table:
    return _stack([_arc(random, 150 * number, number, 0.1) for number in range(1, 5)])


def smile(random: np.random.Generator) -> Table:
    eyes = [random.normal((side * 0.4, 0.35), 0.06, (80, 2)) for side in (-1, 1)]
    return _stack([_arc(random, 400, 1, 0.02), _arc(random, 120, 0.6, 0.03, (0.6, 0.9)), *eyes])


def two_crescents_of_two_densities(random: np.random.Generator) -> Table:
    return _stack([_arc(random, 250, 1, 0.09, (0.5, 1), (0.9, 0.25)), _arc(random, 90, 1, 0.09, (0, 0.5))])


def seven_shapes_with_bridges(random: np.random.Generator) -> Table:
    bridge = np.column_stack([np.linspace(1.5, 3.6, 7), np.full(7, 0.0)]) + random.normal(0, 0.03, (7, 2))
    parts = [
        np.vstack([_disk(random, 170, 1.6, (0.0, 0.0)), bridge]),
        _disk(random, 100, 1.0, (4.6, 0.0)),
        _disk(random, 270, 2.0, (0.2, 6.0)),
        _disk(random, 40, 0.7, (4.0, 4.0)),
        _box(random, 120, [6.5, 3], [9, 6]),
        _disk(random, 45, 0.7, (8.5, 0.0)),
        _disk(random, 35, 0.6, (-3.5, 3.0)),
    ]
    return _stack(parts)


def blobs_in_an_open_ring(random: np.random.Generator) -> Table:
    blobs = [random.normal(center, 0.55, (100, 2)) for center in ((-1.8, 0.5), (1.8, 0.5))]
    return _stack([_arc(random, 120, 4.2, 0.15, (-0.2, 0.7)), *blobs])


def a_dense_ball_in_a_thin_one(random: np.random.Generator) -> Table:
    thin = _disk(random, 160, 3.0, (0.0, 0.0))
    return _stack(
        [thin[np.linalg.norm(thin, axis=1) > 1.1], _disk(random, 160, 0.7, (0.0, 0.0)), random.normal((6, 0), 0.5, (90, 2))]
    )


def a_head_and_two_ears(random: np.random.Generator) -> Table:
    return _stack(
        [_disk(random, 300, 2.0, (0.0, 0.0)), _disk(random, 70, 0.9, (-2.3, 2.3)), _disk(random, 70, 0.9, (2.3, 2.3))]
    )


def five_lines(random: np.random.Generator) -> Table:
    parts = [np.column_stack([random.uniform(0, 10, 120), row + random.normal(0, 0.1, 120)]) for row in range(5)]
    return _stack(parts)


def squares_of_a_board(random: np.random.Generator) -> Table:
    return _stack([_box(random, 70, [x, y], [x + 0.78, y + 0.78]) for x, y in _grid(4, 3).tolist()])


def two_parabolas(random: np.random.Generator) -> Table:
    x = random.uniform(-2, 2, (2, 300))
    lower = np.column_stack([x[0], x[0] ** 2 + random.normal(0, 0.15, 300)])
    upper = np.column_stack([x[1] + 1.2, 4.6 - x[1] ** 2 + random.normal(0, 0.15, 300)])
    return _stack([lower, upper + np.array([1.6, 0.0])])


def blobs_of_thirty_records(random: np.random.Generator) -> Table:
    return _gaussians(random, [[0, 0, 0], [4, 0, 2], [0, 5, 4]], [30] * 3, [0.8] * 3)


def two_lognormal_groups(random: np.random.Generator) -> Table:
    return _stack([random.lognormal(0, 0.5, (200, 2)), random.lognormal(0, 0.5, (200, 2)) * [1, -1] + [0, -0.5]])


def moons(random: np.random.Generator, spread: float = 0.06) -> Table:
    X, y = datasets.make_moons(400, noise=spread, random_state=int(random.integers(2**31)))
    return np.asarray(X), np.asarray(y)


def noisy_moons(random: np.random.Generator) -> Table:
    return moons(random, 0.11)


def circles(random: np.random.Generator) -> Table:
    X, y = datasets.make_circles(500, noise=0.05, factor=0.5, random_state=int(random.integers(2**31)))
    return np.asarray(X), np.asarray(y)


def moons_in_noise(random: np.random.Generator) -> Table:
    return _with_noise(random, moons(random), 0.1)


def blobs_in_noise(random: np.random.Generator) -> Table:
    return _with_noise(random, five_blobs(random), 0.2)


def rings_in_noise(random: np.random.Generator) -> Table:
    return _with_noise(random, _stack([_arc(random, 300, 1, 0.04), _arc(random, 500, 2.2, 0.04)]), 0.1)


def lines_in_noise(random: np.random.Generator) -> Table:
    return _with_noise(random, five_lines(random), 0.08)


SHAPES: tuple[Callable[[np.random.Generator], Table], ...] = (
    five_blobs,
    fifteen_blobs,
    fifteen_overlapping_blobs,
    thirty_blobs,
    unbalanced_blobs,
    blobs_of_three_densities,
    stretched_blobs,
    touching_gaussians,
    sixteen_blobs_in_eight_columns,
    nine_blobs_in_thirty_columns,
    hepta,
    four_touching_balls,
    linked_rings,
    ball_in_a_shell,
    bars_and_a_ball,
    two_diamonds,
    target,
    two_spirals,
    three_spirals,
    four_rings,
    smile,
    two_crescents_of_two_densities,
    seven_shapes_with_bridges,
    blobs_in_an_open_ring,
    a_dense_ball_in_a_thin_one,
    a_head_and_two_ears,
    five_lines,
    squares_of_a_board,
    two_parabolas,
    blobs_of_thirty_records,
    two_lognormal_groups,
    moons,
    noisy_moons,
    circles,
    moons_in_noise,
    blobs_in_noise,
    rings_in_noise,
    lines_in_noise,
)


def measured_tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the tables of measurements: the penguins by island and all, and three of scikit-learn's."""
    numbers = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    penguins = pd.read_csv(PROJECT / "data" / "penguins.csv").dropna(subset=numbers)
    for island, of_island in penguins.groupby("island"):
        if of_island["species"].nunique() > 1:
            yield f"penguins of {island}", of_island[numbers].to_numpy(), pd.factorize(of_island["species"])[0]
    yield "penguins", penguins[numbers].to_numpy(), pd.factorize(penguins["species"])[0]
    for load in (datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer):
        table = load()
        yield load.__name__.removeprefix("load_"), table.data, table.target


def labelled_tables(seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, records of shape (n, n_features) and clusters of shape (n,) of each table; `seed` makes the shapes."""
    for shape in SHAPES:
        X, y = shape(np.random.default_rng([seed, *shape.__name__.encode()]))
        yield shape.__name__.replace("_", " "), X, y
    yield from measured_tables()

"""The figure of the clusters: a panel for each group with its records, by colour, marker and number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from penguins.plots.fonts import choose_fonts
from penguins.plots.style import COLOURS, GREY, INK, MARKERS, new_figure, short_label
from penguins.projection import principal_components

# More panels cannot be read.
MOST_PANELS, MOST_COLUMNS = 24, 6
# The numbers of more clusters hide the records.
MOST_NUMBERED_CLUSTERS = 12
NOISE = -1


@dataclass(frozen=True)
class GroupClusters:
    """What a panel shows of a group: its name, what stands under it, its records in their own units, and their clusters.

    `X` has the shape (n_points, n_features), `labels` (n_points,), -1 for noise. `n_records` is the size of the whole group, of
    which the points may be a sample.
    """

    name: str
    subtitle: str
    X: np.ndarray
    labels: np.ndarray
    n_records: int


def clusters_figure(groups: Sequence[GroupClusters], group_by: str, features: Sequence[str], is_scaled: bool) -> Figure:
    """Draw a panel for each of the `MOST_PANELS` largest of `groups`, in their order, with a point for each record.

    `groups` is not empty, and `features` are the names of the columns of `X`. Two are the axes themselves; one is drawn against
    the share of the records up to it; of more, the axes are the first two principal components of the group's records, scaled
    to unit variance if `is_scaled`, with the share of the variance that they explain.
    """
    by_size = sorted(range(len(groups)), key=lambda place: -groups[place].n_records)
    drawn = [groups[place] for place in sorted(by_size[:MOST_PANELS])]
    columns = min(MOST_COLUMNS, len(drawn), int(np.ceil(np.sqrt(1.5 * len(drawn)))))
    rows = -(-len(drawn) // columns)
    width, height = (2.8, 2.7) if len(drawn) > 1 else (4.6, 3.9)
    figure, panels = new_figure(width * columns, height * rows + 0.9, rows, columns)
    for panel in panels[len(drawn) :]:
        panel.set_axis_off()
    for panel, group in zip(panels, drawn, strict=False):
        places, x_label, y_label = _plane(group.X, features, is_scaled)
        draw_clusters(panel, places, group.labels)
        panel.set_title(f"{short_label(group.name)}\n{group.subtitle}", fontsize=9)
        panel.set_xlabel(x_label, fontsize=9)
        panel.set_ylabel(y_label, fontsize=9)
        panel.tick_params(labelsize=8)
        if len(features) > 2:  # distances on the picture are distances of the projection
            panel.set_aspect("equal", adjustable="datalim")
    figure.suptitle(_title(group_by, groups, drawn, len(features), is_scaled), fontsize=11)
    choose_fonts(figure)
    return figure


def _title(
    group_by: str, groups: Sequence[GroupClusters], drawn: Sequence[GroupClusters], n_features: int, is_scaled: bool
) -> str:
    """Return which groups are drawn, what the axes are, and what noise looks like."""
    which = f"the {len(drawn)} largest of {len(groups):,} groups" if len(drawn) < len(groups) else f"{len(groups)} groups"
    title = short_label(group_by) + (f": {which}" if len(groups) > 1 else "")
    axes = f"principal components of the {n_features} {'scaled ' if is_scaled else ''}features\n" if n_features > 2 else ""
    n_points, n_records = sum(len(group.labels) for group in drawn), sum(group.n_records for group in drawn)
    sample = f"; a sample of {n_points:,} of {n_records:,} records" if n_points < n_records else ""
    return f"{title}\n{axes}grey crosses are noise{sample}"


def _plane(X: np.ndarray, features: Sequence[str], is_scaled: bool) -> tuple[np.ndarray, str, str]:
    """Return the places of the records in the plane, of shape (n_records, 2), and the labels of its axes."""
    if len(features) == 1:
        ranks = np.empty(len(X))
        ranks[np.argsort(X[:, 0], kind="stable")] = (np.arange(len(X)) + 1) / max(1, len(X))
        return np.column_stack([X[:, 0], ranks]), short_label(features[0]), "share of the records"
    if len(features) == 2:
        return X, short_label(features[0]), short_label(features[1])
    places, shares = principal_components(X, is_scaled)
    return places, f"component 1 ({shares[0]:.0%})", f"component 2 ({shares[1]:.0%})"


def draw_clusters(panel: Axes, places: np.ndarray, labels: np.ndarray) -> None:
    """Draw noise as small grey crosses and clusters in colours and markers, with their numbers if these are few.

    `places`, of shape (n_records, 2), are the coordinates in the panel, and `labels`, of shape (n_records,), -1 for noise.
    """
    size = float(np.clip(4000 / max(1, len(places)), 4, 22))
    noise = places[labels == NOISE]
    panel.scatter(noise[:, 0], noise[:, 1], s=0.6 * size, marker="x", color=GREY, linewidths=0.6)
    n_styles = len(COLOURS) * len(MARKERS)
    for style in np.unique(labels[labels != NOISE] % n_styles):
        members = places[(labels != NOISE) & (labels % n_styles == style)]
        colour = COLOURS[style % len(COLOURS)]
        marker = MARKERS[(style + style // len(COLOURS)) % len(MARKERS)]
        panel.scatter(members[:, 0], members[:, 1], s=size, marker=marker, color=colour, linewidths=0, alpha=0.8)
    clusters = np.unique(labels[labels != NOISE])
    if len(clusters) <= MOST_NUMBERED_CLUSTERS:
        for cluster in clusters:
            members = places[labels == cluster]
            # The record in the middle: the middle itself may be outside, as in a moon.
            spread = np.where(places.std(axis=0) > 0, places.std(axis=0), 1.0)
            middle = members[np.argmin((((members - np.median(members, axis=0)) / spread) ** 2).sum(axis=1))]
            halo = [withStroke(linewidth=2.5, foreground="white")]
            beside: dict[str, Any] = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "va": "center"}
            panel.annotate(str(cluster), tuple(middle), **beside, color=INK, weight="bold", path_effects=halo)

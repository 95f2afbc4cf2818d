"""The figure of the clusters shows each group's records, its clusters by more than a colour, and its noise."""

import numpy as np
import pytest
from figures import HOSTILE, look_of, png, scatter_plots_of

from penguins.plots.clusters import MOST_NUMBERED_CLUSTERS, MOST_PANELS, GroupClusters, clusters_figure
from penguins.plots.style import GREY, short_label

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 4)) * (1, 10, 100, 1000)
LABELS = np.repeat([-1, 0, 1], 10)


def group_of(name: str, features: int = 2, n_records: int = 30, labels: np.ndarray = LABELS) -> GroupClusters:
    return GroupClusters(name, "eps 0.5\n2 clusters, 33% noise", X[:, :features], labels, n_records)


def test_a_panel_has_the_records_of_each_cluster_with_its_number_and_grey_crosses_for_noise() -> None:
    figure = clusters_figure([group_of("Biscoe")], "island", ["mass", "length"], is_scaled=True)
    [panel] = figure.axes
    noise, first, second = scatter_plots_of(panel)
    for drawn, label in ((noise, -1), (first, 0), (second, 1)):
        assert np.array_equal(drawn.get_offsets(), X[label == LABELS][:, :2])
    assert look_of(noise, edge=True)[0] == GREY
    assert len({look_of(drawn)[1] for drawn in (noise, first, second)}) == 3, "a marker for each, besides the colour"
    assert [text.get_text() for text in panel.texts] == ["0", "1"]
    assert panel.get_title() == "Biscoe\neps 0.5\n2 clusters, 33% noise"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("mass", "length")
    assert figure.get_suptitle() == "island\ngrey crosses are noise"
    png(figure)


def test_of_more_than_two_features_the_axes_are_the_principal_components_with_their_shares() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    figure = clusters_figure([group_of("Biscoe", 4)], "island", list("abcd"), is_scaled=True)
    [panel] = figure.axes
    expected = PCA(2).fit(StandardScaler().fit_transform(X))
    places = np.vstack([drawn.get_offsets() for drawn in scatter_plots_of(panel)])
    assert np.allclose(np.abs(places), np.abs(expected.transform(StandardScaler().fit_transform(X))))
    shares = expected.explained_variance_ratio_
    assert (panel.get_xlabel(), panel.get_ylabel()) == tuple(f"component {n + 1} ({shares[n]:.0%})" for n in range(2))
    assert "principal components of the 4 scaled features" in figure.get_suptitle()
    unscaled = clusters_figure([group_of("Biscoe", 4)], "island", list("abcd"), is_scaled=False)
    assert unscaled.axes[0].get_xlabel() == "component 1 (99%)", "the feature with the largest unit rules"
    assert "principal components of the 4 features" in unscaled.get_suptitle()


def test_one_feature_is_drawn_against_the_share_of_the_records_up_to_it() -> None:
    labels = np.zeros(30, dtype=int)
    [panel] = clusters_figure([group_of("Biscoe", 1, labels=labels)], "island", ["mass"], is_scaled=True).axes
    places = np.asarray(scatter_plots_of(panel)[1].get_offsets())
    assert np.array_equal(places[:, 0], X[:, 0])
    assert sorted(places[:, 1]) == pytest.approx([(n + 1) / 30 for n in range(30)])
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("mass", "share of the records")


def test_of_many_groups_the_largest_are_shown_in_their_order_and_the_title_says_so() -> None:
    groups = [group_of(f"g{number:02d}", n_records=100 - number % 7) for number in range(1000)]
    figure = clusters_figure(groups, "island", ["a", "b"], is_scaled=True)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title().splitlines()[0] for panel in panels] == [f"g{7 * number:02d}" for number in range(MOST_PANELS)]
    assert figure.get_suptitle() == (
        f"island: the {MOST_PANELS} largest of 1,000 groups\ngrey crosses are noise; a sample of 720 of 2,400 records"
    )


def test_many_clusters_have_colours_and_markers_but_no_numbers() -> None:
    labels = np.arange(30)
    [panel] = clusters_figure([group_of("Biscoe", labels=labels)], "island", ["a", "b"], is_scaled=True).axes
    looks = {look_of(drawn) for drawn in scatter_plots_of(panel)[1:]}
    assert len(looks) == 30 > MOST_NUMBERED_CLUSTERS
    assert not panel.texts


@pytest.mark.parametrize(
    "group",
    [
        GroupClusters("one record", "", np.zeros((1, 3)), np.array([-1]), 1),
        GroupClusters("coinciding", "", np.ones((5, 3)), np.zeros(5, dtype=int), 5),
        GroupClusters("a line", "", np.repeat(np.arange(5.0), 3).reshape(5, 3), np.arange(5), 5),
        GroupClusters("all noise", "", X[:, :3], np.full(30, -1), 30),
    ],
    ids=lambda group: group.name,
)
@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_degenerate_groups_are_drawn(group: GroupClusters, n_features: int) -> None:
    one = GroupClusters(group.name, group.subtitle, group.X[:, :n_features], group.labels, group.n_records)
    assert png(clusters_figure([one], "island", list("abc")[:n_features], is_scaled=True))


def test_any_text_is_drawn_as_a_name_and_the_same_groups_give_the_same_bytes() -> None:
    groups = [group_of(name, 4) for name in HOSTILE]
    features = HOSTILE[:4]
    figure = clusters_figure(groups, HOSTILE[-1], features, is_scaled=True)
    assert [panel.get_title().splitlines()[0] for panel in figure.axes if panel.get_title()] == [
        short_label(name) for name in HOSTILE
    ]
    assert png(figure) == png(clusters_figure(groups, HOSTILE[-1], features, is_scaled=True))
    assert png(clusters_figure([group_of("a")], "g", HOSTILE[-3:-1], is_scaled=True))

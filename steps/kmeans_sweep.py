"""The sweep with k-means: for each group of the data, several numbers of clusters.

Needs columns of numbers (`features`) and, to treat groups apart, columns of groups (`group_by`). Every record belongs to
a cluster. Logs what `dbscan_sweep` logs except `k_distances.csv`, with `n_clusters` in place of `eps`.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.combinations import require_models_to_register, require_spark_for_table
from penguins.cli.parameters import (
    AUTO,
    Data,
    Experiment,
    GroupBy,
    Id,
    LogFrom,
    Models,
    NClusters,
    Parameter,
    Read,
    Register,
    Resume,
    Runs,
    Scale,
    Seed,
    SparkOrNone,
    SweepOutput,
    SweptFeatures,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import Choice
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step
from penguins.spark.session import start_in_background
from penguins.spark.target import target_of_sweep

STEP = Step(
    "kmeans_sweep",
    question="how many clusters, all records in one?",
    holds="as `dbscan_sweep`, over `n_clusters`: `by_n_clusters/…`, `Biscoe-n_clusters2` …, `metrics_by_n_clusters.png`; "
    "without `k_distances.csv`",
    headline="groups_with_best_n_clusters",
    model="router",
    weight=5,
    recovers=True,
)
# Without noise and a scale of densities, stability over the values says little.
RULES = Choice(("silhouette", "dbcv", "calinski-harabasz", "davies-bouldin", "s-dbw"))
NAME = STEP.name


@dataclass(frozen=True)
class Parameters:
    """k-means with several numbers of clusters, for each group of the data."""

    data: Data = "penguins"
    group_by: GroupBy = (AUTO,)
    features: SweptFeatures = (AUTO,)
    id: Id = ()
    n_clusters: NClusters = (2, 3, 4, 5, 6, 8, 10)
    metric: Annotated[str, Parameter(Choice(("euclidean",)), "distance: euclidean, the only one of k-means")] = "euclidean"
    scale: Scale = "standard"
    select_by: Annotated[str, Parameter(RULES, "index whose best value chooses a group's n_clusters")] = "silhouette"
    runs: Runs = "auto"
    models: Models = "all"
    output: SweepOutput = ""
    log_from: LogFrom = "driver"
    register: Register = ""
    resume: Resume = False
    seed: Seed = 0
    spark: SparkOrNone = "local[*]"
    read: Read = DETECT
    experiment: Experiment = ""

    def __post_init__(self) -> None:
        require_models_to_register(self.runs, self.models, self.register)
        require_spark_for_table(self.output, self.spark)


if __name__ == "__main__":
    start_in_background(target_of_sweep(check_command_line(NAME, Parameters)))

from penguins.sweep.step import run_sweep_step


def main(parameters: Parameters) -> None:
    """Cluster, choose and log in an MLflow run."""
    run_sweep_step(NAME, "kmeans", parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)

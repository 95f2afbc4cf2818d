"""The sweep with HDBSCAN: for each group of the data, many values of min_cluster_size.

Needs columns of numbers (`features`) and, to treat groups apart, columns of groups (`group_by`). HDBSCAN finds clusters
of different densities, which one eps cannot. Logs what `dbscan_sweep` logs, with `min_cluster_size` in place of `eps`.
"""

from dataclasses import dataclass

from penguins.cli.combinations import require_models_to_register, require_spark_for_table
from penguins.cli.parameters import (
    AUTO,
    Data,
    DensityRule,
    Experiment,
    GroupBy,
    Id,
    LogFrom,
    Metric,
    MinClusterSize,
    MinCoverage,
    MinSamples,
    Models,
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
from penguins.cli.rules import Auto
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step
from penguins.spark.session import start_in_background
from penguins.spark.target import target_of_sweep

STEP = Step(
    "hdbscan_sweep",
    question="which clusters, of different densities?",
    holds="as `dbscan_sweep`, over `min_cluster_size`: `by_min_cluster_size/…`, `Biscoe-min_cluster_size5` …, "
    "`metrics_by_min_cluster_size.png`",
    headline="groups_with_best_min_cluster_size",
    model="router",
    weight=5,
    recovers=True,
)
NAME = STEP.name


@dataclass(frozen=True)
class Parameters:
    """HDBSCAN over many values of min_cluster_size, for each group of the data."""

    data: Data = "penguins"
    group_by: GroupBy = (AUTO,)
    features: SweptFeatures = (AUTO,)
    id: Id = ()
    min_cluster_size: MinClusterSize = Auto()
    min_samples: MinSamples = (3,)
    metric: Metric = "euclidean"
    scale: Scale = "standard"
    select_by: DensityRule = "stability"
    min_coverage: MinCoverage = 0.5
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
    run_sweep_step(NAME, "hdbscan", parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)

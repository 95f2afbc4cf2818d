"""The sweep: for each group of the data, DBSCAN over many values of eps, because the best eps differs between groups.

Needs columns of numbers (`features`) and, to treat groups apart, columns of groups (`group_by`). Spark clusters group by
group, each in its own scaled space, and chooses the most stable clustering. Logs a run for each group and under it one for each
value, with the indices and the fitted model. The sweep's own run holds the table of all results (`results.csv`,
`results.json`), the picture of the indices (`metrics_by_eps.png`), the cluster of each row of the table (`clusters.parquet`),
what each cluster is like (`cluster_profiles.csv`), records with their cluster at every value (`points.parquet`), how far the
records are apart (`k_distances.csv`), and one model that assigns new rows of all groups (`router`).
"""

from dataclasses import dataclass

from penguins.cli.combinations import require_models_to_register, require_spark_for_table
from penguins.cli.parameters import (
    AUTO,
    DEFAULT_EPS,
    Data,
    DensityRule,
    Eps,
    Experiment,
    GroupBy,
    Id,
    LogFrom,
    Metric,
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
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step
from penguins.spark.session import start_in_background
from penguins.spark.target import target_of_sweep

STEP = Step(
    "dbscan_sweep",
    question="which eps for each island?",
    holds="a run for each group with the metrics of its best eps and its curves (`by_eps/…`), under it a run `Biscoe-eps0.1` … "
    "for each eps with seven metrics and its model, the best one tagged `best`; `results.csv`, the same as an MLflow table "
    "(`results.json`), `metrics_by_eps.png`, `clusters.png`; `clusters.parquet`, `cluster_profiles.csv`; `points.parquet`, "
    "`k_distances.csv`; "
    "the model `router` of all groups",
    headline="groups_with_best_eps",
    model="router",
    in_all=True,
    weight=4,
    recovers=True,
)
NAME = STEP.name


@dataclass(frozen=True)
class Parameters:
    """DBSCAN over many values of eps, for each group of the data."""

    data: Data = "penguins"
    group_by: GroupBy = (AUTO,)
    features: SweptFeatures = (AUTO,)
    id: Id = ()
    eps: Eps = DEFAULT_EPS
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
    run_sweep_step(NAME, "dbscan", parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)

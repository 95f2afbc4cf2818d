"""The sweep: for each group of the data, DBSCAN over many values of eps, because the best eps differs between groups.

Needs a column of groups (`group_by`) and columns of numbers (`features`). Spark clusters group by group, each in its own scaled
space, and chooses the most stable clustering. Logs a run for each group and under it one for each value, with the indices and
the fitted model; on the sweep's own run the table of all results (`results.csv`, `results.json`) and the picture of the indices
(`metrics_by_eps.png`).
"""

from dataclasses import dataclass

from penguins.cli.parameters import (
    COLUMN,
    COLUMNS,
    Auto,
    Choice,
    Real,
    data_parameter,
    eps_parameter,
    experiment_parameter,
    min_samples_parameter,
    parameter,
    resume_parameter,
    seed_parameter,
    spark_parameter,
)
from penguins.cli.script import check_command_line, run_script
from penguins.spark.session import start_in_background
from penguins.spark.target import SparkTarget

NAME = "dbscan_sweep"


@dataclass(frozen=True)
class Parameters:
    """DBSCAN over many values of eps, for each group of the data."""

    data: str = data_parameter()
    group_by: str = parameter("island", COLUMN, "the column of groups")
    features: tuple[str, ...] = parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g", COLUMNS, "the columns of numbers to cluster by"
    )
    eps: Auto | tuple[float, ...] = eps_parameter()
    min_samples: tuple[int, ...] = min_samples_parameter()
    metric: str = parameter(
        "euclidean", Choice(("euclidean", "haversine")), "distance: euclidean, or haversine (latitude, longitude; eps in km)"
    )
    scale: str = parameter(
        "standard", Choice(("standard", "none")), "standard: mean 0 and variance 1 in each group; none: eps in the data's unit"
    )
    select_by: str = parameter(
        "stability",
        Choice(("stability", "dbcv", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw")),
        "rule that chooses a group's best eps: stability over eps, or the best value of an index",
    )
    min_coverage: float = parameter(
        "0.5", Real(0, 1, closed=True), "least share of a group's records that the best eps must keep, in [0, 1]"
    )
    runs: str = parameter(
        "all", Choice(("all", "groups")), "all: a run for each group and each eps; groups: for each group only"
    )
    models: str = parameter("all", Choice(("all", "best", "none")), "which models to log: all, best or none")
    log_from: str = parameter(
        "driver", Choice(("driver", "executors")), "where runs are logged: driver, or executors (inside the workers)"
    )
    resume: bool = resume_parameter()
    seed: int = seed_parameter()
    spark: str = spark_parameter()
    experiment: str = experiment_parameter()


if __name__ == "__main__":
    start_in_background(SparkTarget(check_command_line(NAME, Parameters).spark))

from penguins.sweep.step import run_sweep_step


def main(parameters: Parameters) -> None:
    """Cluster, choose and log in an MLflow run."""
    run_sweep_step(NAME, "dbscan", parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)

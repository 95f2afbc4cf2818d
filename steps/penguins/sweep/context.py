"""The context of a sweep: its own run, its settings, and the tags, datasets and requirements that its runs share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import DatasetInput
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_USER

from penguins.redaction import redact
from penguins.sweep.settings import SweepSettings
from penguins.tracking.artifacts import model_requirements
from penguins.tracking.store import absolute_tracking_uri, is_server

INHERITED_TAGS = (MLFLOW_USER, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_GIT_COMMIT)
# A server answers several requests at a time, though a small one has 15 connections to its database; a file has one writer.
PARALLEL_RUNS = 4
MOST_PICTURED_GROUPS = 30


@dataclass(frozen=True)
class SweepContext:
    """The settings of a sweep, its own run, and the tags, datasets and model requirements of every run in it."""

    settings: SweepSettings
    tracking_uri: str
    experiment_id: str
    sweep_id: str
    tags: Mapping[str, str]
    datasets: list[DatasetInput]
    requirements: list[str]
    # The table as the user calls it.
    data: str = ""
    # Whether each group gets pictures, which would take long for many groups.
    with_pictures: bool = True
    # The environment variables of the driver's client, secrets included, only for workers that log.
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def n_parallel_runs(self) -> int:
        """How many runs of a group to log at the same time."""
        return PARALLEL_RUNS if is_server(self.tracking_uri) else 1


def sweep_context(run_id: str, settings: SweepSettings, n_groups: int, data: str) -> SweepContext:
    """Return the context of a sweep of `n_groups` of the table `data` whose own run is `run_id`."""
    run = MlflowClient().get_run(run_id)
    return SweepContext(
        settings=settings,
        tracking_uri=absolute_tracking_uri(),
        experiment_id=run.info.experiment_id,
        sweep_id=run_id,
        tags={key: redact(value) for key, value in run.data.tags.items() if key in INHERITED_TAGS},
        datasets=list(run.inputs.dataset_inputs),
        data=redact(data),
        with_pictures=n_groups <= MOST_PICTURED_GROUPS,
        requirements=model_requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy"),
    )

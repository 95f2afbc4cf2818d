"""A tracking store of a test's own, and what a test asks of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from penguins.data.locate import BUNDLED_FILE
from penguins.tracking.store import child_runs

SEED_ROWS = BUNDLED_FILE
# The fixture `step`: it runs a step in this process, and returns the exit code.
Steps = Callable[..., int]


@dataclass
class Store:
    """The store at `uri`."""

    uri: str

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    @property
    def experiment_id(self) -> str:
        """The id of the experiment `penguins`, whose artifacts lie in the test's own folder."""
        return str(self.client.get_experiment_by_name("penguins").experiment_id)

    def runs(self, experiment: str = "penguins") -> list[Run]:
        found = self.client.get_experiment_by_name(experiment)
        return list(self.client.search_runs([found.experiment_id], max_results=1000)) if found else []

    def only(self, name: str) -> Run:
        [run] = [run for run in self.runs() if run.info.run_name == name]
        return run

    def only_finished(self, name: str) -> Run:
        [run] = [run for run in self.runs() if run.info.run_name == name and run.info.status == "FINISHED"]
        return run

    def children(self, run: Run) -> dict[str, Run]:
        found = child_runs(run.info.run_id, run.info.experiment_id)
        assert len({child.info.run_name for child in found}) == len(found)
        return {child.info.run_name: child for child in found}

    def artifacts(self, run: Run) -> set[str]:
        return {artifact.path for artifact in self.client.list_artifacts(run.info.run_id)}

    def artifact(self, run: Run, path: str) -> Path:
        return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path))

    def model_uri(self, run: Run) -> str:
        [output] = run.outputs.model_outputs
        return f"models:/{output.model_id}"


def empty_store(folder: Path) -> str:
    """Return the URI of an SQLite file in `folder`."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def open_store(folder: Path, database: bytes) -> Store:
    """Make a store in `folder` from the bytes of an initialised database."""
    (folder / "mlflow.db").write_bytes(database)
    store = Store(empty_store(folder))
    store.client.create_experiment("penguins", artifact_location=(folder / "artifacts").as_uri())
    return store

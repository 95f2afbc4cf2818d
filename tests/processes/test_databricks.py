"""MLflow's own Databricks backend, against a stand-in for a workspace."""

import json
from pathlib import Path

from git_server import copy_tree
from servers import Server, mlflow_run
from stores import Store
from workspace import TOKEN, workspace


def test_the_backend_submits_a_job_that_runs_the_project_under_the_run_that_mlflow_has_opened(
    tracking_server: Server, tmp_path: Path
) -> None:
    project, node = tmp_path / "project", tmp_path / "node"
    for folder in (project, node):
        folder.mkdir()
    copy_tree(project)
    cluster = {"new_cluster": {"spark_version": "17.3.x-cpu-ml-scala2.13", "node_type_id": "i3.xlarge", "num_workers": 1}}
    (tmp_path / "cluster.json").write_text(json.dumps(cluster))
    with workspace(node) as (url, uploaded):
        done = mlflow_run(
            # The step refuses this parameter, which shows in a second that the job runs it with what it was given.
            str(project), "-e", "ridge_search", "-P", "alphas=1,-2", "--env-manager", "local",
            "--experiment-name", "databricks", "--backend", "databricks", "--backend-config", str(tmp_path / "cluster.json"),
            folder=tmp_path, MLFLOW_TRACKING_URI=tracking_server.url, DATABRICKS_HOST=url, DATABRICKS_TOKEN=TOKEN,
            MLFLOW_HTTP_REQUEST_TIMEOUT="600",  # because the stand-in answers when the job has ended
        )  # fmt: skip
        assert uploaded.done is not None, done.stderr
        # MLflow does not wait for the job, so that its own exit code tells nothing of it.
        assert (uploaded.done.returncode, done.returncode) == (1, 0), uploaded.done.stderr
        assert uploaded.job["new_cluster"] == cluster["new_cluster"]
        [run] = Store(tracking_server.url).runs("databricks")
        assert (run.info.run_name, run.info.status) == ("ridge_search", "FAILED")
        assert run.data.tags["error"].startswith("The 'alphas' parameter")
        assert "'1,-2'" in run.data.tags["error"]
        assert run.data.tags["mlflow.databricks.runURL"].startswith(url)

"""A store that refuses a part of what a step logs: no step calls an incomplete run a success."""

from collections.abc import Iterator
from types import ModuleType

import dbscan_sweep
import logistic_regression
import main
import mlflow
import pytest
import ridge_search
import score
import spark_logistic_regression
from faulty_proxy import Fault, faulty_proxy
from pyspark.sql import SparkSession
from servers import Server
from stores import SEED_ROWS, Steps, Store

REFUSED, TOO_LARGE = 403, 413
# For each step, the requests that the store refuses, and words of the line.
ARTIFACT, BATCH = r"^PUT \S+/", r"^POST \S+/runs/log-batch .*"
CASES: dict[str, tuple[ModuleType, Fault, str]] = {
    "the table of a search": (
        ridge_search,
        Fault(ARTIFACT + "cv_results.csv", TOO_LARGE),
        "cv_results.csv could not be logged",
    ),
    "the picture of a search": (ridge_search, Fault(ARTIFACT + "alpha_curve.png", TOO_LARGE), "413"),
    "the parameters of a search": (ridge_search, Fault(BATCH + "param_grid", REFUSED), "the parameter param_grid"),
    "the parameters of a child": (ridge_search, Fault(BATCH + "columns__scaled", REFUSED, 1), "1 of its child runs"),
    "the end of a child": (ridge_search, Fault(r"^POST \S+/runs/update .*FINISHED", REFUSED, 1), "1 of its child runs"),
    "the creation of a child": (ridge_search, Fault(r"^POST \S+/runs/create .*parentRunId", REFUSED), "6 of its child runs"),
    "the model of a search": (ridge_search, Fault(ARTIFACT + "MLmodel", TOO_LARGE), "413"),
    "a picture": (logistic_regression, Fault(ARTIFACT + "roc_plot.png", TOO_LARGE), "413"),
    "a model": (logistic_regression, Fault(ARTIFACT + "MLmodel", TOO_LARGE), "413"),
    "the metrics": (logistic_regression, Fault(BATCH + "eval_acc", REFUSED), "refused by the proxy"),
    "the rows": (logistic_regression, Fault(r"^POST \S+/runs/log-inputs", REFUSED), "refused by the proxy"),
    "a picture of Spark's": (spark_logistic_regression, Fault(ARTIFACT + "conf_matrix.png", TOO_LARGE), "413"),
    "a model of Spark": (spark_logistic_regression, Fault(ARTIFACT + "MLmodel", TOO_LARGE), "413"),
    "the table of a sweep": (dbscan_sweep, Fault(ARTIFACT + "results.json", TOO_LARGE), "413"),
    "the clusters of a sweep": (dbscan_sweep, Fault(ARTIFACT + "clusters.parquet", TOO_LARGE), "413"),
    "the curves of a group": (dbscan_sweep, Fault(BATCH + "by_eps", REFUSED), "refused by the proxy"),
    "the model of a value": (dbscan_sweep, Fault(ARTIFACT + "nearest.npz", TOO_LARGE, 1), "413"),
    "the model of all groups": (dbscan_sweep, Fault(ARTIFACT + "router.npz", TOO_LARGE), "413"),
    "the summary": (main, Fault(ARTIFACT + "summary.csv", TOO_LARGE), "413"),
}
OPTIONS = {dbscan_sweep: {"eps": "0.5,0.9"}, main: {"steps": "logistic_regression"}}


@pytest.fixture
def faults(store: Store, tracking_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Fault]]:
    """The faults of a proxy before the shared server, which is the store of this process; a test adds them."""
    faults = list[Fault]()

    def judge(request: str, body: str) -> int | None:
        return next((status for fault in faults if (status := fault(request, body))), None)

    with faulty_proxy(tracking_server.url, judge) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        mlflow.set_tracking_uri(url)
        yield faults


def assert_failed(store: Store, experiment: str, name: str, printed: str, words: str) -> None:
    """Assert that the one line says why the step's run failed, that the run has the reason, and that no run is open."""
    [line] = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert words in line
    assert "Traceback" not in printed
    runs = store.runs(experiment)
    [run] = [run for run in runs if run.info.run_name == name]
    assert run.info.status == "FAILED"
    assert words in run.data.tags["error"]
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}


@pytest.mark.parametrize("case", CASES)
def test_a_step_whose_store_refuses_a_part_fails_with_the_reason(
    tracking_server: Server,
    faults: list[Fault],
    step: Steps,
    session: SparkSession,
    capfd: pytest.CaptureFixture[str],
    case: str,
) -> None:
    module, fault, words = CASES[case]
    faults.append(fault)
    assert step(module, experiment=case, **OPTIONS.get(module, {})) == 1
    assert fault.met
    assert_failed(Store(tracking_server.url), case, module.NAME, capfd.readouterr().err, words)


def test_predictions_that_the_store_refuses_fail_the_step(
    tracking_server: Server, faults: list[Fault], step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(logistic_regression, experiment="scored") == 0
    store = Store(tracking_server.url)
    [run] = store.runs("scored")
    faults.append(Fault(ARTIFACT + "predictions", TOO_LARGE))
    assert step(score, model_uri=store.model_uri(run), data=SEED_ROWS, experiment="scores") == 1
    assert_failed(store, "scores", "score", capfd.readouterr().err, "413")

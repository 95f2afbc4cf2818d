"""The report of real runs: what it holds, where it goes, and which runs it refuses."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dbscan_sweep
import kmeans_sweep
import logistic_regression
import pandas as pd
import pytest
import report
import ridge_search
from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path
from stores import Steps, Store

from penguins.data.locate import BUNDLED_FILE
from penguins.tracking.conclusion import REPORT_PAGE


def content(store: Store, run: Run) -> dict[str, Any]:
    """Return what the page of a run shows."""
    html = store.artifact(run, REPORT_PAGE).read_text("utf-8")
    [data] = re.findall(r'<script type="application/json" id="data">(.*)</script>', html)
    return dict(json.loads(data))


def report_on(store: Store, step: Steps, name: str) -> dict[str, Any]:
    run = store.only(name)
    assert step(report, run_id=run.info.run_id) == 0
    return content(store, run)


def test_a_sweep_is_reported_with_its_groups_points_profiles_and_noise(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps="0.5,0.9,1.1", models="best") == 0
    [part] = report_on(store, step, "dbscan_sweep")["steps"]
    sweep, run = part["sweep"], store.only("dbscan_sweep")
    page = local_file_uri_to_path(run.info.artifact_uri) + "/" + REPORT_PAGE
    assert f"report: {Path(page).as_uri()}" in capfd.readouterr().out
    assert [group["name"] for group in sweep["groups"]] == ["Biscoe", "Dream", "Torgersen"]
    results = pd.read_csv(store.artifact(run, "results.csv"))
    clusters = pd.read_parquet(store.artifact(run, "clusters.parquet"))
    points = pd.read_parquet(store.artifact(run, "points.parquet"))
    table = pd.read_csv(BUNDLED_FILE)
    for group in sweep["groups"]:
        rows = results[results["island"] == group["name"]]
        assert [value for value, _ in group["values"]] == rows["eps"].tolist() == [0.5, 0.9, 1.1]
        assert rows["best"].tolist().index(True) == group["best"]
        silhouettes = [float("nan") if one is None else one for one in group["metrics"]["silhouette"]]
        assert silhouettes == pytest.approx(rows["silhouette"].tolist(), rel=1e-5, nan_ok=True)
        assert group["run_id"] == store.only(group["name"]).info.run_id
        assert group["choice"]
        of_group = clusters[(clusters["island"] == group["name"]) & clusters["cluster"].notna()]
        noise = of_group[of_group["cluster"] == -1]
        assert group["noise"]["n_all"] == len(noise)
        assert [line[0] for line in group["noise"]["rows"]] == noise["row"].astype(str).tolist()
        assert group["points"]["labels"][group["best"]] == of_group["cluster"].tolist()
        assert len(points[points["island"] == group["name"]]) == len(of_group) == group["n"]
        assert group["points"]["features"][0] == pytest.approx(table["bill_length_mm"][of_group["row"]].tolist(), abs=0.01)
        assert [one["min_samples"] for one in group["distances"]] == [3]
        assert sum(profile["size"] for profile in group["profiles"]) == group["n"]
    assert any(group["noise"]["n_all"] for group in sweep["groups"])
    facts = dict(part["facts"])
    assert facts["rows"].startswith("333 used, 11 left out")
    assert facts["versions"].startswith("Python 3.")
    assert dict(part["parameters"])["group_by"] == "island"
    assert part["answer"]


@pytest.mark.parametrize(
    ("module", "options", "parts"),
    [
        (logistic_regression, {}, {"roc", "confusion", "coefficients"}),
        (ridge_search, {"alphas": "0.1,1"}, {"alphas", "coefficients"}),
    ],
)
def test_a_regression_is_reported_with_its_curves_and_coefficients(
    store: Store, step: Steps, module: Any, options: dict[str, str], parts: set[str]
) -> None:
    assert step(module, **options) == 0
    [part] = report_on(store, step, module.NAME)["steps"]
    assert {name for name in ("roc", "confusion", "alphas", "coefficients") if part[name]} == parts
    assert part["metrics"]
    assert part["answer"]
    assert not part["sweep"]
    names = [row[-2] for row in part["coefficients"]["rows"]]
    assert any(name.startswith("species=") for name in names)


def test_a_sweep_without_models_or_runs_of_values_and_with_several_min_samples_is_reported(store: Store, step: Steps) -> None:
    assert step(dbscan_sweep, eps="auto:6", min_samples="3,5", models="none", runs="groups") == 0
    [part] = report_on(store, step, "dbscan_sweep")["steps"]
    for group in part["sweep"]["groups"]:
        assert {params[1] for params in group["values"]} == {3, 5}
        assert len(group["points"]["labels"]) == len(group["values"])
        assert [one["min_samples"] for one in group["distances"]] == [3, 5]
    assert part["sweep"]["varies"] == [True]


def test_k_means_has_no_distances_and_no_noise(store: Store, step: Steps) -> None:
    assert step(kmeans_sweep, n_clusters="2,3") == 0
    [part] = report_on(store, step, "kmeans_sweep")["steps"]
    for group in part["sweep"]["groups"]:
        assert group["distances"] == []
        assert group["noise"]["n_all"] == 0
        assert group["values"] == [[2], [3]]
    assert not part["sweep"]["is_distance"]


def test_a_failed_step_is_reported_with_its_reason(store: Store, step: Steps) -> None:
    Path("small.csv").write_text("a,b\n1,x\n2,y\n")
    assert step(logistic_regression, data="small.csv", target="b", features="a") == 2
    [part] = report_on(store, step, "logistic_regression")["steps"]
    assert (part["status"], part["sweep"]) == ("FAILED", None)
    assert part["error"] == store.only("logistic_regression").data.tags["error"]


def test_the_run_of_the_report_holds_the_page_too_and_says_how_large_it_is(store: Store, step: Steps) -> None:
    assert step(kmeans_sweep, n_clusters="2") == 0
    report_on(store, step, "kmeans_sweep")
    own = store.only("report")
    page = store.artifact(own, REPORT_PAGE).read_bytes()
    assert page == store.artifact(store.only("kmeans_sweep"), REPORT_PAGE).read_bytes()
    assert own.data.metrics["report_bytes"] == len(page)


@pytest.mark.parametrize("form", ["milliseconds", "ISO 8601", "with a zone"])
def test_the_newest_run_of_each_step_since_a_time_is_reported_on_one_page(store: Store, step: Steps, form: str) -> None:
    assert step(kmeans_sweep, n_clusters="2") == 0
    old = store.only("kmeans_sweep").info
    assert step(kmeans_sweep, n_clusters="3") == 0
    assert step(ridge_search, alphas="1") == 0
    newest = [run.info.run_id for run in store.runs() if run.info.run_name in ("kmeans_sweep", "ridge_search")]
    newest.remove(old.run_id)
    time = datetime.fromtimestamp(old.start_time / 1000, UTC)
    text = {
        "milliseconds": str(old.start_time),
        "ISO 8601": time.replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "with a zone": time.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="milliseconds"),
    }[form]
    assert step(report, run_id=f"since:{text}") == 0
    page = content(store, store.only("report"))
    assert {part["run_id"] for part in page["steps"]} == set(newest)
    assert page["title"] == "2 steps on penguins"
    assert step(kmeans_sweep, n_clusters="2", data=str(BUNDLED_FILE), features="body_mass_g") == 0
    assert step(report, run_id=f"since:{text}") == 0
    pages = [content(store, run)["title"] for run in store.runs() if run.info.run_name == "report"]
    assert "2 steps on 2 tables" in pages


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("since:2026-13-01", "must name a time after since:, such as since:2026-01-31T12:00. Got 'since:2026-13-01'."),
        (
            "since:2999-01-01",
            "a step has run in this experiment. Got 'since:2999-01-01': give an earlier time",
        ),
    ],
)
def test_a_time_that_is_none_or_too_late_is_refused(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], run_id: str, expected: str
) -> None:
    assert step(report, run_id=run_id) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("", "must be the id of a run"),
        ("no/such", "must be the id of a run"),
        ("0" * 32, "which this tracking store does not have: check MLFLOW_TRACKING_URI"),
    ],
)
def test_a_run_that_does_not_exist_is_refused(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], run_id: str, expected: str
) -> None:
    assert step(report, run_id=run_id) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("error: The 'run_id' parameter must be the id of a run")
    assert expected in line


def test_the_run_of_a_group_is_refused_with_the_run_to_give(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(kmeans_sweep, n_clusters="2") == 0
    assert step(report, run_id=store.only("Dream").info.run_id) == 2
    parent = store.only("kmeans_sweep").info.run_id
    assert f"a run called 'Dream': give its parent's, {parent}." in capfd.readouterr().err
    assert store.only("report").info.status == "FAILED"

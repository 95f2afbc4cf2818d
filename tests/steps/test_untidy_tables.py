"""The sweep on tables as people have them: booleans, other dialects, groups with gaps, and nothing said but `data`."""

from pathlib import Path

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler
from stores import Steps, Store

SPREADSHEET = '{"sep": ";", "encoding": "cp1252", "decimal": ","}'
NEEDS_SESSION = pytest.mark.usefixtures("session")


def visits() -> pd.DataFrame:
    """Return 90 visits: how long they took, whether the visitor was a member, where and in which month."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "Dauer": np.round(np.concatenate([random.normal(5, 0.5, 45), random.normal(20, 0.5, 45)]), 3),
            "Mitglied": random.random(90) < 0.5,
            "Ort": ["Köln", None, "Bonn"] * 30,
            "Monat": ["2024-01", "2024-02"] * 45,
        }
    )


def clusters(table: pd.DataFrame, columns: list[str], eps: float) -> tuple[int, int]:
    """Return the numbers of clusters and of clustered records that scikit-learn finds."""
    labels = DBSCAN(eps=eps, min_samples=3).fit_predict(StandardScaler().fit_transform(table[columns].astype(float)))
    return len(set(labels) - {-1}), int((labels != -1).sum())


def table_of(store: Store) -> pd.DataFrame:
    return pd.read_csv(store.artifact(store.only("dbscan_sweep"), "results.csv"), dtype={"Monat": str})


@NEEDS_SESSION
@pytest.mark.parametrize("gaps", [False, True])
def test_booleans_are_clustered_as_0_and_1_and_the_model_takes_them(store: Store, step: Steps, gaps: bool) -> None:
    table = visits()
    if gaps:
        table["Mitglied"] = table["Mitglied"].astype(object)
        table.loc[3, "Mitglied"] = None
    table.to_csv("t.csv", index=False)
    assert step(dbscan_sweep, data="t.csv", features="Dauer,Mitglied", eps="0.3,0.5", models="best") == 0
    complete = table.dropna(subset=["Mitglied"])
    found = table_of(store)
    expected = [clusters(complete, ["Dauer", "Mitglied"], eps) for eps in (0.3, 0.5)]
    assert list(zip(found["n_clusters"], found["n_clustered_records"], strict=True)) == expected
    [path] = found.loc[found["best"], "model_path"]
    rows = pd.read_csv("t.csv").dropna(subset=["Mitglied"])
    predicted = mlflow.pyfunc.load_model(path).predict(rows)
    assert predicted.tolist() == mlflow.sklearn.load_model(path)["dbscan"].labels_.tolist()


@NEEDS_SESSION
def test_a_spreadsheet_of_continental_excel_is_swept_by_two_columns_of_groups(
    store: Store, step: Steps, session: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    table = visits()
    table.to_csv("t.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    complete = table.dropna()
    for data in ("t.csv", Path("t.csv").absolute().as_uri()):
        assert step(dbscan_sweep, data=data, group_by="Ort,Monat", features="Dauer", eps="0.3", models="none") == 0
        printed = capsys.readouterr().out
        assert (
            't.csv is read as {"sep": ";", "encoding": "cp1252", "decimal": ","} (cp1252, because it is not UTF-8)' in printed
        )
        assert "rows left out: 30 of 90, which miss a value in Ort (30)" in printed
    runs = [run for run in store.runs() if run.info.run_name == "dbscan_sweep"]
    tables = [pd.read_csv(store.artifact(run, "results.csv"), dtype={"Monat": str}) for run in runs]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    found = {(row.Ort, row.Monat): (row.n_clusters, row.n_clustered_records) for row in tables[0].itertuples()}
    assert found == {key: clusters(group, ["Dauer"], 0.3) for key, group in complete.groupby(["Ort", "Monat"])}
    assert {run.data.params["read_as"] for run in runs} == {SPREADSHEET}


@NEEDS_SESSION
def test_of_a_table_of_which_nothing_is_said_all_numbers_are_clustered_in_one_group(
    store: Store, step: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    visits().to_csv("t.tsv", index=False, sep="\t")
    assert step(dbscan_sweep, data="t.tsv", eps="0.3", models="none") == 0
    line = (
        "features=auto: Dauer (left out: Mitglied, a column of true and false; Ort, a column of text; Monat, which holds dates"
    )
    assert line in capsys.readouterr().out
    [row] = table_of(store).itertuples()
    assert (row.group, row.n_clusters, row.n_clustered_records) == ("all", *clusters(visits(), ["Dauer"], 0.3))

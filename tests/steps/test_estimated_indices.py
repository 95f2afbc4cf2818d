"""Indices that were estimated on a sample: the table, the runs and the terminal say so, also after a resume."""

import dbscan_sweep
import pandas as pd
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from pyspark.sql import SparkSession
from stores import Steps, Store
from sweeps import ISLANDS, results

LINE = "estimated on a sample: indices of 2 values in 1 of 3 groups, for example dbcv: on 100 of "


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let DBCV be estimated beyond 100 clustered records, which only Biscoe has."""
    monkeypatch.setattr("penguins.clustering.dbcv.MOST_RECORDS", 100)


def estimates(store: Store, sweep: Run) -> pd.DataFrame:
    """Return the groups, the values of eps and the estimates of the table of a sweep."""
    return results(store, sweep)[["island", "eps", "estimated"]].fillna("")


@pytest.mark.parametrize("log_from", ["driver", "executors"])
@pytest.mark.parametrize("runs", ["all", "groups"])
def test_an_estimate_is_in_the_table_on_the_runs_and_on_the_terminal_also_after_a_resume(
    store: Store,
    step: Steps,
    session: SparkSession,
    small_samples: None,
    capfd: pytest.CaptureFixture[str],
    log_from: str,
    runs: str,
) -> None:
    parameters = {"eps": "0.7,0.9", "models": "none", "runs": runs, "log_from": log_from}
    assert step(dbscan_sweep, **parameters) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "estimated" in line]
    assert len(lines) == 1
    assert lines[0].startswith(LINE)
    dead = store.only("dbscan_sweep")
    found = estimates(store, dead)
    assert results(store, dead).columns[-1] == "estimated"
    biscoe = found[found["island"] == "Biscoe"]
    assert biscoe["estimated"].str.startswith("dbcv: on 100 of ").all()
    assert set(found.loc[found["island"] != "Biscoe", "estimated"]) == {""}
    group = store.children(dead)["Biscoe"]
    assert group.data.tags["estimated"] == "; ".join(f"eps {row.eps}: {row.estimated}" for row in biscoe.itertuples())
    for row in biscoe.itertuples():
        if runs == "all":
            assert store.only(f"Biscoe-eps{row.eps}").data.tags["estimated"] == row.estimated
    store.client.update_run(store.children(dead)["Dream"].info.run_id, status="RUNNING")
    store.client.update_run(dead.info.run_id, status="RUNNING")
    set_heartbeat(store.client, dead.info.run_id, DEAD)
    for message in ("resume: 2 of 3 groups are taken over", "nothing is left to do"):
        assert step(dbscan_sweep, **parameters, resume=True) == 0
        printed = capfd.readouterr().out
        assert message in printed
        assert lines[0] in printed.splitlines()
        pd.testing.assert_frame_equal(estimates(store, store.only_finished("dbscan_sweep")), found)


def test_nothing_is_said_where_every_index_is_exact(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps="0.7,0.9", models="none", runs="groups") == 0
    assert "estimated" not in capfd.readouterr().out
    sweep = store.only("dbscan_sweep")
    assert results(store, sweep)["estimated"].isna().all()
    assert set(store.children(sweep)) == set(ISLANDS)

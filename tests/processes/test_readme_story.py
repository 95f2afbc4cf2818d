"""README's way from a table of one's own to a service, command by command as it is written there."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from documents import Example, copy_project, examples, run_command, served
from servers import free_port
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

NAMES = ["fiat 128", "vw rabbit", "ford pinto"]


def story() -> list[Example]:
    return examples("README.md", "Your own table") + examples("README.md", "Use the results")


def write_cars(path: Path) -> pd.DataFrame:
    """Write a shuffled table of cars with gaps and duplicates, of which each origin has its own clusters."""
    random = np.random.default_rng(1)
    centers = {
        "Japan": [(70, 2100), (95, 2700)],
        "Europe": [(70, 2000), (110, 2900)],
        "USA": [(90, 2600), (150, 3600), (200, 4400)],
    }
    rows = [
        {"origin": origin, "horsepower": random.normal(power, 4), "weight": random.normal(weight, 60)}
        for origin, of_origin in centers.items()
        for power, weight in of_origin
        for _ in range(25)
    ]
    cars = pd.DataFrame(rows).round(0)
    cars["name"] = [*NAMES, *[f"car {number:03}" for number in range(3, len(cars))]]
    cars = pd.concat([cars, cars.tail(10)]).sample(frac=1, random_state=0, ignore_index=True)
    cars.loc[[3, 40], "horsepower"] = None
    cars.loc[7, "origin"] = None
    cars.to_csv(path, index=False)
    return cars


def test_the_commands_lead_from_a_table_to_an_answer_over_http(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    cars = write_cars(tmp_path / "cars.csv")
    cars.head(30).drop(columns="weight").assign(weight=cars["weight"]).to_csv(tmp_path / "new.csv", index=False)
    port = free_port()
    sweep, score, serve, ask = (one.command.replace("/path/to/", f"{tmp_path}/").replace("5001", str(port)) for one in story())
    [run_id] = re.findall(r"^run: (\w{32})$", run_command(sweep, project), flags=re.MULTILINE)
    [path] = (project / "mlruns").glob(f"*/{run_id}/artifacts/clusters.parquet")
    clusters = pd.read_parquet(path)
    assert clusters["name"].tolist() == cars["name"].tolist()
    complete = cars.dropna()
    assert clusters["cluster"].notna().tolist() == cars.notna().all(axis="columns").tolist()
    for _, rows in complete.groupby("origin"):
        X = StandardScaler().fit_transform(rows[["horsepower", "weight"]])
        [eps] = set(clusters["eps"][rows.index])
        assert clusters["cluster"][rows.index].tolist() == DBSCAN(eps=eps, min_samples=3).fit(X).labels_.tolist()
    run_command(score, project)
    [predictions] = (project / "mlruns").glob("*/*/artifacts/predictions.parquet")
    predicted = pd.read_parquet(predictions)
    assert predicted["name"].tolist() == cars["name"].head(30).tolist()
    is_core = clusters["is_core"].head(30).fillna(False).astype(bool)
    assert predicted["cluster"][is_core].tolist() == clusters["cluster"].head(30)[is_core].tolist()
    with served(serve, project, f"http://127.0.0.1:{port}/ping"):
        found = json.loads(run_command(ask, project))
    expected = json.loads(story()[-1].output)
    assert found["predictions"][0].keys() == expected["predictions"][0].keys()
    assert found["predictions"][0]["cluster"] in (0, 1)
    assert found["predictions"][1] == expected["predictions"][1]


def test_the_story_is_all_there() -> None:
    assert [one.command.split()[0] for one in story()] == ["mlflow", "mlflow", "mlflow", "curl"]

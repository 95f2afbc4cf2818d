"""README's way from a table of one's own to a service, command by command as it is written there."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from servers import LONGEST_S, environment, free_port, wait_until_it_answers
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from penguins.project import PROJECT

NAMES = ["fiat 128", "vw rabbit", "ford pinto"]


def story_commands() -> list[str]:
    section = (PROJECT / "README.md").read_text().split("## Use the results\n")[1].split("\n## ")[0]
    return re.findall(r"```(?:sh|json)\n(.+?)\n```", section, flags=re.DOTALL)


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
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(".git", ".venv", "mlruns", "mlflow.db", "tests"))
    cars = write_cars(tmp_path / "cars.csv")
    cars.head(30).drop(columns="weight").assign(weight=cars["weight"]).to_csv(tmp_path / "new.csv", index=False)
    sweep, look_up, score, serve, curl, answer = story_commands()
    port = free_port()

    def run(command: str) -> str:
        text = command.replace("/path/to/", f"{tmp_path}/").replace("5001", str(port))
        done = subprocess.run(
            ["sh", "-c", text],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    [run_id] = re.findall(r"^run: (\w{32})$", run(sweep), flags=re.MULTILINE)
    printed = run(look_up.replace("<run id>", run_id))
    assert all(name in printed for name in NAMES)
    [path] = (project / "mlruns").glob(f"*/{run_id}/artifacts/clusters.parquet")
    clusters = pd.read_parquet(path)
    assert clusters["name"].tolist() == cars["name"].tolist()
    complete = cars.dropna()
    assert clusters["cluster"].notna().tolist() == cars.notna().all(axis="columns").tolist()
    for _, rows in complete.groupby("origin"):
        X = StandardScaler().fit_transform(rows[["horsepower", "weight"]])
        [eps] = set(clusters["eps"][rows.index])
        assert clusters["cluster"][rows.index].tolist() == DBSCAN(eps=eps, min_samples=3).fit(X).labels_.tolist()
    run(score)
    [predictions] = (project / "mlruns").glob("*/*/artifacts/predictions.parquet")
    predicted = pd.read_parquet(predictions)
    assert predicted["name"].tolist() == cars["name"].head(30).tolist()
    is_core = clusters["is_core"].head(30).fillna(False).astype(bool)
    assert predicted["cluster"][is_core].tolist() == clusters["cluster"].head(30)[is_core].tolist()
    with open(tmp_path / "output.txt", "ab") as output:
        server = subprocess.Popen(
            ["sh", "-c", serve.replace("5001", str(port))],
            cwd=project,
            env=environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", tmp_path / "output.txt")
        found = json.loads(run(curl))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    expected = json.loads(answer)
    assert found["predictions"][0].keys() == expected["predictions"][0].keys()
    assert found["predictions"][0]["cluster"] in (0, 1)
    assert found["predictions"][1] == expected["predictions"][1]


def test_the_story_is_all_there() -> None:
    first_words = [command.split()[0] for command in story_commands()]
    assert first_words == ["mlflow", "python", "mlflow", "mlflow", "curl", '{"predictions":']

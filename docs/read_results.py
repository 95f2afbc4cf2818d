"""Read the results of a run of `main` on the penguins back with pandas: its steps, tables, clusters and models.

Run it in the folder of the project after README's first command; its argument is the experiment:

    python docs/read_results.py penguins

Each part stands on its own: copy what you need to a notebook.
"""

import os
import sys

import mlflow
import pandas as pd

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
experiment = sys.argv[1] if len(sys.argv) > 1 else "penguins"

# The runs of an experiment are a table: parameters, metrics and tags are its columns. The latest one of each step:
runs = mlflow.search_runs(experiment_names=[experiment], filter_string="attributes.status = 'FINISHED'")
steps = runs.drop_duplicates("tags.mlflow.runName").set_index("tags.mlflow.runName")
print("The headline metric of each step:")
print(
    pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{steps.loc['main', 'run_id']}/summary.csv")).to_string(index=False)
)

# The tables of a sweep: a row for each group and value, and a row for each row of your table.
sweep = steps.loc["dbscan_sweep", "run_id"]
results = pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{sweep}/results.csv"))
clusters = pd.read_parquet(mlflow.artifacts.download_artifacts(f"runs:/{sweep}/clusters.parquet"))
chosen = results[results["best"]].set_index("island")
print("\nThe chosen value of each group:")
print(chosen[["eps", "n_clusters", "coverage", "silhouette"]])

# Which penguins are noise? `row` is the place in the table, from 0.
penguins = pd.read_csv("data/penguins.csv")
noise = clusters[clusters["cluster"] == -1].join(penguins.drop(columns="island"), on="row")
print("\nThe noise records of each island, by their row:")
for island, rows in noise.groupby("island")["row"]:
    print(f"{island}: {len(rows)} of them, {rows.tolist()}")
print("\nThe first of Dream:")
print(noise.loc[noise["island"] == "Dream", ["row", "species", "sex", "body_mass_g"]].head().to_string(index=False))

# The children of a group are the values that were tried; MLflow's filter finds them by tag, parameter or metric.
dream = mlflow.search_runs(
    experiment_names=[experiment], filter_string=f"tags.mlflow.parentRunId = '{steps.loc['Dream', 'run_id']}'"
)
print("\nEvery eps of Dream:")
print(dream[["params.eps", "metrics.n_clusters", "metrics.silhouette"]].sort_values("params.eps").to_string(index=False))

# Models: the router assigns rows of every group, a classifier answers in the table's own classes.
new = pd.DataFrame(
    {
        "island": ["Dream", "Biscoe"],
        "bill_length_mm": [39.0, 47.5],
        "bill_depth_mm": [18.0, 15.0],
        "flipper_length_mm": [190.0, 217.0],
        "body_mass_g": [3700.0, 5100.0],
    }
)
router = mlflow.pyfunc.load_model(f"runs:/{sweep}/router")
print("\nThe clusters of two new penguins:")
print(router.predict(new))
eps_model = mlflow.sklearn.load_model(chosen.loc["Dream", "model_path"])
print("\nThe fitted DBSCAN of Dream:", eps_model["dbscan"])

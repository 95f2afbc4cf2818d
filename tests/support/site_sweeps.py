"""Sweeps of many small groups, the sites, in processes of their own: tests let Spark's processes die in them."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from running_command import RunningCommand
from servers import USER
from stores import Store

from penguins.project import PROJECT
from penguins.tracking.server import SECRETS

EPS = (0.3, 0.6)
FEATURES = ["x", "y"]


def sites(n_groups: int, n_records: int) -> pd.DataFrame:
    """Return the groups that are swept, of `n_records` each."""
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(n_groups * n_records, 2)), columns=FEATURES)
    rows.insert(0, "site", np.repeat([f"site-{number:02}" for number in range(n_groups)], n_records))
    return rows


def start_sweep(
    folder: Path, store: Store, table: pd.DataFrame, log_from: str, where: str, experiment: str, *options: str, **more: str
) -> RunningCommand:
    """Start a sweep of `table` with Spark at `where`, with more options and more environment variables."""
    table.to_csv(folder / "sites.csv", index=False)
    asked = ["--data=sites.csv", "--group_by=site", f"--features={','.join(FEATURES)}", f"--eps={','.join(map(str, EPS))}"]
    asked += [f"--log_from={log_from}", f"--spark={where}", f"--experiment={experiment}", *options]
    variables = dict.fromkeys(SECRETS, "of the driver") | USER | more
    return RunningCommand(folder, store.uri, [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), *asked], variables)

"""The cluster of each row of the user's table, in the sweep's run and, with the results, at its `output`."""

from penguins.data.output import Output
from penguins.data.table import GroupedTable
from penguins.sweep.clusters_table import clusters_table
from penguins.sweep.results import SweepResults
from penguins.sweep.settings import SweepSettings
from penguins.sweep.tables import report_tables, sweep_tables, write_tables
from penguins.tracking.artifact_names import CLUSTERS
from penguins.tracking.artifacts import log_parquet


def log_clusters(results: SweepResults, table: GroupedTable, settings: SweepSettings, output: Output, run_id: str) -> None:
    """Log the table of clusters to the active run, and write it with that of the results to `output`, if there is one."""
    clusters = clusters_table(results, table, settings)
    log_parquet(clusters, CLUSTERS)
    if output.kind == "artifact":
        return
    found = results.table(settings.group_columns, settings.of_algorithm)
    tables = sweep_tables(run_id, found, clusters, settings.of_algorithm)
    if output.kind == "table":
        from penguins.sweep.spark_places import write_to_catalog  # imports Spark

        write_to_catalog(table, tables, output)
    else:
        write_tables(tables, output)
    report_tables(output, len(found), len(clusters))

"""Tables of Spark's catalogue: replace some, each as a whole, and say in a comment what they hold."""

from collections.abc import Mapping

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from penguins.cli.combinations import is_catalog_table
from penguins.data.spark_columns import quote_column
from penguins.errors import InputError
from penguins.text import one_line, print_warnings, quote

# Spark's own catalogue, which replaces no table in one step.
OWN = "spark_catalog"
NEW, OLD = "_new", "_old"


def quote_table(name: str) -> str:
    """Quote catalog.schema.table for Spark SQL."""
    return ".".join(quote_column(part) for part in name.split("."))


def require_schema(session: SparkSession, output: str) -> None:
    """Raise InputError where the parameter `output` names a table of the catalogue in a schema that is not there."""
    if not is_catalog_table(output):
        return
    schema = output.rpartition(".")[0]
    try:
        is_there, why = session.catalog.databaseExists(quote_table(schema)), ""
    except PySparkException as error:
        is_there, why = False, f" ({one_line(error)[:200]})"
    if not is_there:
        raise InputError(
            f"The 'output' parameter must name a table in a schema that is there. Got {quote(output)}, and Spark finds no "
            f"{schema}{why}: make it with CREATE SCHEMA {quote_table(schema)}, or name another one."
        )


def replace_tables(frames: Mapping[str, DataFrame], comment: str = "") -> None:
    """Write each frame as the table catalog.schema.table of its name, in place of an earlier one, with a comment.

    An earlier table stays until the new one is complete. A catalogue that replaces tables in one step, as those of Delta and
    Iceberg do, does so, table by table. In Spark's own, all new tables are written beside, and then renamed.
    """
    of_own = {name: frame for name, frame in frames.items() if name.partition(".")[0] == OWN}
    for name, frame in of_own.items():
        _write_beside(frame, name)
    for name, frame in frames.items():
        if name in of_own:
            _put_in_place(frame.sparkSession, name)
        else:
            frame.writeTo(quote_table(name)).createOrReplace()
    if comment:
        text = comment.replace("\\", "\\\\").replace("'", "\\'")
        for name, frame in frames.items():
            try:
                frame.sparkSession.sql(f"COMMENT ON TABLE {quote_table(name)} IS '{text}'")
            except PySparkException as error:  # the tables are there, and a catalogue may know no comments
                print_warnings(f"The table {quote(name)} has no comment: {one_line(error)[:200]}")


def _write_beside(frame: DataFrame, name: str) -> None:
    """Write a table beside `name`. What a run that was killed has left there is removed, or put back."""
    session = frame.sparkSession
    if session.catalog.tableExists(name + OLD):
        if session.catalog.tableExists(name):
            drop_table(session, name + OLD)
        else:  # it was killed between two renames
            _rename(session, name + OLD, name)
    drop_table(session, name + NEW)
    # In one step, Spark would write the files first: those of a killed run would be in the way, unknown to the catalogue.
    session.catalog.createTable(name + NEW, schema=frame.schema)
    frame.write.insertInto(quote_table(name + NEW))


def _put_in_place(session: SparkSession, name: str) -> None:
    has_table = session.catalog.tableExists(name)
    if has_table:
        _rename(session, name, name + OLD)
    _rename(session, name + NEW, name)
    if has_table:
        drop_table(session, name + OLD)


def _rename(session: SparkSession, name: str, new_name: str) -> None:
    session.sql(f"ALTER TABLE {quote_table(name)} RENAME TO {quote_table(new_name.partition('.')[2])}")


def drop_table(session: SparkSession, name: str) -> None:
    """Drop a table, if it is there."""
    session.sql(f"DROP TABLE IF EXISTS {quote_table(name)}")

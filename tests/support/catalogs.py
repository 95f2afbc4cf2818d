"""What Spark's catalogue holds."""

from pyspark.sql import SparkSession


def tables_of(session: SparkSession, schema: str) -> set[str]:
    """The tables of a schema, without the temporary views that other tests of the session have made."""
    return {table.name for table in session.catalog.listTables(schema) if not table.isTemporary}

"""Rules for parameters that do not go together."""

import re
from typing import Any

from penguins.cli.rules import NONE
from penguins.errors import InputError
from penguins.text import quote

# An output that is catalog.schema.table, and not the name of a folder or file.
CATALOG_TABLE = re.compile(r"(?!.*\.(csv|parquet|pq|gz)$)\w+\.\w+\.\w+")


def require_models_to_register(runs: str, models: str, register: str) -> None:
    """Raise InputError where a sweep is to register its model and to log no models."""
    if register and runs == "none":
        raise InputError(
            f"The 'runs' parameter must be auto, all or groups where 'register' is {quote(register)}. Got 'none' instead, "
            "which logs no model that could be registered."
        )
    if register and models == "none":
        raise InputError(
            f"The 'models' parameter must be all or best where 'register' is {quote(register)}. Got 'none' instead, which "
            "logs no model that could be registered."
        )


def is_catalog_table(output: str) -> bool:
    """Tell whether the parameter `output` names a table of a catalogue: catalog.schema.table."""
    return CATALOG_TABLE.fullmatch(output) is not None


def is_written_by_spark(parameters: Any) -> bool:
    """Tell whether Spark, if there is one, writes the tables of a sweep itself, group by group."""
    return parameters.runs == "none" and bool(parameters.output)


def require_spark_for_table(output: str, spark: str) -> None:
    """Raise InputError where predictions are to go to a table of a catalogue and there is no Spark to write it."""
    if spark == NONE and is_catalog_table(output):
        raise InputError(
            "The 'spark' parameter must name a Spark where the output is a table of its catalogue. "
            f"Got {NONE} with output={quote(output)}: give spark=active, for example, or ./{output} for a folder of that name."
        )

"""The table that a step works on."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """The complete rows of a table in the columns that a step uses.

    `numbers` names the columns of numbers, which are float64, and `texts` the others, which are text. `left_out` is the number
    of rows that are not complete, `source` the path of the table and `digest` a digest of its content.
    """

    frame: pd.DataFrame
    name: str
    source: str
    left_out: int
    digest: str
    numbers: list[str]
    texts: list[str]

"""Where the groups of a sweep are computed, as the driver sees it: it reads the table, and applies a function to each group."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd

from penguins.cli.rules import to_text
from penguins.data.auto import Column
from penguins.data.table import GroupedTable
from penguins.errors import InputError
from penguins.sweep.fit import SEPARATOR
from penguins.sweep.settings import SweepSettings
from penguins.text import quote

# What a worker does with the records of a group, under the names of `workers`. It returns rows of `transfer.SCHEMA`.
GroupFunction = Callable[[pd.DataFrame], pd.DataFrame]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Groups(ABC):
    """The groups of a table, ready to be computed."""

    table: GroupedTable

    @abstractmethod
    def apply(
        self,
        function: GroupFunction,
        settings: SweepSettings,
        tag: str,
        only: Collection[Key] = (),
        without: Collection[Key] = (),
    ) -> Generator[Sequence[Any], None, None]:
        """Yield the rows that `function` returns, those of some groups at a time, while others are still computed.

        These are all groups, or those with the keys `only`, or those that do not have the keys `without`. The rows of a group
        come together, and each maps the columns of `transfer.SCHEMA` to its cells. Closing the generator ends the work, which
        carries the name `tag`. Raises WorkError where the work fails, once what has been computed is yielded.
        """


class Backend(ABC):
    """What computes the groups of a sweep: Spark, or processes of this machine."""

    @abstractmethod
    def describe(self, data: str) -> Sequence[Column]:
        """Describe the columns of the table `data`. Raises InputError where it cannot be read."""

    @abstractmethod
    def load(self, parameters: Any, settings: SweepSettings, columns: Mapping[str, str]) -> Groups:
        """Read the table in `columns` (column to parameter), check them and log it as the dataset of the active run.

        Raises InputError where the table cannot be read, or the columns do not fit the parameters.
        """


def refuse_same_name(settings: SweepSettings, one: Key, other: Key, name: str) -> NoReturn:
    """Raise InputError for two groups that are both called `name`."""
    raise InputError(
        f"The 'group_by' parameter must name columns whose values, joined by {quote(SEPARATOR)}, tell the groups apart. "
        f"Got {quote(to_text(settings.group_by))}, with {quote(one)} and {quote(other)}, "
        f"both called {quote(name)}: change these values in the table."
    )

"""The results of a sweep on the terminal."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from penguins.clustering.doubts import SEPARATOR
from penguins.sweep.log_runs import TABLE
from penguins.sweep.results import LoggedGroup, SweepResults
from penguins.sweep.run_contents import NO_BEST_VALUE, names_that_vary
from penguins.sweep.settings import SweepSettings
from penguins.text import QUIET, VERBOSE, count, format_number, output, print_warnings, quote

# More groups, and more warnings of single groups, are counted.
MOST_GROUPS, MOST_WARNINGS = 30, 10


def result_lines(results: SweepResults, settings: SweepSettings) -> list[str]:
    """Return the lines that show the results: one for each group, and all rows where the output is verbose.

    Where the output is quiet, the warnings are printed instead.
    """
    if output() == QUIET:
        print_warnings(*_warnings(results))
        return []
    is_verbose, groups = output() == VERBOSE, results.in_order()
    shown = groups if is_verbose else groups[:MOST_GROUPS]
    lines = [*(_all_rows(results, settings) if is_verbose else [])]
    lines.append(f"best {settings.swept} of {len(results.best)} of {count(len(groups), 'group')}:")
    lines += _group_lines(shown, names_that_vary(settings))
    if n_left := len(groups) - len(shown):
        lines.append(f"… and {count(n_left, 'more group')}: --verbose shows them, and {TABLE} has all")
    is_counted = len(results.warnings) > MOST_WARNINGS
    lines += [f"warning: {warning}" for warning in _warnings(results)] if is_counted else []
    return [*lines, *_lines_of_groups_without_choice(results), *_estimate_lines(results)]


def sample_lines(answer: str, sample: str) -> list[str]:
    """Return the lines of a sweep whose run shows a sample of its groups: what came out in a sentence, and where all are."""
    return [answer, f"{TABLE} and the pictures of the run show {sample}: the tables at the output have all"]


def _all_rows(results: SweepResults, settings: SweepSettings) -> list[str]:
    """Return the table of all results, and an empty line."""
    table = results.table(settings.group_columns, settings.of_algorithm)
    table = table.drop(columns=["model_path", "warning", "estimated", "best"])
    return [table.to_string(index=False, float_format="{:.4g}".format, na_rep=""), ""]


def _group_lines(groups: Sequence[LoggedGroup], names: Sequence[str]) -> list[str]:
    """Return a header and a line for each group: its size, the chosen value and what it gives, and why that deserves doubt."""
    header, rows = ["group", "records", *names, "clusters", "coverage"], [_cells(group, names) for group in groups]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    notes = ["warning" if any(map(_doubt, groups)) else "", *map(_doubt, groups)]
    lines = []
    for cells, note in zip([header, *rows], notes, strict=True):
        numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append("  ".join([cells[0].ljust(widths[0]), *numbers, note]).rstrip())
    return lines


def _cells(group: LoggedGroup, names: Sequence[str]) -> list[str]:
    if not (best := group.best):
        return [quote(group.name), str(group.n_records), *["-"] * (len(names) + 2)]
    values = [format_number(best.params[name]) for name in names]
    coverage = "-" if best.coverage is None else f"{best.coverage:.3g}"
    return [quote(group.name), str(group.n_records), *values, str(best.n_clusters), coverage]


def _doubt(group: LoggedGroup) -> str:
    if group.failure:
        return f"failed: {group.failure}"
    return group.warning or ("" if group.best else NO_BEST_VALUE)


def _warnings(results: SweepResults) -> list[str]:
    """Return the warning of each group that has one, or, where they are many, each kind with its number of groups."""
    warnings, all_groups = results.warnings, count(len(results.groups), "group")
    if len(warnings) <= MOST_WARNINGS:
        return [f"{quote(name)}: {warning}" for name, warning in warnings.items()]
    kinds = Counter(kind for warning in warnings.values() for kind in warning.split(SEPARATOR))
    return [f"{number} of {all_groups}: {kind}" for kind, number in kinds.most_common()]


def _lines_of_groups_without_choice(results: SweepResults) -> list[str]:
    """Return a line that says how large the groups without a best value are, if there are several."""
    without = [group for group in results.groups.values() if group.warning and not group.failure and not group.best]
    if len(without) < 2:
        return []
    sizes = [group.n_records for group in without]
    known = [group.median_distance for group in without if group.median_distance is not None]
    distances = f"; the distance to the min_samples-th nearest record is {np.median(known):.3g}" if known else ""
    return [
        f"In the median, the {len(without)} groups without a best value have {np.median(sizes):g} records "
        f"({min(sizes)} to {max(sizes)}){distances}."
    ]


def _estimate_lines(results: SweepResults) -> list[str]:
    """Return a line with the number of values that have an index from a sample, and an example; none where all are exact."""
    rows = [row for row in results.rows() if row.estimated]
    if not rows:
        return []
    n_groups = len({row.group for row in rows})
    example = max((row.estimated for row in rows), key=len)
    return [
        f"estimated on a sample: indices of {count(len(rows), 'value')} in {n_groups} of "
        f"{count(len(results.groups), 'group')}, for example {example}; the column estimated of {TABLE} has all"
    ]

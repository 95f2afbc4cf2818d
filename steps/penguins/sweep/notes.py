"""The story of a sweep in sentences and tables: the descriptions of its run and of the runs of its groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.entities import Run

from penguins.cli.rules import to_text
from penguins.clustering.indices import DBCV, N_CLUSTERED_RECORDS, N_CLUSTERS, SILHOUETTE
from penguins.sweep.fit import GroupResult, Outcome
from penguins.sweep.results import LoggedGroup, SweepResults, Totals
from penguins.sweep.run_contents import NO_BEST_VALUE, in_words, names_that_vary
from penguins.sweep.settings import SweepSettings
from penguins.text import count, format_number
from penguins.tracking.addresses import NextStep, project_command, run_link
from penguins.tracking.conclusion import Conclusion, report_of, resume_of, score_of
from penguins.tracking.notes import describe

# More groups are counted.
MOST_NAMED_GROUPS = 6
SHOWN = {N_CLUSTERS: "clusters", SILHOUETTE: SILHOUETTE, DBCV: DBCV}


def choice_sentence(group: GroupResult, settings: SweepSettings) -> str:
    """Return in a sentence which value of a group was chosen and why, or why none was. It holds no text of the data."""
    best = group.best_outcome
    if best is None:
        return f"No {settings.swept} is chosen: {group.warning or NO_BEST_VALUE}."
    params = {name: best.params[name] for name in names_that_vary(settings)}
    n_noise = group.n_records - int(best.metrics[N_CLUSTERED_RECORDS])
    noise = f"{n_noise} of {group.n_records} records {'is' if n_noise == 1 else 'are'} noise"
    in_clusters = f"all {group.n_records} records are in clusters"
    return f"{in_words(params)}, {group.reason}; {noise if n_noise else in_clusters}."


def group_note(group: GroupResult, settings: SweepSettings, model_uri: str, experiment_id: str, tags: Mapping[str, str]) -> str:
    """Return the description of a group's run; `model_uri` is that of the chosen value's model, empty where there is none."""
    names, best = names_that_vary(settings), group.best_outcome
    shown = {metric: title for metric, title in SHOWN.items() if metric != settings.swept}
    rows = [
        [
            *[format_number(outcome.params[name]) for name in names],
            *[outcome.metrics.get(metric) for metric in shown],
            _coverage(outcome, group.n_records),
            "chosen" if outcome is best else outcome.reason,
        ]
        for outcome in group.outcomes
    ]
    score = NextStep("score", {"model_uri": model_uri, "data": "/path/to/new_rows_of_this_group.csv"})
    return describe(
        f"Which {settings.swept} does the group {group.name} want? {_what_is_compared(settings)}.",
        f"{group.name}: {choice_sentence(group, settings)}",
        [*names, *shown.values(), "coverage", ""],
        rows,
        [group.warning] if group.warning and best else [],
        [project_command(score, experiment_id, tags)] if model_uri else [],
    )


def _coverage(outcome: Outcome, n_records: int) -> float | None:
    n_clustered = outcome.metrics.get(N_CLUSTERED_RECORDS)
    return None if n_clustered is None else n_clustered / n_records


def sweep_conclusion(
    entry_point: str, parameters: Any, settings: SweepSettings, results: SweepResults, run: Run, router_uri: str
) -> Conclusion:
    """Return the conclusion of the sweep whose run is `run`; `router_uri` is that of the model of all groups, or empty."""
    names = names_that_vary(settings)
    rows = [_row_of_group(group, names, run.info.experiment_id) for group in results.in_order()]
    by = f"group of {', '.join(settings.group_by)}" if settings.group_by else "table as one group"
    next_steps = [report_of(run), *([score_of(router_uri, parameters)] if router_uri else [])]
    return Conclusion(
        f"Which {settings.swept} does each {by} want, in {parameters.data}? {_what_is_compared(settings)}. The features: "
        f"{', '.join(settings.features)}.",
        sweep_sentence(settings, results),
        ["group", "records", *names, "clusters", "coverage", "warning"],
        rows,
        next_steps=next_steps + ([resume_of(entry_point, parameters)] if results.failures and settings.has_group_runs else []),
    )


def sweep_sentence(settings: SweepSettings, results: SweepResults) -> str:
    """Return what a sweep has found in a sentence: the choice of each group, or, of many groups, how many have one."""
    totals = results.totals(settings.swept)
    if totals.n_groups > MOST_NAMED_GROUPS:
        return totals_sentence(settings, totals)
    return "; ".join(_choice_of_group(group, settings) for group in results.in_order()) + f"{_doubt(totals)}."


def totals_sentence(settings: SweepSettings, totals: Totals) -> str:
    """Return how many groups have a best value, and in which range, in a sentence."""
    failed = f"; {count(totals.n_failed, 'group')} failed" if totals.n_failed else ""
    spread = f", from {totals.lowest:g} to {totals.highest:g}, {totals.median:g} in the median" if totals.n_best else ""
    best = f"{totals.n_best} of {count(totals.n_groups, 'group')} have a best {settings.swept}"
    return f"{best}{spread}{_doubt(totals)}{failed}."


def _doubt(totals: Totals) -> str:
    number = totals.n_doubtful
    return f"; {number} of these {'deserves' if number == 1 else 'deserve'} doubt" if number else ""


def _choice_of_group(group: LoggedGroup, settings: SweepSettings) -> str:
    if group.failure:
        return f"{group.name} failed"
    if not (best := group.best):
        return f"{group.name} has no best {settings.swept}"
    n_noise = group.n_records - int(best.metrics[N_CLUSTERED_RECORDS])
    noise = f"{n_noise} of {group.n_records} records noise" if n_noise else "no noise"
    params = in_words({name: best.params[name] for name in names_that_vary(settings)})
    return f"{group.name} wants {params} ({count(best.n_clusters, 'cluster')}, {noise})"


def _row_of_group(group: LoggedGroup, names: Sequence[str], experiment_id: str) -> list[object]:
    best = group.best
    values = [format_number(best.params[name]) if best else None for name in names]
    found = [best.n_clusters if best else None, best.coverage if best else None]
    why = f"failed: {group.failure}" if group.failure else group.warning
    name = run_link(group.name, experiment_id, group.run_id) if group.run_id else group.name
    return [name, group.n_records, *values, *found, why]


def _what_is_compared(settings: SweepSettings) -> str:
    """Return which values are compared, and by which rule one is chosen."""
    grid = "; ".join(f"{name} {to_text(settings.grid[name])}" for name in (settings.swept, *settings.of_algorithm.fixed))
    return f"{settings.algorithm} with {grid}; chosen by {settings.select_by}"

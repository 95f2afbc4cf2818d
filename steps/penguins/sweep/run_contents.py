"""What the runs of a group and of its values hold: names, tags and metrics."""

import re
from collections.abc import Mapping

from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, Metric
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from penguins.sweep.algorithm import Params
from penguins.sweep.fit import GroupResult, Outcome, ProposalOfGroup
from penguins.sweep.settings import SweepSettings
from penguins.text import format_number
from penguins.tracking.run import LONGEST_TAG
from penguins.tracking.store import now_ms

LONGEST_NAME, LONGEST_GROUP_TAG = 250, 8000
LONGEST_DATASET = 500
NO_BEST_VALUE = "no value has the index and keeps enough records: there is no best one"


def run_name(name: str, suffix: str = "") -> str:
    """Return `name` and `suffix` as the name of a run, which a store takes only up to a length and not empty."""
    room = LONGEST_NAME - len(suffix)
    short = name if len(name) <= room else name[: room - 1] + "…"
    return (storable_text(short) or "(empty)") + suffix


def model_name(name: str, suffix: str) -> str:
    """Return the name of a run as that of its logged model, which may not hold some signs: `Biscoe-eps0_5`."""
    return re.sub(r"[/:.%\"']", "_", run_name(name, suffix))


def storable_text(text: str) -> str:
    """Replace the null character, which PostgreSQL does not take, with the visible symbol ␀."""
    return text.replace("\0", "␀")


def names_that_vary(settings: SweepSettings) -> list[str]:
    """Return the parameters that tell the values of a group apart: the swept one, and fixed ones with several values."""
    fixed = [name for name in settings.of_algorithm.fixed if len({one[name] for one in settings.fixed_values}) > 1]
    return [settings.swept, *fixed]


def in_words(params: Params) -> str:
    """Write parameters as people say them: `eps 0.5, min_samples 3`."""
    return ", ".join(f"{name} {format_number(value)}" for name, value in params.items())


def group_dataset(table: DatasetInput, group: GroupResult) -> DatasetInput:
    """Return the records of a group as a dataset of MLflow, which has the source of the whole `table` and its own digest."""
    whole = table.dataset
    name = storable_text(f"{whole.name}: {group.name}")[:LONGEST_DATASET]
    profile = f'{{"num_rows": {group.n_records}}}'
    dataset = LoggedDataset(name, group.digest, whole.source_type, whole.source, whole.schema, profile)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def value_tags(outcome: Outcome, is_best: bool) -> dict[str, str]:
    """Return the tags of the run of one value: whether it is the best, and why metrics are undefined or estimated."""
    tags = {"best": "true" if is_best else "", "undefined": outcome.reason, "estimated": outcome.estimated}
    return {key: text for key, text in tags.items() if text}


def group_tags(group: GroupResult, swept: str) -> dict[str, str]:
    """Return the tags of a group's run: why it lacks something or deserves doubt, and the range of the proposed values."""
    tags = {"undefined": NO_BEST_VALUE if group.best is None else "", "warning": group.warning}
    tags["estimated"] = "; ".join(
        f"{swept} {format_number(outcome.params[swept])}: {outcome.estimated}"
        for outcome in group.outcomes
        if outcome.estimated
    )
    ranges = [
        (f"{format_number(proposal.lowest)} to {format_number(proposal.highest)}", in_words(proposal.fixed))
        for proposal in group.proposals
    ]
    tags[f"{swept}_grid"] = "; ".join(f"{text} ({fixed})" if fixed else text for text, fixed in ranges)
    return {key: text[:LONGEST_TAG] for key, text in tags.items() if text}


def group_metrics(group: GroupResult, swept: str) -> list[Metric]:
    """Return the metrics of a group's run.

    Those of the best value stand under their own names and as `best_…`. The curves of every metric are called `by_eps/…`, with
    one step for each eps in ascending order; with several min_samples, `by_eps/min_samples5/…`. `swept` takes the place of eps.
    """
    knees = {f"{swept}_knee{curve_suffix(group, proposal)}": proposal.knee for proposal in group.proposals if proposal.knee}
    metrics = [*_curves(group, swept), *to_metrics(knees)]
    if best := group.best_outcome:
        of_best = {**best.metrics, "coverage": group.coverage(best)}
        # k-means may find fewer clusters than its parameter n_clusters, which stands under `best_…` and in the curves.
        metrics += to_metrics({**best.params, **of_best})
        metrics += to_metrics({f"best_{name}": value for name, value in {**of_best, **best.params}.items()})
    return metrics


def curve_suffix(group: GroupResult, proposal: ProposalOfGroup) -> str:
    """Return what tells a proposal of the group from its others: `_min_samples5`, or nothing if there is one."""
    if len(group.proposals) < 2:
        return ""
    return "".join(f"_{name}{format_number(value)}" for name, value in proposal.fixed.items())


def _curves(group: GroupResult, swept: str) -> list[Metric]:
    by_fixed: dict[str, list[Outcome]] = {}
    for outcome in group.outcomes:
        fixed = "-".join(f"{name}{format_number(value)}" for name, value in outcome.params.items() if name != swept)
        by_fixed.setdefault(fixed, []).append(outcome)
    curves = []
    for fixed, outcomes in by_fixed.items():
        prefix = f"by_{swept}/{fixed}" if len(by_fixed) > 1 else f"by_{swept}"
        for step, outcome in enumerate(outcomes):
            values = {**outcome.metrics, swept: outcome.params[swept]}
            curves += to_metrics({f"{prefix}/{name}": value for name, value in values.items()}, step)
    return curves


def to_metrics(
    values: Mapping[str, float], step: int = 0, model_id: str | None = None, dataset: DatasetInput | None = None
) -> list[Metric]:
    """Return metrics of MLflow, which may belong to a logged model and a dataset."""
    now = now_ms()
    data = {"dataset_name": dataset.dataset.name, "dataset_digest": dataset.dataset.digest} if dataset else {}
    return [Metric(name, float(value), now, step, model_id=model_id, **data) for name, value in values.items()]

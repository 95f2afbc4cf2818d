"""The model registry: register the model of a run, and make it the champion if it beats the present one on the same rows."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from penguins.errors import InputError, WorkError
from penguins.text import LONGEST_REASON, one_line, print_lines, quote
from penguins.tracking.held_out import Figure, HeldOut
from penguins.tracking.model_versions import LONGEST_VALUE, register_once
from penguins.tracking.row_hashes import SeenRows, count_seen, load_row_hashes, zero_bits
from penguins.tracking.store import absolute_uri, repeat_if_busy

CHAMPION, CHALLENGER = "champion", "challenger"
# Tags of a run.
DECISION, REGISTERED = "registry_decision", "registered_model"
# Tags of a model version: the column that it predicts, and the figure by which it is compared.
TARGET, COMPARED_BY = "target", "compared_by"
CATALOGS = ("databricks-uc", "uc")
# A registry has no way to set an alias only if it has not changed. Another run that looked before this one set the alias sets
# its own within this time, and is noticed.
LOOK_AGAIN_S = 1.0
MOST_ROUNDS = 10


@dataclass(frozen=True)
class Candidate:
    """A new model: the URI at which the run has logged it, its target, and its figure on the rows held out."""

    uri: str
    run_id: str
    target: str
    figure: Figure
    value: float


@dataclass(frozen=True)
class Comparison:
    """The champion beside a new model: its version, and its figure, or the reason why it has none.

    `seen` counts the rows held out that the champion was trained on; None where nobody knows. Without any champion, `version`
    is empty.
    """

    version: str = ""
    value: float | None = None
    seen: SeenRows | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Decision:
    """The alias for a new version, and why, as the end of a sentence that begins with the version."""

    alias: str
    why: str
    comparison: Comparison = Comparison()


def decide(candidate: Candidate, comparison: Comparison, n_rows: int) -> Decision:
    """Choose the alias of a new model: `champion` if there is none or it is beaten on the `n_rows` held-out rows."""
    figure = candidate.figure
    own = f"{figure.name} {candidate.value:.6g} on {n_rows} held-out rows"
    champion = f"version {comparison.version}"
    if not comparison.version:
        return Decision(CHAMPION, f"is the champion, because there was none: {own}", comparison)
    if comparison.value is None:
        why = f"is the challenger, because it could not be compared with the champion, {champion}, which {comparison.why_not}"
        return Decision(CHALLENGER, f"{why}: {own}", comparison)
    seen = f", which was trained on {comparison.seen or 'an unknown number'} of them"
    is_better = figure.is_better(candidate.value, comparison.value)
    if is_better:
        why = f"is the champion: {own}, against {comparison.value:.6g} of {champion}"
    else:
        why = f"is the challenger: {own}, against {comparison.value:.6g} of the champion, {champion}"
    return Decision(CHAMPION if is_better else CHALLENGER, why + seen, comparison)


def require_registrable(name: str) -> None:
    """Raise InputError where the registry takes no name of this shape. An empty name stands for no registration."""
    registry = str(mlflow.get_registry_uri())
    parts = name.split(".")
    if name and registry.split(":")[0] in CATALOGS and not (len(parts) == 3 and all(part.strip() for part in parts)):
        raise InputError(
            "The 'register' parameter must be a name of three parts, as in catalog.schema.model, for the registry of Unity "
            f"Catalog. Got {quote(name)} instead."
        )


def register_and_compare(name: str, candidate: Candidate, held_out: HeldOut) -> None:
    """Register the model under `name`, make it the champion or the challenger, and record and print why.

    Raises WorkError where the registry refuses.
    """
    with refuse_registry_errors(name):
        client = MlflowClient()
        tags = {TARGET: candidate.target, COMPARED_BY: candidate.figure.name}
        version = register_once(client, candidate.uri, name, candidate.run_id, tags)
        decision = _settle(client, name, version, candidate, held_out)
        _record(client, name, version, candidate, decision, held_out.n_rows)


def register_router(model_uri: str, name: str, run_id: str) -> list[str]:
    """Register a model that has no figure to be compared by: as the challenger, or as the champion where there is none.

    Returns the lines to print; for a challenger they have the command that makes it the champion.
    Raises WorkError where the registry refuses.
    """
    with refuse_registry_errors(name):
        client = MlflowClient()
        version = register_once(client, model_uri, name, run_id, {COMPARED_BY: "nothing"})
        champion = find_champion(client, name)
        if not champion and _set_champion(client, name, version):
            why = "is the champion, because there was none"
        elif (champion := find_champion(client, name)) == version:
            why = "is the champion already"
        else:
            repeat_if_busy(lambda: client.set_registered_model_alias(name, CHALLENGER, version))
            why = f"is the challenger of version {champion}"
        _describe(client, name, version, run_id, why)
        lines = [f"registered: {name}/{version} {why}"]
        return lines if champion in ("", version) else [*lines, _promotion_line(name, version)]


def promotion_command(name: str, version: str) -> str:
    """Return the shell command that makes a version the champion, from any folder.

    It names the store, and the registry where that is another one. Where a URI holds a password, both are left out; the command
    then takes those of the environment.
    """
    uris = dict.fromkeys(absolute_uri(str(uri)) for uri in (mlflow.get_tracking_uri(), mlflow.get_registry_uri()))
    client = "" if any(urlsplit(uri).password for uri in uris) else ", ".join(map(repr, uris))
    code = f"import mlflow; mlflow.MlflowClient({client}).set_registered_model_alias({name!r}, {CHAMPION!r}, {version!r})"
    return f"python -c {shlex.quote(code)}" if set(code) & set('"$`\\!') else f'python -c "{code}"'


def _promotion_line(name: str, version: str) -> str:
    return f"to make it the champion: {promotion_command(name, version)}"


@contextmanager
def refuse_registry_errors(name: str) -> Iterator[None]:
    """Raise WorkError with the reason where the registry refuses a request in the block."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise WorkError(
            f"The model could not be registered as {quote(name)}: {one_line(error)[:LONGEST_REASON].rstrip('.')}. "
            "The run keeps its results and its model."
        ) from error


def find_champion(client: MlflowClient, name: str) -> str:
    """Return the version that is the champion of `name`, or an empty text."""
    return str(client.get_registered_model(name).aliases.get(CHAMPION, ""))


def _settle(client: MlflowClient, name: str, version: str, candidate: Candidate, held_out: HeldOut) -> Decision:
    """Give `version` the alias that it earns against the champion, whoever that becomes meanwhile; return the decision."""
    compared = {"": Comparison()}
    decision = Decision(CHAMPION, "is the champion already")
    for _ in range(MOST_ROUNDS):
        champion = find_champion(client, name)
        if champion == version:
            return decision
        if champion not in compared:
            compared[champion] = _compare(client, name, champion, candidate, held_out)
        decision = decide(candidate, compared[champion], held_out.n_rows)
        if find_champion(client, name) != champion:
            continue
        if decision.alias == CHALLENGER:
            repeat_if_busy(lambda: client.set_registered_model_alias(name, CHALLENGER, version))
            return decision
        if _set_champion(client, name, version):
            return decision
    repeat_if_busy(lambda: client.set_registered_model_alias(name, CHALLENGER, version))
    return Decision(CHALLENGER, f"is the challenger, because the champion has changed {MOST_ROUNDS} times meanwhile")


def _set_champion(client: MlflowClient, name: str, version: str) -> bool:
    """Make `version` the champion; return whether it still is, after other runs that looked before have had their time."""
    repeat_if_busy(lambda: client.set_registered_model_alias(name, CHAMPION, version))
    time.sleep(LOOK_AGAIN_S)
    aliases = client.get_registered_model(name).aliases
    if str(aliases.get(CHALLENGER, "")) == version:
        client.delete_registered_model_alias(name, CHALLENGER)
    return str(aliases.get(CHAMPION, "")) == version


def _compare(client: MlflowClient, name: str, champion: str, candidate: Candidate, held_out: HeldOut) -> Comparison:
    """Score the champion on the rows held out, or say why that is impossible; raise nothing over it."""
    try:
        registered = client.get_model_version(name, champion)
        if why_not := _difference(client, registered, candidate):
            return Comparison(champion, why_not=why_not)
        value = held_out.score(f"models:/{name}/{champion}")
    except Exception as error:  # noqa: BLE001  # loading and calling a model may raise anything
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        why = f"{kind}{one_line(error)[:200].rstrip('.')}"
        return Comparison(champion, why_not=f"cannot be loaded or does not take these rows ({why})")
    return Comparison(champion, value, _count_seen(registered, held_out))


def _difference(client: MlflowClient, champion: ModelVersion, candidate: Candidate) -> str:
    """Return why the champion is no model of the same kind as far as its tags or those of its run tell, or an empty text."""
    tags = dict(champion.tags)
    if TARGET not in tags and champion.run_id:
        with suppress(MlflowException):  # a version that was registered by hand, perhaps of a run elsewhere
            tags |= client.get_run(champion.run_id).data.tags
    by, target = tags.get(COMPARED_BY, candidate.figure.name), tags.get(TARGET, candidate.target[:LONGEST_VALUE])
    if target != candidate.target[:LONGEST_VALUE]:
        return f"predicts {quote(target)} rather than {quote(candidate.target)}"
    return "" if by == candidate.figure.name else f"is compared by {by}"


def _count_seen(champion: ModelVersion, held_out: HeldOut) -> SeenRows | None:
    """Count the rows held out that the champion was trained on; None where its run does not tell."""
    try:
        training = load_row_hashes(champion.run_id) if champion.run_id else None
    except Exception:  # noqa: BLE001  # each store of artifacts has its own errors, and the file may be anything
        return None
    if training is None or training.method != held_out.method or not set(training.columns) <= set(held_out.columns):
        return None
    bits = max(training.n_zero_bits, zero_bits(held_out.n_rows))
    return count_seen(held_out.hashes(training.columns, bits), bits, training)


def _record(client: MlflowClient, name: str, version: str, candidate: Candidate, decision: Decision, n_rows: int) -> None:
    """Write the figures and the decision on the run and on the version, and print them."""
    key, champion = candidate.figure.key, decision.comparison
    figures = {f"registry_new_{key}": candidate.value, "registry_n_rows": float(n_rows)}
    if champion.value is not None:
        figures[f"registry_champion_{key}"] = champion.value
    if champion.seen is not None:
        figures["champion_rows_trained_on"] = float(champion.seen.number)
    for metric, value in figures.items():
        client.log_metric(candidate.run_id, metric, value)
        client.set_model_version_tag(name, version, metric, f"{value:.6g}")
    _describe(client, name, version, candidate.run_id, decision.why)
    lines = [f"registered: {name}/{version} {decision.why}"]
    is_open = champion.version and champion.value is None
    print_lines(*lines, *([_promotion_line(name, version)] if is_open else []))


def _describe(client: MlflowClient, name: str, version: str, run_id: str, why: str) -> None:
    """Write the decision on the run, as tags, and on the version, as its description."""
    sentence = f"{name}/{version} {why}"
    client.set_tag(run_id, REGISTERED, f"{name}/{version}")
    client.set_tag(run_id, DECISION, sentence)
    client.update_model_version(name, version, sentence)

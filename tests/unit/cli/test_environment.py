"""Parameters that environment variables hold."""

import os
from dataclasses import dataclass

import pytest

from penguins.cli.environment import secrets_in_environment, text_from_environment
from penguins.cli.parameters import Data, Spark, SweptFeatures, parse_parameters
from penguins.errors import InputError

URL = "https://h/t.csv?token=5ecret"


@dataclass(frozen=True)
class Parameters:
    data: Data = "penguins"
    features: SweptFeatures = ("auto",)
    spark: Spark = "local[*]"


def test_a_parameter_may_name_a_variable_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_URL", URL)
    monkeypatch.setenv("SPARK", "sc://h:15002/;token=5ecret")
    parsed = parse_parameters(Parameters, {"data": "$TABLE_URL", "spark": " $SPARK "})
    assert (parsed.data, parsed.spark) == (URL, "sc://h:15002/;token=5ecret")


def test_the_value_of_a_variable_has_to_keep_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK", "nowhere")
    with pytest.raises(InputError, match=r"The 'spark' parameter must be a master .* Got 'nowhere' instead"):
        parse_parameters(Parameters, {"spark": "$SPARK"})


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("TABLE_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("TABLE_URL", value)
    with pytest.raises(
        InputError, match=r"'data' .* that is set, .* Got '\$TABLE_URL': export TABLE_URL, or write \./\$TABLE_URL"
    ):
        parse_parameters(Parameters, {"data": "$TABLE_URL"})


@pytest.mark.parametrize(("name", "text"), [("features", "$HOME"), ("data", "./$HOME"), ("data", "$5"), ("data", "a$HOME")])
def test_names_of_columns_and_files_are_no_variables(name: str, text: str) -> None:
    assert text_from_environment(name, text) == text


def test_only_parameters_with_secrets_go_to_variables_and_only_for_the_block() -> None:
    texts = {"score": {"data": URL, "model_uri": "models:/m/1", "target": "a?/token=1"}, "ridge_search": {"data": "penguins"}}
    before = dict(os.environ)
    with secrets_in_environment(texts) as hidden:
        assert hidden == texts | {"score": texts["score"] | {"data": "$PENGUINS_SCORE_DATA"}}
        assert text_from_environment("data", hidden["score"]["data"]) == URL
    assert dict(os.environ) == before

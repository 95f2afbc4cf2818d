"""Is it male or female? The run of the step, and its numbers against scikit-learn called plainly."""

from collections import Counter
from pathlib import Path

import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc, f1_score, precision_score, recall_score, roc_auc_score, roc_curve
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from stores import SEED_ROWS, Steps, Store

from penguins.tracking.artifacts import load_sklearn_model

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def test_its_run_has_the_metrics_artifacts_and_dataset_of_the_interface(
    store: Store, step: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(logistic_regression) == 0
    run = store.only("logistic_regression")
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= {"train_acc", "eval_acc", "auc_score"}
    assert (run.data.params["target"], run.data.params["features"]) == ("auto", "auto")
    assert run.data.tags["features"] == "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,island,species"
    assert run.data.tags["target"] == "sex"
    assert run.data.metrics["n_rows"] == 333
    assert run.data.metrics["n_rows_left_out"] == 11
    assert store.artifacts(run) == {"roc_plot.png", "conf_matrix.png", "roc_curve.csv", "conf_matrix.csv", "coefficients.csv"}
    assert [used.dataset.name for used in run.inputs.dataset_inputs] == ["penguins"]
    printed, noise = capsys.readouterr()
    assert f"eval_acc: {run.data.metrics['eval_acc']:.4g}" in printed
    assert run.info.run_id in printed
    assert noise == ""


def test_its_metrics_are_those_of_a_plain_pipeline(store: Store, step: Steps) -> None:
    assert step(logistic_regression, test_size=0.3, seed=7) == 0
    penguins = pd.read_csv(SEED_ROWS).dropna()
    X, y = penguins[[*NUMBERS, "island", "species"]], penguins["sex"]
    X_train, X_eval, y_train, y_eval = train_test_split(X, y, test_size=0.3, random_state=7, stratify=y)
    encoder = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["island", "species"]))
    plain = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(X_train, y_train)
    expected = {
        "train_acc": plain.score(X_train, y_train),
        "eval_acc": plain.score(X_eval, y_eval),
        "auc_score": roc_auc_score(y_eval, plain.predict_proba(X_eval)[:, 1]),
        "baseline_acc": DummyClassifier().fit(X_train, y_train).score(X_eval, y_eval),
        "precision": precision_score(y_eval, plain.predict(X_eval), pos_label="MALE"),
        "recall": recall_score(y_eval, plain.predict(X_eval), pos_label="MALE"),
        "f1": f1_score(y_eval, plain.predict(X_eval), pos_label="MALE"),
    }
    run = store.only("logistic_regression")
    assert run.data.tags["positive_class"] == "MALE"
    found = run.data.metrics
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
def test_more_than_two_classes_are_scored_one_against_the_rest(store: Store, step: Steps, encoding: str) -> None:
    assert step(logistic_regression, target="island", features=["bill_depth_mm", "species"], encoding=encoding) == 0
    run = store.only("logistic_regression")
    model = mlflow.sklearn.load_model(store.model_uri(run))
    penguins = pd.read_csv(SEED_ROWS).dropna()
    _, X_eval, _, y_eval = train_test_split(
        penguins[["bill_depth_mm", "species"]], penguins["island"], test_size=0.2, random_state=0, stratify=penguins["island"]
    )
    score = roc_auc_score(y_eval, model.predict_proba(X_eval), multi_class="ovr")
    assert run.data.metrics["auc_score"] == pytest.approx(score)
    predicted = model.predict(X_eval)
    for name, function in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert run.data.metrics[name] == pytest.approx(function(y_eval, predicted, average="macro", zero_division=0))
    assert "positive_class" not in run.data.tags


def test_its_tables_are_those_of_a_plain_pipeline_on_the_rows_held_out(store: Store, step: Steps) -> None:
    assert step(logistic_regression, test_size=0.3, seed=7) == 0
    run = store.only("logistic_regression")
    penguins = pd.read_csv(SEED_ROWS).dropna()
    X, y = penguins[[*NUMBERS, "island", "species"]], penguins["sex"]
    X_train, X_eval, y_train, y_eval = train_test_split(X, y, test_size=0.3, random_state=7, stratify=y)
    encoder = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["island", "species"]))
    plain = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(X_train, y_train)

    coefficients = pd.read_csv(store.artifact(run, "coefficients.csv"))
    assert list(coefficients) == ["class", "feature", "coefficient"]
    assert set(coefficients["class"]) == {"MALE"}
    islands, species = ("Biscoe", "Dream", "Torgersen"), ("Adelie", "Chinstrap", "Gentoo")
    categories = [f"island={name}" for name in islands] + [f"species={name}" for name in species]
    assert coefficients["feature"].tolist() == ["(intercept)", *NUMBERS, *categories]
    assert coefficients["coefficient"].tolist() == pytest.approx([*plain[-1].intercept_, *plain[-1].coef_[0]], rel=1e-6)

    confusion = pd.read_csv(store.artifact(run, "conf_matrix.csv"))
    assert list(confusion) == ["true", "predicted", "n"]
    counts = Counter(zip(y_eval, plain.predict(X_eval), strict=True))
    assert confusion.set_index(["true", "predicted"])["n"].to_dict() == dict(counts)

    curve = pd.read_csv(store.artifact(run, "roc_curve.csv"))
    assert list(curve) == ["class", "false_positive_rate", "true_positive_rate", "threshold"]
    assert set(curve["class"]) == {"MALE"}
    false_positive, true_positive, thresholds = roc_curve(y_eval == "MALE", plain.predict_proba(X_eval)[:, 1])
    assert curve["false_positive_rate"].tolist() == pytest.approx(false_positive)
    assert curve["true_positive_rate"].tolist() == pytest.approx(true_positive)
    assert curve["threshold"].tolist() == pytest.approx(thresholds, rel=1e-6)


def test_its_tables_have_every_class_where_there_are_more_than_two(store: Store, step: Steps) -> None:
    assert step(logistic_regression, target="island", features=["bill_depth_mm", "species"], encoding="ordinal") == 0
    run = store.only("logistic_regression")
    coefficients = pd.read_csv(store.artifact(run, "coefficients.csv"))
    names = ["(intercept)", "bill_depth_mm", "species"]
    islands = ["Biscoe", "Dream", "Torgersen"]
    assert list(zip(coefficients["class"], coefficients["feature"], strict=True)) == [
        (island, name) for island in islands for name in names
    ]
    model = mlflow.sklearn.load_model(store.model_uri(run))
    expected = np.column_stack([model[-1].intercept_, model[-1].coef_]).ravel().tolist()
    assert coefficients["coefficient"].tolist() == pytest.approx(expected, rel=1e-12)
    curve = pd.read_csv(store.artifact(run, "roc_curve.csv"))
    assert curve["class"].unique().tolist() == islands
    areas = [auc(of_class["false_positive_rate"], of_class["true_positive_rate"]) for _, of_class in curve.groupby("class")]
    assert np.mean(areas) == pytest.approx(run.data.metrics["auc_score"], abs=1e-3)
    confusion = pd.read_csv(store.artifact(run, "conf_matrix.csv"))
    right = confusion.loc[confusion["true"] == confusion["predicted"], "n"].sum()
    assert right / confusion["n"].sum() == run.data.metrics["eval_acc"]


def test_a_rare_class_is_found_with_balanced_weights_and_the_baseline_shows_that_accuracy_says_little(
    store: Store, step: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    x = np.append(random.normal(size=380), random.normal(1.5, 1, 20))
    table = pd.DataFrame({"x": x, "leave": ["no"] * 380 + ["yes"] * 20})
    table.to_csv("rare.csv", index=False)
    found = {}
    for weight in ("none", "balanced"):
        assert step(logistic_regression, data="rare.csv", target="leave", features="x", class_weight=weight) == 0
        [run] = [one for one in store.runs() if one.data.params["class_weight"] == weight]
        found[weight] = run.data.metrics
        printed = capsys.readouterr().out
        assert all(f"{name}: " in printed for name in ("baseline_acc", "precision", "recall", "f1"))
    assert found["none"]["baseline_acc"] == found["balanced"]["baseline_acc"] == 0.95
    assert found["none"]["recall"] <= 0.25
    assert found["balanced"]["recall"] >= 0.75
    assert found["none"]["eval_acc"] > found["balanced"]["eval_acc"]


def test_the_model_takes_raw_rows_and_has_their_schema(store: Store, step: Steps) -> None:
    assert step(logistic_regression) == 0
    uri = store.model_uri(store.only("logistic_regression"))
    model = mlflow.pyfunc.load_model(uri)
    rows = pd.read_csv(SEED_ROWS).dropna()[[*NUMBERS, "island", "species"]]
    assert set(model.predict(rows)) == {"MALE", "FEMALE"}
    info = mlflow.models.get_model_info(uri)
    assert info.signature.inputs.input_names() == [*NUMBERS, "island", "species"]
    assert info.saved_input_example_info is not None
    unseen = rows.head(1).assign(island="Atlantis")
    assert model.predict(unseen)[0] in {"MALE", "FEMALE"}


def test_a_model_that_does_not_score_the_same_fails_the_step(
    store: Store, step: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = load_sklearn_model

    def load_damaged(uri: str) -> object:
        model = load(uri)
        model[-1].coef_ = model[-1].coef_ + 1e-6
        return model

    monkeypatch.setattr(logistic_regression, "load_sklearn_model", load_damaged)
    assert step(logistic_regression) == 1
    run = store.only("logistic_regression")
    assert run.info.status == "FAILED"
    assert "does not score as the one that was fitted" in run.data.tags["error"]
    assert capsys.readouterr().err == f"error: {run.data.tags['error']}\n"


def test_classes_that_are_numbers_stay_numbers_and_are_called_by_their_shortest_form(
    store: Store, step: Steps, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    passed = np.tile([0.0, 1.0, np.nan], 20)
    pd.DataFrame({"x": random.normal(size=60), "passed": passed}).to_csv(tmp_path / "exam.csv", index=False)
    assert step(logistic_regression, data="exam.csv", target="passed", features="x") == 0
    run = store.only("logistic_regression")
    assert mlflow.sklearn.load_model(store.model_uri(run)).classes_.tolist() == [0, 1]
    assert run.data.tags["positive_class"] == "1"
    assert set(pd.read_csv(store.artifact(run, "coefficients.csv"), dtype=str)["class"]) == {"1"}
    assert set(pd.read_csv(store.artifact(run, "conf_matrix.csv"), dtype=str)["true"]) == {"0", "1"}

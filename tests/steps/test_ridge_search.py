"""How heavy is it? The runs of the search, and its numbers against scikit-learn called plainly."""

import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import shuffle
from stores import SEED_ROWS, Steps, Store

NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
TEXTS = ["sex", "species", "island"]


def test_each_alpha_is_a_child_run_with_the_score_of_a_plain_cross_validation(
    store: Store, step: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(ridge_search, alphas="0.05,1,20,7,100,1000,3", cv=4, seed=3) == 0
    run = store.only("ridge_search")
    children = store.children(run)
    assert set(children) == {f"alpha={alpha}" for alpha in ("0.05", "1", "20", "7", "100", "1000", "3")}
    rows = shuffle(pd.read_csv(SEED_ROWS).dropna(), random_state=3)
    encoder = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), TEXTS))
    scores = {}
    for name, child in children.items():
        assert child.info.status == "FINISHED"
        alpha = float(child.data.params["alpha"])
        assert name == f"alpha={child.data.params['alpha']}"
        folds = cross_val_score(
            make_pipeline(encoder, Ridge(alpha)),
            rows[NUMBERS + TEXTS],
            rows["body_mass_g"],
            cv=KFold(4),
            scoring="neg_mean_squared_error",
        )
        scores[alpha] = folds.mean()
        assert child.data.metrics["mean_test_score"] == pytest.approx(folds.mean())
        assert child.data.metrics["cv_rmse"] == pytest.approx(np.sqrt(-folds.mean()))
        assert child.data.metrics["cv_rmse_std"] == pytest.approx(np.sqrt(-folds).std())
    assert run.info.status == "FINISHED"
    assert run.data.metrics["best_cv_score"] == pytest.approx(max(scores.values()))
    assert run.data.metrics["best_alpha"] == max(scores, key=lambda alpha: scores[alpha])
    assert run.data.metrics["best_cv_rmse"] == pytest.approx(np.sqrt(-max(scores.values())))
    printed, noise = capsys.readouterr()
    assert f"  best_cv_rmse: {run.data.metrics['best_cv_rmse']:.4g} (body_mass_g)\n" in printed
    assert noise == ""


def test_its_run_has_the_artifacts_parameters_and_model_of_the_interface(store: Store, step: Steps) -> None:
    assert step(ridge_search, alphas="0.1,1") == 0
    run = store.only("ridge_search")
    assert {"cv_results.csv", "alpha_curve.png", "coefficients.csv"} <= store.artifacts(run)
    # From autologging, beside the step's own; a clash between the two would have lost them all.
    assert run.data.params["scoring"] == "neg_mean_squared_error"
    assert run.data.params["cv"] == "5"
    assert run.data.params["alphas"] == "0.1,1"
    results = pd.read_csv(store.artifact(run, "cv_results.csv"))
    assert len(results) == 2
    assert results["cv_rmse"].tolist() == pytest.approx(np.sqrt(-results["mean_test_score"]).tolist())
    assert results["cv_rmse"].min() == pytest.approx(run.data.metrics["best_cv_rmse"])
    folds = np.sqrt(-results[[f"split{fold}_test_score" for fold in range(5)]].to_numpy())
    assert results["cv_rmse_std"].tolist() == pytest.approx(folds.std(axis=1).tolist())
    model = mlflow.pyfunc.load_model(store.model_uri(run))
    rows = pd.read_csv(SEED_ROWS).dropna()
    errors = model.predict(rows[NUMBERS + TEXTS]) - rows["body_mass_g"]
    assert float(np.sqrt((errors**2).mean())) < 300
    assert store.client.get_logged_model(run.outputs.model_outputs[0].model_id).name == "best_estimator"


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
def test_its_coefficients_make_its_predictions(store: Store, step: Steps, encoding: str) -> None:
    assert step(ridge_search, alphas="0.1,1", encoding=encoding) == 0
    run = store.only("ridge_search")
    table = pd.read_csv(store.artifact(run, "coefficients.csv"))
    assert list(table) == ["feature", "coefficient"]
    coefficients = table.set_index("feature")["coefficient"]
    rows = pd.read_csv(SEED_ROWS).dropna()
    values = {name: (rows[name] - rows[name].mean()) / rows[name].std(ddof=0) for name in NUMBERS}
    for name in TEXTS:
        if encoding == "onehot":
            values |= {f"{name}={value}": rows[name] == value for value in sorted(rows[name].unique())}
        else:
            values[name] = rows[name].rank(method="dense") - 1
    assert list(coefficients.index) == ["(intercept)", *values]
    expected = coefficients["(intercept)"] + sum(coefficients[name] * column for name, column in values.items())
    predicted = mlflow.pyfunc.load_model(store.model_uri(run)).predict(rows[NUMBERS + TEXTS])
    assert predicted.tolist() == pytest.approx(expected.tolist())


def test_autologging_is_off_again_afterwards(store: Store, step: Steps) -> None:
    assert step(ridge_search, alphas="1", cv=2) == 0
    before = len(store.runs())
    Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    assert len(store.runs()) == before

"""What the page shows of a classifier or a regression: its metrics, curves, confusion matrix and coefficients."""

from typing import Any

import numpy as np
import pandas as pd

from penguins.evaluation_tables import INTERCEPT
from penguins.report.numbers import cell, cells, coordinates
from penguins.report.runs import StepRun
from penguins.report.texts import page_text
from penguins.tracking.artifact_names import COEFFICIENTS, CONFUSION, CV_RESULTS, ROC

MOST_CURVES, MOST_CLASSES, MOST_COEFFICIENTS = 20, 30, 200
# The metrics of the table, with what they mean.
MEANINGS = {
    "eval_acc": "share of the held-out records that are predicted right",
    "train_acc": "the same for the records of the training",
    "baseline_acc": "what the most frequent class alone would reach on the held-out records",
    "precision": "share of the predicted ones that are right",
    "recall": "share of the true ones that are found",
    "f1": "harmonic mean of precision and recall",
    "auc_score": "area under the ROC curve: 0.5 is chance, 1 is perfect",
    "best_alpha": "strength of the penalty with the lowest error",
    "best_cv_rmse": "root mean squared error over the folds, in the unit of the target",
    "best_cv_score": "negative mean squared error, by which the search compares",
    "training_r2_score": "share of the variance that the model explains, on the records of the training",
}


def predictions_part(step: StepRun) -> dict[str, Any]:
    """Return what the page shows of the predictions of a step; parts that the run does not hold are None or empty."""
    metrics = [[name, cell(str(step.metrics[name])), meaning] for name, meaning in MEANINGS.items() if name in step.metrics]
    return {
        "metrics": metrics,
        "roc": _roc(step),
        "confusion": _confusion(step),
        "alphas": _alphas(step),
        "coefficients": _coefficients(step),
    }


def _roc(step: StepRun) -> dict[str, Any] | None:
    """Return the ROC curves; of many classes, those with the smallest areas."""
    table = step.csv(ROC)
    if table is None or table.empty:
        return None
    curves = dict(iter(table.groupby("class", sort=False)))
    shown = sorted(curves, key=lambda name: _area(curves[name]))[:MOST_CURVES] if len(curves) > MOST_CURVES else list(curves)
    drawn = [
        {
            "name": page_text(str(name)),
            "x": coordinates(curves[name]["false_positive_rate"].to_numpy(float)),
            "y": coordinates(curves[name]["true_positive_rate"].to_numpy(float)),
        }
        for name in shown
    ]
    remark = f", the {len(shown)} of {len(curves)} classes with the smallest areas" if len(shown) < len(curves) else ""
    return {"curves": drawn, "remark": remark}


def _area(curve: pd.DataFrame) -> float:
    x, y = curve["false_positive_rate"].to_numpy(float), curve["true_positive_rate"].to_numpy(float)
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum() / 2)


def _confusion(step: StepRun) -> dict[str, Any] | None:
    """Return the confusion matrix; of many classes, those with the most wrong records."""
    table = step.csv(CONFUSION)
    if table is None or table.empty:
        return None
    counts = table.astype({"n": int})
    wrong = counts[counts["true"] != counts["predicted"]]
    n_wrong = wrong.groupby("true")["n"].sum().add(wrong.groupby("predicted")["n"].sum(), fill_value=0)
    classes = list(dict.fromkeys([*counts["true"], *counts["predicted"]]))
    shown = sorted(classes, key=lambda name: -n_wrong.get(name, 0))[:MOST_CLASSES] if len(classes) > MOST_CLASSES else classes
    matrix = counts.pivot_table(index="true", columns="predicted", values="n", aggfunc="sum", fill_value=0)
    matrix = matrix.reindex(index=shown, columns=shown, fill_value=0).astype(int)
    remark = "" if len(shown) == len(classes) else f"{len(shown)} of {len(classes)} classes, those with the most wrong records."
    return {"classes": [page_text(name) for name in shown], "rows": matrix.to_numpy().tolist(), "remark": remark}


def _alphas(step: StepRun) -> dict[str, Any] | None:
    """Return the cross-validated error of each alpha, ascending."""
    table = step.csv(CV_RESULTS)
    if table is None or "cv_rmse" not in table:
        return None
    numbers = table.assign(alpha=table["param_estimator__alpha"]).astype(
        {"alpha": float, "cv_rmse": float, "cv_rmse_std": float}
    )
    numbers = numbers.sort_values("alpha").reset_index(drop=True)
    errors, spreads = numbers["cv_rmse"].to_numpy(), numbers["cv_rmse_std"].to_numpy()
    return {
        "x": cells(map(str, numbers["alpha"])),
        "y": coordinates(errors),
        "low": coordinates(errors - spreads),
        "high": coordinates(errors + spreads),
        "best": cell(str(numbers["alpha"][int(np.argmin(errors))])),
        "unit": page_text(step.tags.get("target") or step.parameters.get("target", "")),
    }


def _coefficients(step: StepRun) -> dict[str, Any] | None:
    """Return the coefficients with the largest absolute values, then the intercepts."""
    table = step.csv(COEFFICIENTS)
    if table is None or table.empty:
        return None
    is_intercept = table["feature"] == INTERCEPT
    sizes = table["coefficient"].astype(float).abs()[~is_intercept].sort_values(ascending=False, kind="stable")
    order = [*sizes.index[:MOST_COEFFICIENTS], *table.index[is_intercept][:MOST_COEFFICIENTS]]
    names = [name for name in ("class", "feature") if name in table and (name == "feature" or table[name].nunique() > 1)]
    lines = [
        [*[page_text(row[name]) for name in names], cell(row["coefficient"])] for row in table.loc[order].to_dict("records")
    ]
    unit = (
        "for a step of one unit of the table"
        if step.step.startswith("spark")
        else "for a step of one standard deviation of a number"
    )
    return {"rows": lines, "n_all": len(table), "columns": [*names, "coefficient"], "remark": f"They are {unit}."}

"""The types that a model of scikit-learn may bring when it is loaded with skops: scikit-learn's own, and a few by name.

skops builds only what is trusted by name, and a file can call whatever is trusted, with arguments of its own. Estimators and
their parts only store their arguments; functions may do anything, so that they are trusted one by one. Trust covers types,
not the numbers in them: a forged tree can read foreign memory or end the process that predicts with it.
"""

import json
from collections.abc import Iterable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from penguins.errors import WorkError
from penguins.text import one_line

# The parts of scikit-learn whose classes are trusted: those with estimators, and what these consist of. Others stay out:
# `callback` opens connections when it is loaded, `datasets` downloads, `experimental` changes the process.
# fmt: off
PARTS = {
    "_loss", "calibration", "cluster", "compose", "covariance", "cross_decomposition", "decomposition", "discriminant_analysis",
    "dummy", "ensemble", "feature_extraction", "feature_selection", "frozen", "gaussian_process", "impute", "isotonic",
    "kernel_approximation", "kernel_ridge", "linear_model", "manifold", "metrics", "mixture", "model_selection", "multiclass",
    "multioutput", "naive_bayes", "neighbors", "neural_network", "pipeline", "preprocessing", "random_projection",
    "semi_supervised", "svm", "tree",
}
# fmt: on
_SPARSE = [f"scipy.sparse._{form}.{form}_{kind}" for form in ("csr", "csc", "coo") for kind in ("matrix", "array")]
# What estimators need beyond these classes. Each only stores its arguments, or computes with the arrays that it gets.
HARMLESS = {
    *_SPARSE,  # fitted matrices of sparse data; skops reads them without pickle
    "scipy.interpolate._bsplines.BSpline",  # SplineTransformer: knots and coefficients
    "scipy._lib.array_api_compat.numpy._aliases.asarray",  # such a spline's numpy.asarray
    "numpy.dtype",  # SimpleImputer, KBinsDiscretizer: the type of their numbers
    "numpy.mean",  # FeatureAgglomeration: how it pools columns
    "numpy.median",
    "numpy.max",
    "numpy.min",
    "sklearn.utils._bunch.Bunch",  # stacking and voting: estimators by name
    "sklearn.utils._metadata_requests.MetadataRequest",  # which arguments of `fit` are passed on
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",  # BisectingKMeans: the iterations of k-means
    "sklearn.cluster._kmeans._kmeans_single_elkan",
    "sklearn.feature_selection._univariate_selection.chi2",  # SelectKBest and its like: scores of columns
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.feature_selection._univariate_selection.r_regression",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
}


def trusted_types(untrusted: Iterable[str]) -> list[str]:
    """Return those of the names in `untrusted` that are classes of scikit-learn or known to be harmless."""
    return [name for name in untrusted if name in HARMLESS or is_sklearn_class(name) or name in _metrics()]


def trusted_types_in_file(path: Path) -> list[str]:
    """Return the types that the skops file at `path` needs and that may be trusted: none if it holds a method."""
    import skops.io

    return [] if has_methods(path) else trusted_types(skops.io.get_untrusted_types(file=path))


def load_trusted(stored: bytes) -> Any:
    """Load what skops has stored, by types that are trusted.

    Raises UntrustedTypesFoundException where it needs others, and ValueError, TypeError or BadZipFile where it is no such file.
    """
    import skops.io

    trusted = [] if has_methods(BytesIO(stored)) else trusted_types(skops.io.get_untrusted_types(data=stored))
    return skops.io.loads(stored, trusted=trusted)


def trusted_types_of_model(model: Any) -> list[str]:
    """Return the types beyond those of skops that the fitted `model` needs.

    Raises WorkError if skops cannot store the model, or if it needs a type that is not trusted.
    """
    import skops.io

    try:
        stored = skops.io.dumps(model)
        untrusted = skops.io.get_untrusted_types(data=stored)
    except Exception as error:  # skops calls methods of the model's own classes, which may raise anything
        raise not_storable(model, f"{type(error).__name__}: {error}") from error
    trusted = trusted_types(untrusted)
    refused = sorted(set(untrusted) - set(trusted))
    if refused:
        verb = "which is not a type" if len(refused) == 1 else "which are not types"
        raise not_storable(model, f"it holds {', '.join(refused)}, {verb} of scikit-learn")
    if has_methods(BytesIO(stored)):
        raise not_storable(model, "it holds a method of an object")
    return trusted


def has_methods(file: Path | BytesIO) -> bool:
    """Tell whether a skops file holds a method of an object, which no estimator needs.

    Once a class is trusted, versions of skops before 0.12 build any attribute of any object, and some attributes run code.
    """
    loaders: set[str] = set()
    with ZipFile(file) as stored:
        json.loads(stored.read("schema.json"), object_hook=lambda node: loaders.add(str(node.get("__loader__"))))
    return not loaders.isdisjoint({"MethodNode", "OperatorFuncNode"})


def not_storable(model: Any, reason: object) -> WorkError:
    """Return the error for a model that cannot be stored, in one line."""
    return WorkError(f"The {type(model).__name__} cannot be stored with skops: {one_line(reason)[:300].removesuffix('.')}.")


def is_sklearn_class(name: str) -> bool:
    """Tell whether `name` is the full name of a class that a module of scikit-learn defines.

    Only modules in `PARTS` are imported, and none of their tests. A class, function or module that such a module only imports
    has another full name, and is refused.
    """
    module, _, attribute = name.rpartition(".")
    root, part, *rest = [*module.split("."), ""]
    if root != "sklearn" or part not in PARTS or "tests" in rest or not module.replace(".", "_").isidentifier():
        return False
    try:
        found = vars(import_module(module)).get(attribute)
    except ImportError:
        return False
    return isinstance(found, type) and f"{found.__module__}.{found.__qualname__}" == name


def _metrics() -> set[str]:
    """Return the full names of the functions behind scikit-learn's named scores, which a search keeps for `scoring`."""
    from sklearn.metrics import get_scorer, get_scorer_names

    functions = [get_scorer(name)._score_func for name in get_scorer_names()]
    return {f"{function.__module__}.{function.__name__}" for function in functions}

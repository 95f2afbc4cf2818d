"""Every estimator of scikit-learn survives skops with the types that are trusted by name, and no other name is trusted."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration
from sklearn.decomposition import SparseCoder
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - adds them to the list
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.feature_selection import SelectKBest, mutual_info_regression
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, RationalQuadratic, WhiteKernel
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, RepeatedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances
from skops.io.exceptions import UntrustedTypesFoundException

from penguins.errors import WorkError
from penguins.tracking.sklearn_types import trusted_types, trusted_types_in_file, trusted_types_of_model

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.1, 2, size=(40, 4))
Y = (X[:, 0] + X[:, 1] > 2.1).astype(int)
GAPS = np.where(RANDOM.uniform(size=X.shape) < 0.1, np.nan, X)
TEXTS = ["a gentoo and a chinstrap", "a gentoo", "two chinstraps"]
# What `fit` takes where it is not the table X with the classes Y.
TABLES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"], (TEXTS,)),
    **dict.fromkeys(["LabelBinarizer", "LabelEncoder"], (Y,)),
    **dict.fromkeys(["ClassifierChain", "MultiOutputClassifier"], (X, np.c_[Y, 1 - Y])),
    **dict.fromkeys(["RegressorChain", "MultiOutputRegressor"], (X, X[:, :2])),
    **dict.fromkeys(["MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV"], (X, X[:, :2])),
    **dict.fromkeys(["IterativeImputer", "KNNImputer", "MissingIndicator", "SimpleImputer"], (GAPS, Y)),
    "DictVectorizer": ([{"island": "Dream", "bill": 1.0}, {"island": "Biscoe"}],),
    "FeatureHasher": ([{"island": "Dream", "bill": 1.0}, {"island": "Biscoe"}],),
    **dict.fromkeys(["GammaRegressor", "RadiusNeighborsRegressor"], (X, X[:, 0])),
    "IsotonicRegression": (X[:, 0], X[:, 1]),
    "KernelCenterer": (X @ X.T,),
    "MultiLabelBinarizer": ([["Dream", "Biscoe"], ["Dream"]],),
    "PatchExtractor": (X.reshape(5, 8, 4),),
}
BY_HAND = {
    "FrozenEstimator": FrozenEstimator(Ridge().fit(X, Y)),
    "PatchExtractor": PatchExtractor(patch_size=(2, 2)),
    "SparseCoder": SparseCoder(np.eye(4)),
}
NAMES = [name for name, _ in all_estimators()]
NOT_STORABLE = {"Birch": "skops refuses it, because its tree of clusters is cyclic"}
METHODS = ["predict", "predict_proba", "transform", "kneighbors", "score_samples"]
FITTED = ["labels_", "embedding_", "rows_", "covariance_", "negative_outlier_factor_", "ordering_", "x_scores_"]


def build(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        estimator = BY_HAND.get(name) or next(_construct_instances(dict(all_estimators())[name]))
    seeded = {"random_state": 0} if "random_state" in estimator.get_params() else {}
    estimator.set_params(**seeded)
    return estimator


def fitted(estimator: Any, *table: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows: some do not converge, others say that a matrix is singular
        return estimator.fit(*table)


def stored(model: Any) -> Any:
    """Return the copy of `model` that skops loads with the types that are trusted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*deprecated")
        return skops.io.loads(skops.io.dumps(model), trusted=trusted_types_of_model(model))


def results(model: Any, table: Any) -> dict[str, Any]:
    """Return what `model` makes of `table`, and what it has learned from it."""
    found = {name: getattr(model, name)(table) for name in METHODS if hasattr(model, name)}
    return found | {name: getattr(model, name) for name in FITTED if hasattr(model, name)}


def assert_same_results(model: Any, copy: Any, table: Any) -> None:
    before, after = results(model, table), results(copy, table)
    assert before.keys() == after.keys()
    assert before
    for name, value in before.items():
        old, new = (each.toarray() if sparse.issparse(each) else each for each in (value, after[name]))
        if np.asarray(old).dtype.kind == "f":
            np.testing.assert_allclose(new, old, rtol=1e-9)  # sums of other memory may be rounded differently
        else:
            np.testing.assert_array_equal(new, old)


def test_the_estimators_of_scikit_learn_are_found() -> None:
    assert len(NAMES) > 190
    assert {"RandomForestClassifier", "GradientBoostingRegressor", *BY_HAND, *NOT_STORABLE, *TABLES} - set(NAMES) == set()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_STORABLE])
def test_an_estimator_gives_the_same_results_after_skops(name: str) -> None:
    table = TABLES.get(name, (X, Y))
    model = fitted(build(name), *table)
    assert_same_results(model, stored(model), table[0])


@pytest.mark.parametrize(
    "model",
    [
        BisectingKMeans(2, algorithm="elkan"),
        FeatureAgglomeration(pooling_func=np.median),
        GaussianProcessRegressor(2.0 * Matern() + WhiteKernel() * RationalQuadratic()),
        GradientBoostingRegressor(loss="huber", n_estimators=2),
        GridSearchCV(Ridge(), {"alpha": [1, 2]}, scoring="r2", cv=RepeatedKFold(n_splits=2, n_repeats=1)),
        HistGradientBoostingRegressor(loss="quantile", quantile=0.5, max_iter=2),
        KNeighborsClassifier(algorithm="ball_tree", metric="seuclidean", metric_params={"V": X.var(axis=0)}),
        SGDClassifier(loss="modified_huber"),
        SelectKBest(mutual_info_regression, k=2),
        make_pipeline(SplineTransformer(), FunctionTransformer(np.log1p), DecisionTreeClassifier(random_state=0)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_options_bring_no_type_that_is_refused(model: Any) -> None:
    assert_same_results(fitted(model, X, Y), stored(model), X)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array])
def test_a_model_of_a_sparse_table_is_stored(form: Any) -> None:
    if form is sparse.csr_array and tuple(map(int, skops.__version__.split(".")[:2])) < (0, 14):
        pytest.skip("this skops stores no sparse arrays")
    model = fitted(SVC(), form(X), Y)
    assert stored(model).predict(form(X)).tolist() == model.predict(form(X)).tolist()


class Halved(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that is not scikit-learn's."""

    def fit(self, _rows: Any, _target: Any = None) -> "Halved":
        self.factor_ = 0.5
        return self

    def transform(self, rows: Any) -> Any:
        return rows * self.factor_


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            make_pipeline(Halved(), Ridge()),
            r"The Pipeline cannot .*: it holds \S+\.Halved, which is not a type of scikit-learn\.",
        ),
        (FunctionTransformer(lambda rows: rows), r"it holds \S+<lambda>, which is not a type of scikit-learn\."),
        (
            make_pipeline(Halved(), FunctionTransformer(json.dumps)),
            r"json.dumps, .*Halved, which are not types of scikit-learn\.",
        ),
        (FunctionTransformer(StandardScaler().fit(X).transform), r"it holds sklearn\.preprocessing\._data\.\S+, which is not"),
        (Birch(), r"The Birch cannot be stored with skops: UnsupportedTypeException: .*Birch are not supported yet\.$"),
    ],
)
def test_a_model_that_cannot_be_stored_is_refused_in_one_line(model: Any, message: str) -> None:
    with pytest.raises(WorkError, match=message) as refusal:
        trusted_types_of_model(fitted(model, X, Y))
    assert "\n" not in str(refusal.value)


def write_skops(path: Path, node: dict[str, Any]) -> Path:
    """Write a skops file that holds `node` alone."""
    with ZipFile(path, "w") as file:
        file.writestr("schema.json", json.dumps({"protocol": 1, "__id__": 1, **node}))
    return path


FORGED = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.getattr",
    "subprocess.Popen",
    "functools.partial",
    "operator.methodcaller",
    "scipy.stats._distn_infrastructure.rv_continuous_frozen",  # its state is run as code
    "sklearn.utils._testing.assert_run_python_script_without_output",  # functions of scikit-learn
    "sklearn.tree._export.export_graphviz",
    "sklearn.datasets._base.load_files",
    "sklearn.neighbors._kd_tree.newObj",
    "sklearn.utils._testing.TempMemmap",  # classes of other parts
    "sklearn.callback._scoring_monitor.ScoringMonitor",
    "sklearn.utils.parallel.Parallel",
    "sklearn.utils.fixes.os.system",  # what a module only imports
    "sklearn.tree._classes.np",
    "sklearn.ensemble._forest.Parallel",
    "sklearn.tree.DecisionTreeClassifier",
    "sklearn.tree._classes.DecisionTreeClassifier.fit",
    "sklearn.tree.tests.test_tree.DecisionTreeClassifier",
    "sklearn.tree..os.system",
    "sklearn.tree/../../os.system",
    "sklearn.tree.missing.Class",
    "sklearn.tree.",
    "sklearn_evil.tree.Class",
    "sklearn.conftest.Class",
]


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("loader", ["FunctionNode", "TypeNode", "ObjectNode", "ListNode"])
def test_a_forged_name_is_not_trusted(tmp_path: Path, name: str, loader: str) -> None:
    module, _, attribute = name.rpartition(".")
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": '"true"', "is_json": True}
    content = [text] if loader == "ListNode" else text
    node = {"__class__": attribute, "__module__": module, "__loader__": loader, "content": content}
    path = write_skops(tmp_path / "model.skops", node)
    assert skops.io.get_untrusted_types(file=path) == [name]
    trusted = trusted_types_in_file(path)
    assert trusted == []
    with pytest.raises(UntrustedTypesFoundException):
        skops.io.load(path, trusted=trusted)


def test_a_method_of_a_trusted_class_is_not_trusted(tmp_path: Path) -> None:
    tree = {"__class__": "DecisionTreeClassifier", "__module__": "sklearn.tree._classes"}
    content = {"obj": {**tree, "__loader__": "ObjectNode"}, "func": "fit"}
    path = write_skops(tmp_path / "model.skops", {**tree, "__loader__": "MethodNode", "content": content})
    assert trusted_types_in_file(path) == []
    with pytest.raises(UntrustedTypesFoundException, match="DecisionTreeClassifier"):
        skops.io.load(path, trusted=trusted_types_in_file(path))


def test_a_module_outside_the_trusted_parts_is_not_even_imported() -> None:
    assert trusted_types(["this.Zen", "sklearn.conftest.Class", "sklearn.tree.tests.test_tree.Class"]) == []
    assert not {"this", "sklearn.conftest", "sklearn.tree.tests.test_tree"} & set(sys.modules)

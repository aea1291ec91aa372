"""Models that m2cgen writes out as C expressions: linear, and one decision tree.

m2cgen writes double. Nobody would leave it so on a core without a double-precision unit, so the
text is turned to float. Its kernel machines are not here: they need exp and a term a support vector
in straight-line code, hundreds of kilobytes for these tasks.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import Rows, classes_from_scores, fitted, identifier
from qdeploy.benchmark.peers_mcu.generated import SILENCED, STRING_HEADER, lacking
from qdeploy.data.dataset import Task

NOTE = (
    "scikit-learn {kind}, written as C by m2cgen {version} with double turned to float, in "
    "single precision, on cores without a unit for it by the compiler's helpers. {inputs} float32 "
    "features come from the caller and float32 {outputs} go back."
)

_LITERAL = re.compile(r"\b\d+(?:\.\d+)?[eE][+-]?\d+|\b\d+\.\d+")


@dataclass(frozen=True)
class _Model:
    """One kind of estimator.

    Attributes:
        kinds: what it is called for each task.
        standardized: whether it is trained on standardised features, or on raw ones.
        make: an unfitted estimator of a task and a seed.
    """

    kinds: dict[Task, str]
    standardized: bool
    make: Callable[[Task, int], Any]


def _linear(task: Task, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return Ridge() if task == "regress" else LogisticRegression(max_iter=2000, random_state=seed)


def _tree(task: Task, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if task == "regress":
        return DecisionTreeRegressor(min_samples_leaf=20, random_state=seed)
    return DecisionTreeClassifier(min_samples_leaf=5, random_state=seed)


class _M2cgenPeer(McuPeer):
    """One of the models.

    Args:
        name: `implementation` of its figures.
        model: which one.
    """

    def __init__(self, name: str, model: _Model) -> None:
        self.name = name
        self._model = model

    def obstacle(self, context: Context) -> str | None:
        """Also needs m2cgen, whose models give one number."""
        if context.train is not None and context.train.target.ndim > 1:
            return "m2cgen's regressions have one output"
        return lacking("m2cgen") or super().obstacle(context)

    def prepare(self, context: Context) -> McuSubject:
        import m2cgen

        rows = Rows.of(context)
        task = rows.train.task

        def encode(features: NDArray[np.float64]) -> NDArray[np.float32]:
            if self._model.standardized:
                return rows.standardize(features)
            return np.asarray(features).astype(np.float32)

        estimator = self._model.make(task, context.seed)
        fit = fitted(estimator, encode(rows.train.features), rows.target)
        code = _single(m2cgen.export_to_c(fit))
        outputs = len(fit.classes_) if rows.classify else 1
        if "static float score(" in code:
            outputs = 1
        call = "scores[0] = score((float *)x)" if outputs == 1 else "score((float *)x, scores)"
        name = identifier(self.name)
        entry = f"void {name}_scores(const float *x, float *scores)"
        decode = classes_from_scores(fit.classes_) if rows.classify else rows.decode_numbers

        def reference(features: NDArray[np.float64]) -> NDArray[Any]:
            predictions = fit.predict(encode(features))
            return predictions if rows.classify else rows.decode_numbers(predictions)

        return McuSubject(
            name=self.name,
            title=f"m2cgen, {self._model.kinds[task]}",
            note=NOTE.format(
                kind=self._model.kinds[task],
                version=_version(),
                inputs="Standardised" if self._model.standardized else "Raw",
                outputs="scores" if rows.classify else "numbers",
            ),
            entry=f"{name}_scores",
            input_dtype=np.dtype(np.float32),
            output_dtype=np.dtype(np.float32),
            inputs=fit.n_features_in_,
            outputs=outputs,
            encode=encode,
            decode=decode,
            reference=reference,
            sources={
                f"{name}.c": f"{SILENCED}{code}\n{entry};\n\n{entry}\n{{\n    {call};\n}}\n",
                **STRING_HEADER,
            },
        )


def _single(code: str) -> str:
    """The C in single precision, its function private to the file."""
    code = _LITERAL.sub(lambda match: f"{match.group()}f", code.replace("double", "float"))
    return re.sub(r"^(?=(?:float|void) score\()", "static ", code, flags=re.MULTILINE)


def _version() -> str:
    from importlib.metadata import version

    return version("m2cgen")


for _name, _model in {
    "m2cgen-linear": _Model(
        {"classify": "logistic regression", "regress": "ridge regression"}, True, _linear
    ),
    "m2cgen-tree": _Model(
        {"classify": "decision tree", "regress": "regression tree"}, False, _tree
    ),
}.items():
    MCU_PEERS.register(_name)(_M2cgenPeer(_name, _model))

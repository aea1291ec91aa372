"""A random forest as emlearn's inline C: comparisons of int16 features, hard votes.

The C and its meaning are the emlearn wheel's own. It cuts thresholds to integers, so the reference
walks the nodes that it wrote out, not scikit-learn's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import Rows, fitted, identifier
from qdeploy.benchmark.peers_mcu.generated import SILENCED, import_emlearn, lacking

UNITS = 1024
"""int16 units for one standard deviation: the range is then ±32 of them."""

NOTE = (
    "scikit-learn random forest of {trees} trees, {fewest} rows a leaf or more, trained on "
    "standardised features in int16 (1/1024 standard deviations), converted by emlearn {version} "
    "to inline C with {leaves}. Int16 features come from the caller and {output} goes back."
)


class _TreesPeer(McuPeer):
    """A number of trees.

    Args:
        name: `implementation` of its figures.
        trees: how many.
    """

    def __init__(self, name: str, trees: int) -> None:
        self.name = name
        self._trees = trees

    def obstacle(self, context: Context) -> str | None:
        """Also needs emlearn, whose forests give one number."""
        if context.train is not None and context.train.target.ndim > 1:
            return "emlearn's forests have one output"
        return lacking("emlearn") or super().obstacle(context)

    def prepare(self, context: Context) -> McuSubject:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        emlearn = import_emlearn()
        rows = Rows.of(context)

        def encode(features: NDArray[np.float64]) -> NDArray[np.int16]:
            units = np.rint(rows.standardize(features) * UNITS)
            return np.clip(units, -(2**15), 2**15 - 1).astype(np.int16)

        kind = RandomForestClassifier if rows.classify else RandomForestRegressor
        fewest = 2 if rows.classify else 5
        estimator = kind(self._trees, min_samples_leaf=fewest, random_state=context.seed)
        model = fitted(estimator, encode(rows.train.features), rows.train.target)
        converted = emlearn.convert(model, method="inline", dtype="int16_t")
        name = identifier(self.name)
        result = np.dtype(np.int32 if rows.classify else np.float32)
        ctype = "int32_t" if rows.classify else "float"
        inputs = model.n_features_in_
        source = (
            f"{SILENCED}{converted.save(name=name)}\n"
            f"void {name}_scores(const int16_t *x, {ctype} *scores);\n\n"
            f"void {name}_scores(const int16_t *x, {ctype} *scores)\n"
            f"{{\n    scores[0] = {name}_predict(x, {inputs});\n}}\n"
        )

        def decode(scores: NDArray[Any]) -> NDArray[Any]:
            return model.classes_[scores[:, 0]] if rows.classify else scores[:, 0].astype(float)

        def expected(x: NDArray[np.int16]) -> NDArray[Any]:
            leaves = _leaves(converted.forest_, x)
            return _majority(leaves) if rows.classify else _mean(leaves)

        return McuSubject(
            name=self.name,
            title=f"emlearn, {self._trees} trees",
            note=NOTE.format(
                trees=self._trees,
                fewest=fewest,
                version=emlearn.__version__,
                leaves="majority votes" if rows.classify else "float leaves",
                output="the number of the class" if rows.classify else "a float",
            ),
            entry=f"{name}_scores",
            input_dtype=np.dtype(np.int16),
            output_dtype=result,
            inputs=inputs,
            outputs=1,
            encode=encode,
            decode=decode,
            reference=lambda features: decode(expected(encode(features))),
            sources={f"{name}.c": source},
            expected=expected,
        )


def _leaves(forest: Any, x: NDArray[np.int16]) -> NDArray[Any]:
    """What each tree says of each row, (n, trees).

    Args:
        forest: emlearn's nodes (feature, threshold, left, right; a negative child is a leaf),
            roots and leaves.
        x: int16 (n, d).
    """
    nodes, roots, leaves = forest
    features, thresholds, left, right = (np.array([int(n[i]) for n in nodes]) for i in range(4))
    found = np.empty((len(x), len(roots)), dtype=np.int64)
    for tree, root in enumerate(roots):
        at = np.full(len(x), root)
        while (inner := at >= 0).any():
            node, rows = at[inner], np.flatnonzero(inner)
            below = x[rows, features[node]] < thresholds[node]
            at[inner] = np.where(below, left[node], right[node])
        found[:, tree] = -at - 1
    return np.asarray(leaves)[found]


def _majority(votes: NDArray[Any]) -> NDArray[np.int32]:
    """The class (n, 1) with most votes, the first of equals."""
    classes = np.arange(votes.max() + 1)
    counts = (votes[:, :, None] == classes).sum(axis=1)
    return counts.argmax(axis=1).astype(np.int32)[:, None]


def _mean(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean (n, 1) in the order and precision of the C, whose leaves have six decimals."""
    leaves = np.round(values, 6).astype(np.float32)
    total = np.zeros(len(values), dtype=np.float32)
    for tree in range(values.shape[1]):
        total += leaves[:, tree]
    return (total / np.float32(values.shape[1]))[:, None]


for _name, _trees in (("emlearn-trees-3", 3), ("emlearn-trees", 10), ("emlearn-trees-30", 30)):
    MCU_PEERS.register(_name)(_TreesPeer(_name, _trees))

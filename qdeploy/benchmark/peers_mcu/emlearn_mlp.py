"""A float MLP in the C of emlearn, by its "loadable" method.

The wheel's fixed-point networks are not finished and its inline method cannot write this network
(both seen in 0.23.2). The last activation is left out: the largest score stays the largest.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import Rows, classes_from_scores, fitted
from qdeploy.benchmark.peers_mcu.generated import MATH_SOURCES, SILENCED, import_emlearn, lacking
from qdeploy.benchmark.peers_mcu.mlp_training import WIDTH, best_decay, estimator

HEADERS = ("eml_common.h", "eml_log.h", "eml_net.h", "eml_net_common.h")

NOTE = (
    "scikit-learn MLP, one hidden layer of {width} rectified units, weight decay {decay:g} by "
    "cross-validation, written as C by emlearn {version} (loadable), in single precision, on "
    "cores without a unit for it by the compiler's helpers. Standardised float32 features "
    "come from the caller and float32 scores go back."
)

ENTRY = """
void emlearn_mlp_scores(const float *x, float *scores);

void emlearn_mlp_scores(const float *x, float *scores)
{{
    net_regress(x, {inputs}, scores, {outputs});
}}
"""


class _EmlearnMlp(McuPeer):
    """The same network as the int8 MLP of 32 units, in float."""

    name = "emlearn-mlp"

    def obstacle(self, context: Context) -> str | None:
        """Also needs emlearn."""
        return lacking("emlearn") or super().obstacle(context)

    def prepare(self, context: Context) -> McuSubject:
        emlearn = import_emlearn()
        rows = Rows.of(context)
        decay = best_decay(context)
        inputs = rows.standardize(rows.train.features)
        model = fitted(estimator(context, WIDTH, decay), inputs, rows.target)
        layers = (["relu", "identity"], model.coefs_, model.intercepts_)
        code = emlearn.net.c_generate_net_loadable(*layers, prefix="net")
        count, outputs = model.coefs_[0].shape[0], model.coefs_[1].shape[1]
        folder = Path(emlearn.includedir)
        decode = classes_from_scores(model.classes_) if rows.classify else rows.decode_numbers

        def reference(features: NDArray[np.float64]) -> NDArray[Any]:
            hidden = np.maximum(
                rows.standardize(features) @ model.coefs_[0] + model.intercepts_[0], 0
            )
            return decode(hidden @ model.coefs_[1] + model.intercepts_[1])

        return McuSubject(
            name=self.name,
            title=f"emlearn, float MLP, {WIDTH} hidden units",
            note=NOTE.format(width=WIDTH, decay=decay, version=emlearn.__version__),
            entry="emlearn_mlp_scores",
            input_dtype=np.dtype(np.float32),
            output_dtype=np.dtype(np.float32),
            inputs=count,
            outputs=outputs,
            encode=rows.standardize,
            decode=decode,
            reference=reference,
            sources={
                "emlearn_mlp.c": SILENCED + code + ENTRY.format(inputs=count, outputs=outputs),
                **{name: (folder / name).read_text(encoding="utf-8") for name in HEADERS},
                # Logging is off, so nothing of these is used.
                "stdio.h": "",
                "stdlib.h": "",
                **MATH_SOURCES,
            },
        )


MCU_PEERS.register(_EmlearnMlp.name)(_EmlearnMlp())

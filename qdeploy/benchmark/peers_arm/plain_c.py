"""The model in plain C: the matrix form in simple loops, for the compiler to make vectors of."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_arm import ARM_PEERS, ArmSubject, CompiledPeer
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.remote import Place

PREFIX = "plain_c"

NOTE = (
    "the matrix form of the model in plain C: two int8 matrix products, their product, the "
    "readout; sums in the narrowest integers that cannot overflow; vectors are the compiler's. "
    "Batches are a loop over rows. Int8 inputs come from the caller and integer scores go back."
)

QUADRATIC = """\
static void layer_{n}(const {x} *restrict x, {product}_t *restrict y)
{{
    for (int j = 0; j < {rows}; j++) {{
        const int8_t *u = left_{n} + j * {columns}, *v = right_{n} + j * {columns};
        {dot}_t p = left_bias_{n}[j], q = right_bias_{n}[j];
        for (int i = 0; i < {columns}; i++) {{
            p += ({dot}_t)u[i] * x[i];
            q += ({dot}_t)v[i] * x[i];
        }}
        y[j] = ({product}_t)p * q;
    }}
}}
"""

READOUT = """\
static void layer_{n}(const {x} *restrict x, {sum}_t *restrict y)
{{
    for (int k = 0; k < {rows}; k++) {{
        {sum}_t total = bias_{n}[k];
        for (int j = 0; j < {columns}; j++) {{
            total += ({sum}_t)weights_{n}[k * {columns} + j] * x[j];
        }}
        y[k] = total;
    }}
}}
"""

ENTRIES = """\
int {prefix}_predict(const int8_t *x, {score}_t *scores);
int {prefix}_predict_batch(const int8_t *x, size_t rows, {score}_t *scores);

int {prefix}_predict(const int8_t *x, {score}_t *scores)
{{
{calls}
    return 0;
}}

int {prefix}_predict_batch(const int8_t *x, size_t rows, {score}_t *scores)
{{
    for (size_t i = 0; i < rows; i++) {{
        {prefix}_predict(x + i * {inputs}, scores + i * {outputs});
    }}
    return 0;
}}
"""


class _PlainC(CompiledPeer):
    """What a good C programmer writes first."""

    name = "plain-c"

    def obstacle(self, context: Context, place: "Place | None") -> str | None:
        """None: it learns nothing."""
        return None

    def prepare(
        self, context: Context, core: ArmCore, batches: Sequence[int], folder: Path
    ) -> ArmSubject:
        model, network = context.model, context.model.network
        return ArmSubject(
            name=self.name,
            title="plain C, matrix form",
            note=NOTE,
            entry=f"{PREFIX}_predict",
            prefix=PREFIX,
            input_dtype=np.dtype(np.int8),
            output_dtype=np.dtype(network.score_dtype),
            inputs=network.inputs,
            outputs=network.outputs,
            encode=model.quantize,
            decode=model.interpret,
            reference=model.predict,
            sources={f"{PREFIX}.c": _source(network)},
            expected=network.forward,
        )


def _source(network: QuantizedNetwork) -> str:
    parts = ["#include <stddef.h>\n#include <stdint.h>\n"]
    calls, values, kind = [], "x", "int8_t"
    for n, (layer, widths) in enumerate(zip(network.layers, network.accumulators, strict=True)):
        last = n == len(network.layers) - 1
        shape = {"n": n, "x": kind, "rows": layer.width, "columns": layer.inputs}
        if isinstance(layer, QuadraticLayer):
            parts += [
                _array(f"left_{n}", layer.left),
                _array(f"right_{n}", layer.right),
                _array(f"left_bias_{n}", layer.left_bias),
                _array(f"right_bias_{n}", layer.right_bias),
                QUADRATIC.format(**shape, dot=widths["dot"], product=widths["product"]),
            ]
            kind = f"{widths['product']}_t"
        else:
            parts += [
                _array(f"weights_{n}", _narrow(layer)),
                _array(f"bias_{n}", layer.bias),
                READOUT.format(**shape, sum=widths["sum"]),
            ]
            kind = f"{widths['sum']}_t"
        target = "scores" if last else f"y{n}"
        if not last:
            calls.append(f"    {kind} y{n}[{layer.width}];")
        calls.append(f"    layer_{n}({values}, {target});")
        values = target
    entries = ENTRIES.format(
        prefix=PREFIX,
        score=network.score_dtype,
        calls="\n".join(calls),
        inputs=network.inputs,
        outputs=network.outputs,
    )
    return "\n".join([*parts, entries])


def _narrow(layer: ReadoutLayer) -> NDArray[np.integer]:
    """Readout weights (K, m) in the narrowest integers."""
    return layer.weights.T.astype(f"int{layer.weight_bits}")


def _array(name: str, values: NDArray[Any]) -> str:
    numbers = [str(value) for value in values.ravel().tolist()]
    if values.dtype == np.int64:
        # The smallest number has no literal of its own.
        numbers = [f"INT64_C({n})" if int(n) > -(2**63) else "INT64_MIN" for n in numbers]
    elif values.dtype == np.int32:
        numbers = [n if int(n) > -(2**31) else "INT32_MIN" for n in numbers]
    lines = [", ".join(numbers[i : i + 20]) for i in range(0, len(numbers), 20)]
    text = ",\n    ".join(lines)
    return f"static const {values.dtype.name}_t {name}[] = {{\n    {text}}};\n"


ARM_PEERS.register(_PlainC.name)(_PlainC())

"""The float front: raw features to int8 inputs, on the device, with the bits of the quantiser.

q = saturate(rint((f - offset) / scale) + zero point) in single precision. Adding 1.5·2^23 rounds
half to even, as rint does, wherever |value| < 2^22; larger values saturate anyway.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as ops

from qdeploy.compiler import tir
from qdeploy.compiler.c_source import Symbols, array_source, made_static
from qdeploy.compiler.lowering import lower_to_c
from qdeploy.compiler.mcu.readout import narrowest
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Model

__all__ = ["FloatFront", "float_front"]

_ROUNDING = 1.5 * 2**23
_LIMIT = 1024.0
"""Beyond the int8 range whatever the zero point is."""


@dataclass(frozen=True, eq=False)
class FloatFront:
    """The quantiser of a model as C.

    Attributes:
        quantizer: its meaning.
    """

    quantizer: InputQuantizer

    @property
    def features(self) -> int:
        """Raw features of a sample."""
        return len(self.quantizer.feature_names)

    def c_source(self, symbols: Symbols) -> str:
        """Constants, and the function as TVM's C generator prints it."""
        symbol = f"{symbols.name}_quantize"
        text = lower_to_c({symbol: self._function(symbol)}).replace("#include <stdint.h>\n", "")
        for name in ("features", "kept", "offset", "scale"):
            text = re.sub(rf"(?<=[(, ])(\w+\* {name})(?=[,)])", r"const \1", text, count=1)
        quantizer = self.quantizer
        return "\n".join(
            [
                array_source("quantizer_kept", self._kept),
                _float_array("quantizer_offset", quantizer.offset),
                _float_array("quantizer_scale", quantizer.scale),
                made_static(text, symbol),
            ]
        )

    @property
    def _kept(self) -> NDArray[np.integer]:
        return narrowest(self.quantizer.kept, signed=False)

    def _function(self, symbol: str) -> Any:
        """TVM function (features, kept, offset, scale, quantized)."""
        count, kept = len(self._kept), self._kept
        with IRBuilder() as builder, ops.prim_func(s_tir=True):
            ops.func_name(symbol)
            ops.func_attr({"tirx.noalias": True, "global_symbol": symbol})
            features = ops.arg("features", ops.buffer((self.features,), "float32"))
            places = ops.arg("kept", ops.buffer((count,), str(kept.dtype)))
            offset = ops.arg("offset", ops.buffer((count,), "float32"))
            scale = ops.arg("scale", ops.buffer((count,), "float32"))
            quantized = ops.arg("quantized", ops.buffer((count,), "int8"))
            with tir.loop(count) as index:
                value = features[places[index].astype("int32")] - offset[index]
                steps = tir.bind(value / scale[index])
                limited = tirx.max(
                    tirx.min(steps, tirx.const(_LIMIT, "float32")), tirx.const(-_LIMIT, "float32")
                )
                shifted = tir.Accumulator("float32", 1)
                shifted.set(limited + tirx.const(_ROUNDING, "float32"))
                rounded = tir.bind(
                    (shifted.value - tirx.const(_ROUNDING, "float32")).astype("int32")
                )
                moved = rounded + tirx.const(int(self.quantizer.zero_point), "int32")
                saturated = tirx.max(
                    tirx.min(moved, tirx.const(127, "int32")), tirx.const(-128, "int32")
                )
                tir.store(quantized, saturated.astype("int8"), index, 1)
        return builder.get()

    def public_source(self, symbols: Symbols) -> str:
        """The public function: checks, quantises, predicts."""
        name, macro = symbols.name, symbols.macro
        return (
            f"static int8_t {name}_quantized[{macro}_INPUTS];\n\n"
            f"int {name}_predict_features(const float *x, {symbols.score_type} *scores)\n{{\n"
            "    int i;\n"
            "    if (!x || !scores)\n        return -1;\n"
            f"    for (i = 0; i < {macro}_FEATURES; i++)\n"
            "        if (!(x[i] - x[i] == 0.0f)) /* infinite, or not a number */\n"
            "            return -1;\n"
            f"    {name}_quantize(x, quantizer_kept, quantizer_offset, quantizer_scale,\n"
            f"        {name}_quantized);\n"
            f"    return {symbols.predict}({name}_quantized, scores);\n}}\n"
        )


def float_front(model: Model) -> FloatFront:
    """The float front of a model.

    Raises:
        QDeployError: the model has no quantiser.
    """
    if model.quantizer is None:
        raise QDeployError(
            f"model {model.name!r} has no input quantiser, so a float front cannot be made; "
            "compile without --front and give it int8 inputs"
        )
    return FloatFront(model.quantizer)


def _float_array(name: str, values: NDArray[np.float32]) -> str:
    # Nine significant digits bring the same single-precision number back.
    texts = [f"{float(value):.9g}" for value in values]
    literals = [f"{text}f" if set(text) & set(".en") else f"{text}.0f" for text in texts]
    lines = [", ".join(literals[start : start + 6]) for start in range(0, len(literals), 6)]
    body = "".join(f"    {line},\n" for line in lines)
    return f"static const float {name}[{values.size}] = {{\n{body}}};\n"

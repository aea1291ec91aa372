"""The network inside a Relax graph: found by what the operators mean, replaced by a kernel call.

The graph comes from TVM's ONNX importer. Every value is followed as what it is in terms of the
int8 input (a linear map, a product of two, a readout of those), so the order in which an exporter
wrote casts, zero points and biases does not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax.frontend.onnx import from_onnx

from qdeploy.compiler.kernel import Kernel
from qdeploy.errors import QDeployError
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = ["Match", "import_graph", "match_network", "with_kernel"]

IntArray = NDArray[np.int64]
Integer = TypeVar("Integer", bound=np.integer)


@dataclass(frozen=True, eq=False)
class _Constant:
    values: IntArray


@dataclass(frozen=True, eq=False)
class _Linear:
    """source @ weights + bias; weights None is the identity."""

    source: Any
    weights: IntArray | None = None
    bias: IntArray | None = None


@dataclass(frozen=True, eq=False)
class _Product:
    left: _Linear
    right: _Linear


@dataclass(frozen=True, eq=False)
class _Scores:
    product: _Product
    weights: IntArray
    bias: IntArray | None = None


_Value = _Constant | _Linear | _Product | _Scores


@dataclass(frozen=True, eq=False)
class Match:
    """Where the network is in a graph.

    Attributes:
        network: the network.
        source: variable that holds its int8 inputs.
        result: variable that holds its scores.
    """

    network: QuantizedNetwork
    source: Any
    result: Any


def import_graph(proto: onnx.ModelProto) -> Any:
    """An ONNX model as a Relax module whose function is `main`."""
    return from_onnx(proto, keep_params_in_input=False)


def match_network(module: Any) -> Match:
    """Find the quadratic layer and its readout.

    Raises:
        QDeployError: there is none, or it computes in types too narrow to be exact.
    """
    function = module["main"]
    values: dict[Any, _Value] = {}
    for parameter in function.params:
        if str(parameter.ty.dtype) == "int8":
            values[parameter] = _Linear(parameter)
    result: Any = None
    scores: _Scores | None = None
    for block in function.body.blocks:
        for binding in block.bindings:
            value = _evaluate(binding.value, values)
            if value is not None:
                values[binding.var] = value
            if isinstance(value, _Scores):
                result, scores = binding.var, value
    if scores is None:
        raise QDeployError(
            "the graph holds no quadratic layer with a readout that the compiler knows: "
            "MatMulInteger twice on one int8 input, Mul, MatMul with integer weights"
        )
    network = _network(scores)
    given = str(result.ty.dtype)
    if given != network.score_dtype:
        raise QDeployError(
            f"the graph computes its scores in {given}, but only {network.score_dtype} holds them "
            "for every input; export it again with wider types"
        )
    return Match(network, scores.product.left.source, result)


def _network(scores: _Scores) -> QuantizedNetwork:
    sides = []
    for side in (scores.product.left, scores.product.right):
        if side.weights is None:
            raise QDeployError("a factor of the product is not a matrix product")
        width = side.weights.shape[1]
        bias = np.zeros(width, dtype=np.int64) if side.bias is None else side.bias
        sides.append((side.weights.T, np.broadcast_to(bias.reshape(-1), (width,))))
    (left, left_bias), (right, right_bias) = sides
    outputs = scores.weights.shape[1]
    bias = np.zeros(outputs, dtype=np.int64) if scores.bias is None else scores.bias
    return QuantizedNetwork(
        [
            QuadraticLayer(
                _narrow(left, np.int8, "first-layer weight"),
                _narrow(right, np.int8, "first-layer weight"),
                _narrow(left_bias, np.int32, "first-layer bias"),
                _narrow(right_bias, np.int32, "first-layer bias"),
            ),
            ReadoutLayer(
                _narrow(scores.weights, np.int32, "readout weight"),
                np.broadcast_to(bias.reshape(-1), (outputs,)),
            ),
        ]
    )


def _narrow(values: IntArray, dtype: type[Integer], what: str) -> NDArray[Integer]:
    info = np.iinfo(dtype)
    if values.min() < info.min or values.max() > info.max:
        raise QDeployError(f"a {what} of the graph does not fit {info.dtype}")
    return values.astype(dtype)


def _operand(expression: Any, values: Mapping[Any, _Value]) -> _Value | None:
    if isinstance(expression, relax.Var):
        return values.get(expression)
    if isinstance(expression, GenericConst):
        array = expression.value.numpy()
        return _Constant(array.astype(np.int64)) if array.dtype.kind in "iu" else None
    return None


def _evaluate(expression: Any, values: Mapping[Any, _Value]) -> _Value | None:
    """What an expression is; None for whatever is no part of a quadratic network."""
    if not isinstance(expression, relax.Call):
        return _operand(expression, values)
    operator = str(expression.op.name) if isinstance(expression.op, tvm.ir.Op) else ""
    operands = [_operand(argument, values) for argument in expression.args]
    match operator, operands:
        case "relax.astype", [value] if str(expression.ty.dtype) in ("int32", "int64"):
            return value
        case "relax.expand_dims" | "relax.reshape", [_Constant(values=array), *_]:
            return _Constant(array.reshape([int(size) for size in expression.ty.shape]))
        case "relax.matmul", [_Linear(weights=None, bias=None) as linear, _Constant(values=array)]:
            return replace(linear, weights=array) if array.ndim == 2 else None
        case "relax.matmul", [_Product() as product, _Constant(values=array)]:
            return _Scores(product, array) if array.ndim == 2 else None
        case "relax.multiply", [_Linear() as left, _Linear() as right]:
            return _Product(left, right) if left.source.same_as(right.source) else None
        case "relax.add", [(_Linear() | _Scores()) as value, _Constant(values=array)]:
            return _add(value, array)
        case "relax.add", [_Constant(values=array), (_Linear() | _Scores()) as value]:
            return _add(value, array)
        case "relax.subtract", [_Constant(values=left), _Constant(values=right)]:
            return _Constant(left - right)
        case "relax.subtract", [(_Linear() | _Scores()) as value, _Constant(values=array)]:
            return _add(value, -array)
    return None


def _add(value: _Linear | _Scores, array: IntArray) -> _Linear | _Scores | None:
    if not array.any():
        return value
    if value.weights is None or array.size not in (1, value.weights.shape[1]):
        return None
    before = 0 if value.bias is None else value.bias
    return replace(value, bias=before + array.reshape(-1))


def with_kernel(module: Any, match: Match, kernel: Kernel, function: Any, tile: int) -> Any:
    """The module with the network's operators replaced by one call of a kernel.

    Args:
        module: the imported module.
        match: where the network is in it.
        kernel: the kernel, for its constants and scratch memory.
        function: its batch function.
        tile: samples in a block of that function.
    """
    symbol = str(function.attrs["global_symbol"])
    rewriter = _Replace(module, match, kernel, function, symbol, tile)
    module = rewriter.run()
    return relax.transform.DeadCodeElimination(["main"])(module)


@relax.expr_functor.mutator
class _Replace(relax.PyExprMutator):  # type: ignore[misc]
    def __init__(
        self, module: Any, match: Match, kernel: Kernel, function: Any, symbol: str, tile: int
    ) -> None:
        super().__init__(module)
        self._main = module["main"]
        self._match = match
        self._kernel = kernel
        self._tile = tile
        self._symbol = self.builder_.add_func(function, symbol)

    def run(self) -> Any:
        for variable, function in self.builder_.get().functions_items():
            if variable.name_hint == "main":
                self.builder_.update_func(variable, self.visit_expr(function))
        return self.builder_.get()

    def visit_var_binding_(self, binding: Any) -> None:
        """Emit the kernel call in place of the binding that computes the scores."""
        if not binding.var.same_as(self._match.result):
            super().visit_var_binding_(binding)
            return
        source = self.visit_expr(self._match.source)
        rows = source.ty.shape[0]
        arguments: Sequence[Any] = [
            source,
            *(
                relax.const(constant.values, str(constant.values.dtype))
                for constant in self._kernel.constants
            ),
        ]
        network = self._kernel.network
        outputs = [
            relax.TensorType((rows, network.outputs), network.score_dtype),
            *(
                relax.TensorType((scratch.elements,), scratch.dtype)
                for scratch in self._kernel.scratch(self._tile)
            ),
        ]
        called = self.builder_.emit(relax.call_tir(self._symbol, arguments, outputs))
        scores = relax.TupleGetItem(called, 0)
        self.set_var_remap(binding.var, self._emit_like(binding.var, scores))

    def _emit_like(self, variable: Any, value: Any) -> Any:
        if isinstance(variable, relax.DataflowVar):
            return self.builder_.emit(value)
        return self.builder_.emit_output(value)

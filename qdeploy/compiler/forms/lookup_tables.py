"""Table look-ups: weights of ±1 as bits, which index the sums of all subsets of four inputs.

uᵀx = 2·Σ_{u=+1} x - Σx. The tables of a chunk of inputs lie in registers; one byte look-up reads
an entry for 16 neurons, and look-ups are added in bytes before they are widened.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdeploy.compiler import tir
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import InstructionSet
from qdeploy.compiler.kernel import Constant, Kernel, Operands, Scratch
from qdeploy.compiler.neurons import NeuronLayout, Readout, quadratic_and_readout
from qdeploy.compiler.subset_tables import (
    CHUNK,
    GROUP,
    HALF,
    LANES,
    RADIX,
    SUBSETS,
    Inputs,
    arrange_indices,
    build_tables,
    load_indices,
)
from qdeploy.network import INPUT_MAGNITUDE, QuadraticLayer, QuantizedNetwork

__all__ = ["LookupTablesForm"]

_SECTION = 8 * CHUNK
"""Inputs whose subset sums, in [-128·256, 127·256], fit int16."""

_WIDEST_INDICES = 32 * 1024
"""Bytes up to which every index has a byte of its own, a first-level cache; beyond, two share."""

_INT16_MAXIMUM = 2**15 - 1
_INT32_MAXIMUM = 2**31 - 1

_PRODUCTS = ("llvm.aarch64.neon.smull.v8i16", "llvm.aarch64.neon.umull.v8i16")

_Vector = Sequence[Any]
"""16 lanes as two halves of 8."""


def _reach(layer: QuadraticLayer) -> int:
    """Largest |uᵀx + bias| for weights of ±1 and any int8 inputs."""
    bias = np.concatenate([layer.left_bias, layer.right_bias]).astype(np.int64)
    return INPUT_MAGNITUDE * layer.left.shape[1] + int(np.abs(bias).max())


@dataclass(frozen=True)
class _Sample:
    """Where the code of one sample reads and writes.

    Attributes:
        operands: buffers of the kernel.
        inputs: of the sample.
        position: first place of its neurons in scratch memory.
    """

    operands: Operands
    inputs: Inputs
    position: int


_Use = Callable[[_Sample, Any, _Vector], None]
"""Where sums of a chunk go: of a sample and a side of a vector."""


class _LookupTablesKernel:
    # There are two ways to the dot products. Narrow: int16 holds them, so twice the subset sums are
    # added to the biases modulo 2¹⁶ and end within their range, whatever happens on the way. Wide:
    # int16 holds the subset sums of a section, and the rest is done in int32.

    def __init__(
        self, network: QuantizedNetwork, isa: InstructionSet, look_up: str, vectors: int
    ) -> None:
        self.network = network
        self._look_up = look_up
        layer, readout = quadratic_and_readout(network)
        self._layout = NeuronLayout.of(readout, LANES, vectors)
        self._readout = Readout(network, self._layout, isa)
        self._chunks = -(-network.inputs // CHUNK)
        self._sections = -(-network.inputs // _SECTION)
        self._narrow = _reach(layer) <= _INT16_MAXIMUM
        groups = -(-network.inputs // GROUP)
        self._shared = 2 * self._layout.positions * groups > _WIDEST_INDICES
        signs = self._by_vector(np.stack([layer.left, layer.right], axis=1) > 0)
        bias = self._by_vector(np.stack([layer.left_bias, layer.right_bias], axis=1))
        factor, dtype = (2, np.uint16) if self._narrow else (1, np.int32)
        scales = np.array([RADIX * factor, factor], dtype=np.uint8)
        self.constants: tuple[Constant, ...] = (
            Constant("weights", arrange_indices(signs, self._shared)),
            Constant("bias", bias.ravel().astype(dtype)),
            Constant("subsets", SUBSETS.ravel()),
            Constant("scales", np.repeat(scales, LANES)),
            *self._readout.constants,
        )
        self.accumulators = {
            "look-ups": "int8",
            "dot": "int16" if self._narrow else "int32",
            "product": self._readout.product,
            "score": network.score_dtype,
        }

    def _by_vector(self, values: NDArray[Any]) -> NDArray[Any]:
        """(m, side, …) to (vector of a side, lane, …), the two sides of 16 neurons one by one.

        Places behind the last neuron repeat it, so that what is proven of it holds for them.
        """
        order = self._layout.order
        order = np.pad(order, (0, self._layout.positions - len(order)), mode="edge")
        split = values[order].reshape(-1, LANES, *values.shape[1:]).swapaxes(1, 2)
        return split.reshape(-1, LANES, *values.shape[2:])

    def scratch(self, samples: int) -> tuple[Scratch, ...]:
        sums = 2 * self._layout.positions
        arrays = [self._readout.scratch(samples)]
        if self._chunks > 1:
            arrays.append(Scratch("sums", "uint16", sums))
        if self._sections > 1:
            arrays.append(Scratch("totals", "int32", sums))
        if self.network.inputs < HALF:
            arrays.append(Scratch("inputs", "int8", HALF))
        return tuple(arrays)

    def registers(self, samples: int) -> int:
        return 2 * CHUNK // GROUP + 4 * self._layout.vectors + 4

    def emit(self, operands: Operands, row: Any, samples: int) -> None:
        for sample in range(samples):
            inputs = Inputs(
                operands.x, row + sample, self.network.inputs, operands.scratch.get("inputs")
            )
            self._sample(_Sample(operands, inputs, sample * self._layout.positions))
        self._readout.emit(operands, row, samples)

    def _sample(self, sample: _Sample) -> None:
        """All neurons of one sample, into scratch memory."""
        per_section = _SECTION // CHUNK
        if self._sections > 1:
            bias, totals = sample.operands.constants["bias"], sample.operands.scratch["totals"]
            with tir.loop(2 * self._layout.positions // HALF) as number:
                tir.store(totals, tir.load(bias, number * HALF, HALF), number * HALF, HALF)
            with tir.loop(self._sections - 1) as section:
                self._section(sample, section * per_section, per_section, CHUNK, self._total)
        done = (self._sections - 1) * per_section
        rest = self.network.inputs - (self._chunks - 1) * CHUNK
        self._section(sample, done, self._chunks - done, rest, None)

    def _section(
        self, sample: _Sample, first: Any, chunks: int, rest: int, use: _Use | None
    ) -> None:
        """Chunks whose sums stay in int16; the last one has `rest` inputs, and its use is given."""
        if chunks > 1:
            self._chunk(sample, first, CHUNK, True, self._keep)
        if chunks > 2:
            with tir.loop(1, chunks - 1) as number:
                self._chunk(sample, first + number, CHUNK, False, self._keep)
        self._chunk(sample, first + (chunks - 1), rest, chunks == 1, use)

    def _chunk(
        self, sample: _Sample, number: Any, inputs: int, first: bool, use: _Use | None
    ) -> None:
        """The tables of a chunk, and every neuron's look-ups in them.

        Args:
            sample: the sample.
            number: of the chunk.
            inputs: how many it has.
            first: whether no sums are kept from chunks before it.
            use: what becomes of the sums; None for products, in the last chunk.
        """
        constants = sample.operands.constants
        tables = build_tables(sample.inputs, constants["subsets"], number * CHUNK, inputs)
        share = 2 if self._shared else 1
        sides = 2 * self._layout.positions // LANES
        start = number * (sides * (CHUNK // GROUP // share) * LANES)
        size = -(-len(tables) // share) * LANES
        needed = first if self._narrow else use is None
        input_sum = self._input_sum(sample.inputs) if needed else None
        scales = [tir.bind(tir.load(constants["scales"], part * LANES, LANES)) for part in range(2)]

        def sums(side: Any) -> _Vector:
            # First what is added to: LLVM orders sums by when their terms are loaded, and this way
            # they become multiply-accumulates.
            before = self._before(sample, side, first, input_sum)
            indices = load_indices(
                constants["weights"], start + side * size, len(tables), self._shared
            )
            return self._sums(tables, indices, scales, before)

        if use is None:
            with tir.loop(self._layout.blocks) as block:
                for place in range(self._layout.vectors):
                    vector = block * self._layout.vectors + place
                    pair = [sums(2 * vector), sums(2 * vector + 1)]
                    self._multiply(sample, vector, pair, input_sum)
            return
        # One side at a time leaves the tables in their registers.
        with tir.loop(sides) as side:
            use(sample, side, sums(side))

    def _before(
        self, sample: _Sample, side: Any, first: bool, input_sum: Any
    ) -> Sequence[Any] | None:
        """What the sums of a side of a vector have before this chunk; None for nothing."""
        if not first:
            buffer = sample.operands.scratch["sums"]
        elif self._narrow:
            buffer = sample.operands.constants["bias"]
        else:
            return None
        starts = (side * LANES, side * LANES + HALF)
        before = [tir.load(buffer, start, HALF) for start in starts]
        if first:
            before = [value - input_sum for value in before]
        return [tir.bind(value) for value in before]

    def _input_sum(self, inputs: Inputs) -> Any:
        """Σx in every lane, of the type of the dot products."""
        total = inputs.sum()
        return tir.bind(tir.broadcast(total.astype("uint16") if self._narrow else total, HALF))

    def _sums(
        self,
        tables: Sequence[tuple[Any, Any]],
        indices: Sequence[Any],
        scales: Sequence[Any],
        before: Sequence[Any] | None,
    ) -> _Vector:
        """Subset sums, twice those in the narrow case, added to what there was; modulo 2¹⁶."""
        parts = []
        for part, dtype in enumerate(("int8", "uint8")):
            found = [
                tir.intrinsic(self._look_up, dtype, LANES, table[part], index)
                for table, index in zip(tables, indices, strict=True)
            ]
            parts.append(tir.bind(sum(found[1:], found[0])))
        result = []
        for half in range(2):
            lanes = range(half * HALF, (half + 1) * HALF)
            total = None if before is None else before[half]
            for name, part, scale in zip(_PRODUCTS, parts, scales, strict=True):
                operands = (tir.shuffle([vector], lanes) for vector in (part, scale))
                product = tir.intrinsic(name, "uint16", HALF, *operands)
                total = product if total is None else total + product
            result.append(tir.bind(total))
        return result

    def _keep(self, sample: _Sample, side: Any, sums: _Vector) -> None:
        """Sums that further chunks are added to."""
        for half, value in enumerate(sums):
            start = side * LANES + half * HALF
            tir.store(sample.operands.scratch["sums"], value, start, HALF)

    def _total(self, sample: _Sample, side: Any, sums: _Vector) -> None:
        """Sums at the end of a section, added to the totals in int32."""
        totals = sample.operands.scratch["totals"]
        for half, value in enumerate(sums):
            start = side * LANES + half * HALF
            tir.store(totals, tir.load(totals, start, HALF) + _doubled(value), start, HALF)

    def _multiply(
        self, sample: _Sample, vector: Any, sums: Sequence[_Vector], input_sum: Any
    ) -> None:
        """The product of both dot products of a neuron."""
        operands = sample.operands
        known = operands.scratch["totals"] if self._sections > 1 else operands.constants["bias"]
        wide = tir.vector_type(self._readout.product, HALF)
        for half in range(2):
            dots = []
            for side in range(2):
                value = sums[side][half]
                if self._narrow:
                    dot = tir.reinterpret(value, "int16", HALF)
                else:
                    start = (2 * vector + side) * LANES + half * HALF
                    dot = tir.load(known, start, HALF) + _doubled(value) - input_sum
                dots.append(tir.bind(dot).astype(wide))
            start = sample.position + vector * LANES + half * HALF
            tir.store(operands.scratch["neurons"], dots[0] * dots[1], start, HALF)


def _doubled(value: Any) -> Any:
    """Twice an int16 vector, in int32."""
    wide = tir.reinterpret(value, "int16", HALF).astype(tir.vector_type("int32", HALF))
    return wide << tir.constant(1, "int32", HALF)


class LookupTablesForm:
    """Four weights a byte look-up, and no multiplication but the neurons' own."""

    name = "lookup-tables"
    weights = "±1"
    single = True
    batch = True
    # Tables fill the registers: samples of a batch can share nothing but loads of the weights.
    tiles: tuple[int, ...] = (1,)
    block_vectors: tuple[int, ...] = (1, 2)

    def kernel(
        self, network: QuantizedNetwork, isa: InstructionSet, vectors: int | None = None
    ) -> Kernel | str:
        """The kernel for weights of ±1 where bytes are looked up in registers."""
        if isa.table_lookup is None:
            return f"{isa.name} has no byte table look-up"
        layer, _ = quadratic_and_readout(network)
        if (np.abs(np.stack([layer.left, layer.right]).astype(np.int16)) != 1).any():
            return "it needs weights of ±1"
        # bias + 2·(subset sums) - Σx in this order: each term adds its largest magnitude.
        if _reach(layer) + 2 * INPUT_MAGNITUDE * network.inputs > _INT32_MAXIMUM:
            return "its dot products may not fit 32 bits"
        vectors = vectors or self.block_vectors[0]
        return _LookupTablesKernel(network, isa, isa.table_lookup, vectors)


FORMS.register(LookupTablesForm.name)(LookupTablesForm())

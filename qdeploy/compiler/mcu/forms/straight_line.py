"""Straight-line code: the weights are the instructions, for the inputs and a few neurons at a time.

Dual additions take d·m/2 instructions for 2·d·m weights (`pair_sums`), others about 0.7·d·m on
half as many registers a neuron (`subset_sums`).
"""

from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.mcu.kernel import McuKernel
from qdeploy.compiler.mcu.pair_sums import DualPairSums, PlainPairSums
from qdeploy.compiler.mcu.signs import sign_rows
from qdeploy.compiler.mcu.subset_sums import SubsetSums
from qdeploy.compiler.neurons import quadratic_and_readout
from qdeploy.network import QuantizedNetwork

__all__ = ["StraightLineForm"]

_LARGEST_CODE = 2**15
"""Dual additions of one model: more would be 128 kilobytes of code, and minutes to compile."""


class StraightLineForm:
    """The fastest form for few neurons; a byte of flash a weight on cores with dual additions."""

    name = "straight-line"
    weights = "±1, as the opcodes of straight-line code"

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel where all weights are ±1 and the code is not absurdly long."""
        layer, _ = quadratic_and_readout(network)
        rows = sign_rows(layer)
        if isinstance(rows, str):
            return rows
        if layer.width * layer.inputs // 2 > _LARGEST_CODE:
            return "its straight-line code would exceed 128 kilobytes"
        if "dsp" in extensions:
            return DualPairSums(network, extensions)
        if not {"unaligned", "many-registers"} & extensions:
            return PlainPairSums(network, extensions)
        return SubsetSums(network, rows, extensions)


FORMS.register(StraightLineForm.name)(StraightLineForm())

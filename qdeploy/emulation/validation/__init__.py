"""The cycle model against published measurements; ``python -m qdeploy.emulation.validation``.

CoreMark's instructions were counted once (`coremark.toml`, from which the model's cycles follow);
the published scores give the true cycles. Kernels of our own are built and counted anew each time.
"""

from qdeploy.emulation.validation.comparison import Comparison, compare, kernel_cycles
from qdeploy.emulation.validation.kernels import KERNELS, KernelCounts, count_kernels
from qdeploy.emulation.validation.page import page

__all__ = [
    "KERNELS",
    "Comparison",
    "KernelCounts",
    "compare",
    "count_kernels",
    "kernel_cycles",
    "page",
]

"""Kernel forms for microcontrollers, one module each."""

from typing import Protocol

from qdeploy.compiler.mcu.kernel import McuKernel
from qdeploy.network import QuantizedNetwork
from qdeploy.registry import Registry

__all__ = ["FORMS", "McuForm"]


class McuForm(Protocol):
    """A way to compute one sample.

    Attributes:
        name: identifier, shown in plans and manifests.
        weights: what the weights must be and how they are kept in flash, in words.
    """

    name: str
    weights: str

    def kernel(self, network: QuantizedNetwork, extensions: frozenset[str]) -> McuKernel | str:
        """The kernel, or why this form cannot compute the network on such a core."""
        ...


FORMS: Registry[McuForm] = Registry("microcontroller kernel form", __name__)

"""Kernel forms of the quadratic network, one module each."""

from qdeploy.compiler.kernel import Form
from qdeploy.registry import Registry

__all__ = ["FORMS"]

FORMS: Registry[Form] = Registry("kernel form", __name__)

"""The packages that generate C, and what their C needs of a C library that is not there.

Generators write for hosted C. Their includes are met by headers that declare only what their
output calls; memcpy comes from whoever links.
"""

import importlib.util
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["MATH_SOURCES", "SILENCED", "STRING_HEADER", "import_emlearn", "lacking"]


_NEEDS = {"emlearn": {"emlearn": "emlearn", "distutils": "setuptools"}}
"""Modules that a generator imports, with the packages that bring them, beside its own."""


def lacking(generator: str) -> str | None:
    """Why a generator cannot be used; None when all that it needs is installed."""
    for module, package in _NEEDS.get(generator, {generator: generator}).items():
        if not importlib.util.find_spec(module):
            return f"{package} is not installed; add it with: pip install {package}"
    return None


def import_emlearn() -> Any:
    """The package. On import it makes numpy raise at every underflow; that is undone."""
    with np.errstate():
        import emlearn
        import emlearn.net
    return emlearn


_MATH_HEADER = """\
#ifndef MATH_H
#define MATH_H
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
float expf(float x);
float logf(float x);
float tanhf(float x);
#define fabsf(x) __builtin_fabsf(x)
#endif
"""

MATH_SOURCES = {
    "math.h": _MATH_HEADER,
    "float_math.c": files(__package__).joinpath("float_math.c").read_text(encoding="utf-8"),
}
"""Single-precision expf, logf and tanhf."""

STRING_HEADER = {
    "string.h": "#include <stddef.h>\nvoid *memcpy(void *to, const void *from, size_t count);\n"
}
"""memcpy's declaration."""

SILENCED = "".join(
    f'#pragma GCC diagnostic ignored "-W{warning}"\n'
    for warning in (
        "unused-parameter",
        "unused-function",
        "unused-variable",
        "unused-const-variable",
        "sign-compare",
        "type-limits",
    )
)
SILENCED += """\
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
"""
"""Warnings that generated C causes and that say nothing about it."""

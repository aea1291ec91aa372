"""The activation of neurons of one sum: σ(t) = a·t² + b·t + c, as asked for and on integers.

With t = step·T, T the integer sum of a neuron, and a ≠ 0:

    a·t² + b·t = a·step²·T·(T + b/(a·step))        B = b/(a·step), rounded to an integer
    b·t        = b·step·T                          where a = 0

c is the same for every input and joins the network's intercept; signs of a, or of b where a = 0,
join the readout.
"""

from dataclasses import dataclass

import numpy as np

from qdeploy.errors import QDeployError

__all__ = [
    "LARGEST_LINEAR",
    "Activation",
    "Coefficients",
    "activation_text",
    "integer_activation",
    "read_activation",
]

LARGEST_LINEAR = 2**15 - 1
"""Largest |B|: beyond, no int8 input makes the square of a neuron felt."""

SMALLEST, LARGEST = 1e-6, 1e6
"""Range of the leading coefficient; a factor of all three is one of beta."""

Coefficients = tuple[float, float, float]
"""a, b and c."""


@dataclass(frozen=True)
class Activation:
    """What a deployed neuron computes: σ(t) = unit·T·(square·T + linear), T its integer sum.

    Attributes:
        square: 1, or 0 for a linear neuron.
        linear: B; 1 for a linear neuron.
        unit: value of one unit of the integer result in the units of the objective, positive.
    """

    square: int
    linear: int
    unit: float

    def form_size(self, inputs: int) -> int:
        """Signs D of a neuron's quadratic form, for d inputs: one more where T stands alone."""
        return inputs + (self.linear != 0)

    def formula(self, step: float) -> str:
        """σ in t = step·T, up to its sign, and on the integer sum T."""
        if not self.square:
            return f"{self.unit / step:.6g}·t, T itself on the integer sum T"
        size = self.unit / step**2
        if not self.linear:
            return f"{size:.6g}·t², T·T on the integer sum T"
        linear, sign = size * self.linear * step, "+" if self.linear > 0 else "-"
        return (
            f"{size:.6g}·t² {sign} {abs(linear):.6g}·t, "
            f"T·(T {sign} {abs(self.linear)}) on the integer sum T"
        )


def read_activation(text: str) -> Coefficients | None:
    """Coefficients of "square" (1,0,0) or "A,B,C"; None for "bilinear".

    Raises:
        ValueError: it is none of these, or A and B are both zero, or beyond all use.
    """
    if not isinstance(text, str):
        raise ValueError(f"must be a text: bilinear, square or A,B,C, not {text!r}")
    if text == "bilinear":
        return None
    parts = ["1", "0", "0"] if text == "square" else text.split(",")
    try:
        square, linear, constant = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"must be bilinear, square or three numbers A,B,C, not {text}") from None
    if not np.isfinite([square, linear, constant]).all():
        raise ValueError(f"must have finite coefficients, not {text}")
    if not square and not linear:
        raise ValueError(f"must not be constant: A or B other than zero, not {text}")
    if not SMALLEST <= abs(square or linear) <= LARGEST:
        raise ValueError(
            f"must have an A (or a B where A is 0) from {SMALLEST:g} to {LARGEST:g}, not {text}; a "
            "factor of the coefficients is the same as one of beta"
        )
    return square, linear, constant


def activation_text(text: str) -> str:
    """The text as it is, once it is known to be an activation.

    Raises:
        ValueError: it is none.
    """
    read_activation(text)
    return text


def integer_activation(coefficients: Coefficients, step: float) -> Activation:
    """The activation that integers compute, B rounded.

    Args:
        coefficients: a, b and c; c is of no concern.
        step: value of one integer input step, a power of two.

    Raises:
        QDeployError: b/a is so large that the neuron is linear on int8 inputs.
    """
    square, linear, _ = coefficients
    if not square:
        return Activation(0, 1, abs(linear) * step)
    shift = linear / square / step
    if not abs(shift) <= LARGEST_LINEAR:
        raise QDeployError(
            f"the activation's linear coefficient {linear:g} is more than {LARGEST_LINEAR * step:g}"
            f" times its square one, {square:g}: on int8 inputs it is linear; pass 0,{linear:g},0"
        )
    return Activation(1, round(shift), abs(square) * step * step)

"""How a compiled model is called from C."""

from dataclasses import dataclass

from qdeploy.network import Accumulator

__all__ = ["ModelInterface"]


@dataclass(frozen=True)
class ModelInterface:
    """``int NAME_predict(const int8_t *x, intNN_t *scores)``, declared in ``NAME.h``.

    Attributes:
        name: prefix of the functions, a C identifier.
        inputs: int8 values a sample, d.
        outputs: scores a sample, K.
        score_type: type of the scores.
    """

    name: str
    inputs: int
    outputs: int
    score_type: Accumulator

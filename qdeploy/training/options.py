"""The options of training, their ranges, and what they may be together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from qdeploy.activation import activation_text, integer_activation, read_activation
from qdeploy.data.dataset import Task
from qdeploy.data.quantizer import INPUT_STEP, Scaling
from qdeploy.data.weighting import ClassWeight
from qdeploy.errors import QDeployError
from qdeploy.ranges import (
    BETA,
    BYTES,
    GAP,
    INPUTS,
    NEURONS,
    OPERATIONS,
    READOUT_BITS,
    RIDGE,
    SEED,
    TIME_LIMIT,
    auto_or,
)
from qdeploy.training.losses import losses
from qdeploy.training.neurons import NeuronFamily, family_of

__all__ = ["InputShifts", "Mode", "Options", "Outputs"]

Mode = Literal["certified", "compact"]
Outputs = Literal["separate", "shared"]
InputShifts = Literal["none", "learned"]


@dataclass(frozen=True)
class Options:
    """Options of `train`, with its names and meanings.

    Raises:
        QDeployError: one is out of range, or does not go with another.
    """

    task: Task
    loss: str
    mode: Mode | None
    beta: float | Literal["auto"]
    neurons: int | None
    inputs: int | None
    gap: float | None
    time_limit: float | None
    scaling: Scaling | Literal["auto"]
    readout_bits: int | Literal["auto"]
    relaxation: str
    seed: int
    jobs: int
    class_weight: ClassWeight | None = None
    outputs: Outputs = "separate"
    max_bytes: int | None = None
    max_ops: int | None = None
    weights: str = "binary"
    penalty: str = "count"
    checkpoint: Path | None = None
    activation: str = "bilinear"
    input_shifts: InputShifts = "none"
    ridge: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.task not in losses[self.loss].tasks:
            known = losses.values()
            fitting = ", ".join(loss.name for loss in known if self.task in loss.tasks)
            raise QDeployError(
                f"loss {self.loss!r} does not suit the task {self.task!r}; choose one of {fitting}"
            )
        conversions: list[tuple[str, Callable[[Any], Any]]] = [
            ("beta", partial(auto_or, BETA)),
            ("neurons", NEURONS),
            ("inputs", INPUTS),
            ("max_bytes", BYTES),
            ("max_ops", OPERATIONS),
            ("gap", GAP),
            ("time_limit", TIME_LIMIT),
            ("readout_bits", partial(auto_or, READOUT_BITS)),
            ("ridge", partial(auto_or, RIDGE)),
            ("seed", SEED),
            ("activation", activation_text),
        ]
        for name, convert in conversions:
            value = getattr(self, name)
            if value is None:
                continue
            try:
                # Numbers of numpy become Python's, which files can hold.
                object.__setattr__(self, name, convert(value))
            except ValueError as error:
                raise QDeployError(f"{name} {error}") from None
        if self.chosen_mode == "compact" and not self.family.is_binary:
            raise QDeployError(
                f"the compact mode trains binary weights only, not {self.weights}; "
                "choose the certified mode (--mode certified), which takes --neurons as well"
            )
        if self.family.activation is not None and (
            self.chosen_mode == "compact"
            or self.neurons is not None
            or self.outputs == "shared"
            or not self.family.is_binary
        ):
            raise QDeployError(
                f"the activation {self.activation} is for the certified mode with binary weights, "
                "separate outputs and no budget; with those options leave --activation out"
            )
        if self.mode not in (None, "certified", "compact"):
            raise QDeployError(f"mode must be 'certified' or 'compact', not {self.mode!r}")
        if self.mode == "compact" and not self.has_budget:
            raise QDeployError(
                "the compact mode trains within a budget; give one (--neurons, --max-bytes or "
                "--max-ops)"
            )
        if self.mode == "certified" and self.limits_cost:
            raise QDeployError(
                "bytes and operations are budgets of the compact mode; leave --mode certified out"
            )
        if self.chosen_mode == "compact" and self.gap is not None:
            raise QDeployError(
                "a target gap is for the certified mode (--mode certified); the compact mode "
                "stops at its width, not at a proof"
            )

        if self.chosen_mode == "certified" and self.inputs is not None:
            raise QDeployError(
                "fewer inputs are chosen in the compact mode; give it a budget (--neurons, "
                "--max-bytes or --max-ops)"
            )

        if self.chosen_mode == "certified" and self.ridge != "auto":
            raise QDeployError(
                "a ridge is for the compact mode, which needs a budget (--neurons, --max-bytes or "
                "--max-ops); the certified mode prices the readout by beta"
            )

        if self.scaling not in ("auto", "feature", "tensor"):
            raise QDeployError(
                f"scaling must be 'auto', 'feature' or 'tensor', not {self.scaling!r}"
            )
        if self.input_shifts not in ("none", "learned"):
            raise QDeployError(
                f"input_shifts must be 'none' or 'learned', not {self.input_shifts!r}"
            )
        if self.input_shifts == "learned":
            if self.chosen_mode == "compact":
                raise QDeployError(
                    "the compact mode learns a scale for every input anyway; leave input_shifts out"
                )
            if self.family.activation is not None:
                raise QDeployError(
                    f"shifts of inputs are learned for products of two sums, not for the "
                    f"activation {self.activation}; leave one of the two out"
                )

        if self.outputs not in ("separate", "shared"):
            raise QDeployError(f"outputs must be 'separate' or 'shared', not {self.outputs!r}")
        if self.outputs == "shared" and (self.chosen_mode == "compact" or self.gap is not None):
            raise QDeployError(
                "shared outputs are for the certified mode (--mode certified) without a target "
                "gap; the compact mode shares its neurons anyway"
            )

        if self.checkpoint is not None and (
            self.chosen_mode == "compact" or self.outputs == "shared"
        ):
            raise QDeployError(
                "a checkpoint is kept in the certified mode with separate outputs; elsewhere leave "
                "it out"
            )

    @property
    def chosen_mode(self) -> Mode:
        """The mode asked for; by default compact as soon as there is a budget."""
        if self.mode is not None:
            return self.mode
        return "compact" if self.has_budget else "certified"

    @property
    def family(self) -> NeuronFamily:
        """Weights of the neurons, what they cost, and their activation on integers."""
        family = family_of(self.weights, self.penalty)
        coefficients = read_activation(self.activation)
        if coefficients is None:
            return family
        return replace(family, activation=integer_activation(coefficients, INPUT_STEP))

    @property
    def has_budget(self) -> bool:
        """Whether neurons, bytes or operations are limited."""
        return self.neurons is not None or self.limits_cost

    @property
    def limits_cost(self) -> bool:
        """Whether bytes or operations are limited."""
        return self.max_bytes is not None or self.max_ops is not None

    def as_identity(self) -> dict[str, Any]:
        """The options that two runs must share for one to go on where the other ended."""
        known = self.as_provenance()
        del known["time_limit"]
        return {"task": self.task, "beta": self.beta, **known}

    def as_provenance(self) -> dict[str, Any]:
        """The options that a model remembers."""
        weights = self.class_weight
        if weights is not None and not isinstance(weights, str):
            weights = {str(label): float(weight) for label, weight in weights.items()}
        return {
            "mode": self.chosen_mode,
            "loss": self.loss,
            "neurons": self.neurons,
            "inputs": self.inputs,
            "gap": self.gap,
            "time_limit": self.time_limit,
            "scaling": self.scaling,
            "readout_bits": self.readout_bits,
            "relaxation": self.relaxation,
            "seed": self.seed,
            **({} if weights is None else {"class_weight": weights}),
            **({} if self.weights == "binary" else {"weights": self.weights}),
            **({} if self.penalty == "count" else {"penalty": self.penalty}),
            **({} if self.activation == "bilinear" else {"activation": self.activation}),
            **({} if self.outputs == "separate" else {"outputs": self.outputs}),
            **({} if self.input_shifts == "none" else {"input_shifts": self.input_shifts}),
            **({} if self.ridge == "auto" else {"ridge": self.ridge}),
            **({} if self.max_bytes is None else {"max_bytes": self.max_bytes}),
            **({} if self.max_ops is None else {"max_ops": self.max_ops}),
        }

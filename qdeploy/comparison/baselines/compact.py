"""Ours at a given width: `qdeploy train --neurons`."""

from typing import ClassVar, Literal

from qdeploy.comparison.baselines import BASELINES, READOUT_BITS, Baseline, Family, Fitted, Setting
from qdeploy.training.trainer import train

__all__ = ["Compact", "train_in_time"]


class Compact(Baseline):
    """The compact mode; its scales of the inputs are learned, which a device gets for nothing."""

    name: ClassVar[str] = "compact"
    label: ClassVar[str] = "qdeploy, compact"
    about: ClassVar[str] = (
        "several starts, learned input scales, bit flips, a readout solved in integers, the ridge "
        "with the lowest loss on held-out rows; its proof takes part of its time"
    )
    family: ClassVar[Family] = "ours"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in the given time, proof included."""
        return train_in_time(setting, "auto")


def train_in_time(setting: Setting, ridge: float | Literal["auto"]) -> Fitted:
    """The compact mode at a ridge, or at the one that held-out rows choose."""
    trained = train(
        setting.dataset,
        mode="compact",
        neurons=setting.neurons,
        ridge=ridge,
        time_limit=setting.seconds,
        scaling=setting.scaling,
        readout_bits=READOUT_BITS,
        seed=setting.seed,
        jobs=1,
    )
    return Fitted.of(trained.model)


BASELINES.register("compact")(Compact())

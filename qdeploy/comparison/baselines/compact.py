"""Ours at a given width: `qdeploy train --neurons`."""

from typing import ClassVar

from qdeploy.comparison.baselines import BASELINES, READOUT_BITS, Baseline, Family, Fitted, Setting
from qdeploy.training.trainer import train


class Compact(Baseline):
    """The compact mode; its scales of the inputs are learned, which a device gets for nothing."""

    name: ClassVar[str] = "compact"
    label: ClassVar[str] = "qdeploy, compact"
    about: ClassVar[str] = (
        "several starts, learned input scales, bit flips, a readout solved in integers; of the "
        "ridges that predict held-out rows as well as the best it takes the one that fits the "
        "others most closely; its proof takes part of its time"
    )
    family: ClassVar[Family] = "ours"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in the given time, proof included."""
        trained = train(
            setting.dataset,
            mode="compact",
            neurons=setting.neurons,
            time_limit=setting.seconds,
            scaling=setting.scaling,
            readout_bits=READOUT_BITS,
            seed=setting.seed,
            jobs=1,
        )
        return Fitted.of(trained.model)


BASELINES.register("compact")(Compact())

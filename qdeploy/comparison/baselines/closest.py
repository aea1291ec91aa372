"""Ours at a given width and next to no ridge: `qdeploy train --neurons M --ridge 0.001`."""

from typing import ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.baselines.compact import train_in_time
from qdeploy.training.search import RIDGES


class Closest(Baseline):
    """The compact mode where the training loss is all that counts."""

    name: ClassVar[str] = "closest"
    label: ClassVar[str] = "qdeploy, closest fit"
    about: ClassVar[str] = (
        f"the same at a ridge of {RIDGES[0]:g}, next to nothing: what the search can do for the "
        "training loss; training losses are held against it"
    )
    family: ClassVar[Family] = "ours"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in the given time, proof included."""
        return train_in_time(setting, RIDGES[0])


BASELINES.register("closest")(Closest())

"""Quantisation after training: the signs of a float-trained quadratic network."""

from typing import ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_network import float_starts, rounded
from qdeploy.comparison.integers import in_integers
from qdeploy.comparison.searching import within_time


class Rounded(Baseline):
    """The start that is best after rounding."""

    name: ClassVar[str] = "rounded"
    label: ClassVar[str] = "float, rounded"
    about: ClassVar[str] = (
        "signs of a float-trained network of the same width, each vector's mean size kept in the "
        "readout, the best of several starts"
    )
    family: ClassVar[Family] = "network"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in float in the given time, then round weights and readout."""
        found = within_time(setting, float_starts, rounded)
        return Fitted.of(in_integers(setting, found.network, "rounded"))


BASELINES.register("rounded")(Rounded())

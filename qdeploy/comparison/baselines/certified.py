"""Ours at any width: `qdeploy train`, whose bound the other networks are held against."""

from typing import ClassVar

from qdeploy.comparison.baselines import BASELINES, READOUT_BITS, Baseline, Family, Fitted, Setting
from qdeploy.training.trainer import train


class Certified(Baseline):
    """The certified mode, with its penalty chosen by cross-validation."""

    name: ClassVar[str] = "certified"
    label: ClassVar[str] = "qdeploy, certified"
    about: ClassVar[str] = (
        "column generation at a penalty chosen by cross-validation, as many neurons as help, with "
        "the bound that all networks on the same inputs are held against"
    )
    family: ClassVar[Family] = "ours"
    width_bound: ClassVar[bool] = False

    def fit(self, setting: Setting) -> Fitted:
        """Train until nothing helps, or for the time of a proof."""
        trained = train(
            setting.dataset,
            mode="certified",
            time_limit=setting.proof_seconds,
            scaling=setting.scaling,
            readout_bits=READOUT_BITS,
            seed=setting.seed,
            jobs=1,
        )
        return Fitted.of(trained.model)


BASELINES.register("certified")(Certified())

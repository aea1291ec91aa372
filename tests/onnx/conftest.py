from collections.abc import Callable

import numpy as np
import pytest

from qdeploy.certificate import Certificate, OutputCertificate
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.model import Classes, Model, Numbers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer


def _random_network(rng, inputs, neurons, outputs, signs, readout, bias):
    def weights():
        if signs:
            return rng.choice([-1, 1], (neurons, inputs))
        return rng.integers(-128, 128, (neurons, inputs))

    return QuantizedNetwork(
        [
            QuadraticLayer(
                weights(),
                weights(),
                rng.integers(-bias, bias + 1, neurons),
                rng.integers(-bias, bias + 1, neurons),
            ),
            ReadoutLayer(
                rng.integers(-readout, readout + 1, (neurons, outputs)),
                rng.integers(-(bias**2), bias**2 + 1, outputs),
            ),
        ]
    )


@pytest.fixture(scope="session")
def random_model() -> Callable[..., Model]:
    """A model with every part filled in, from a seed."""

    def make(
        seed=0,
        inputs=5,
        neurons=3,
        outputs=1,
        *,
        signs=True,
        readout=127,
        bias=40,
        dropped=1,
        regression=False,
        labels=None,
        samples=9,
    ) -> Model:
        rng = np.random.default_rng(seed)
        raw = inputs + dropped
        if regression:
            head = Numbers(
                tuple(f"y{k}" for k in range(outputs)),
                tuple(rng.normal(size=outputs).tolist()),
                tuple((rng.random(outputs) + 0.1).tolist()),
            )
        else:
            head = Classes(labels or tuple(f"class {k}" for k in range(max(outputs, 2))), outputs)
        proofs = tuple(
            OutputCertificate(
                objective=float(rng.random() + 1),
                bound=float(rng.random()),
                norm_bound=int(rng.integers(1, 2**62)) ** (1 + k),
                residual=rng.integers(-(2**31), 2**31, samples).astype(np.int32),
                multipliers=rng.integers(0, 2**62, inputs + 1) if k % 2 == 0 else None,
            )
            for k in range(outputs)
        )
        return Model(
            name="example",
            network=_random_network(rng, inputs, neurons, outputs, signs, readout, bias),
            scale=float(rng.random() + 1e-9),
            head=head,
            quantizer=InputQuantizer(
                tuple(f"feature {i}" for i in range(raw)),
                rng.permutation(raw)[:inputs],
                rng.normal(size=inputs),
                rng.random(inputs) + 0.01,
                zero_point=int(rng.integers(-128, 128)),
            ),
            certificate=Certificate(
                method="sdp",
                loss="squared-hinge",
                beta=float(rng.random()),
                penalty=float(rng.random()),
                input_step=2.0**-5,
                constant=32,
                data_digest="0123456789abcdef" * 4,
                outputs=proofs,
            ),
            provenance={"seed": seed, "rows": [1, 2], "split": {"test": 0.25, "note": "é"}},
        )

    return make

"""Powers of two that weigh inputs: learned, judged on held-out rows, part of the quantiser."""

import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import InputQuantizer, dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.progress import silent
from qdeploy.training import input_shifts
from qdeploy.training.input_shifts import SHIFTS, learn_shifts, nearest_shifts
from qdeploy.training.losses import losses
from qdeploy.training.neurons.binary import BINARY
from qdeploy.training.search import Rows
from qdeploy.training.stopping import stop_on_interruption
from qdeploy.training.trainer import train

WEIGHTS = np.array([2.0, 1.0, 0.25, 0.25, 0.125, 0.125])


def examples(rows=40, seed=0):
    """Numbers that one product of two weighted sums explains; the weights are far from equal."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(rows, len(WEIGHTS)))
    other = WEIGHTS * np.array([1, -1, 1, 1, -1, 1])
    return inputs, (inputs @ WEIGHTS) * (inputs @ other)


def rows_of(inputs, values):
    names = tuple(f"x{i}" for i in range(inputs.shape[1]))
    quantizer = InputQuantizer.fit(inputs, names)
    return Rows(inputs, quantizer, values.reshape(-1, 1) / values.std(), losses["squared"])


def learned(rows, beta=1.0):
    with stop_on_interruption() as stop:
        return learn_shifts(rows, beta, "regress", BINARY, 0, silent, stop)


def test_nearest_powers_of_two():
    scales = np.array([1.0, 1.4, 1.5, 0.7, 0.36, 2.0, 1e-6])
    assert nearest_shifts(scales).tolist() == [0, 0, 1, -1, -1, 1, -3]
    assert nearest_shifts(3 * np.ones(4)).tolist() == [1, 1, 1, 1]


def test_inputs_that_matter_more_are_weighed_more():
    shifts = learned(rows_of(*examples()))
    assert shifts[0] > shifts[2]
    assert shifts[0] > shifts[4]
    assert shifts.min() >= SHIFTS[0]
    assert shifts.max() <= SHIFTS[1]


def test_shifts_that_do_not_help_on_held_out_rows_are_dropped(monkeypatch):
    harmful = np.array([-3, -3, 2, 2, 2, 2])
    monkeypatch.setattr(input_shifts, "_shifts", lambda *_: harmful)
    assert not learned(rows_of(*examples())).any()


def test_a_request_to_end_leaves_the_inputs_alike():
    rows = rows_of(*examples())
    with stop_on_interruption() as stop:

        def interrupt(_event):
            raise KeyboardInterrupt

        assert not learn_shifts(rows, 1.0, "regress", BINARY, 0, interrupt, stop).any()
        assert stop.requested


@pytest.mark.parametrize("beta", [1.0, "auto"])
def test_shifts_are_part_of_the_quantiser_and_the_proof_holds(beta):
    inputs, values = examples()
    data = dataset_from_arrays(inputs, values)
    plain = train(data, beta=beta, jobs=1)
    shifted = train(data, beta=beta, jobs=1, input_shifts="learned")
    ratios = np.log2(plain.model.quantizer.scale / shifted.model.quantizer.scale)
    np.testing.assert_allclose(ratios, np.rint(ratios), atol=1e-5)
    assert ratios.any()
    assert certify(shifted.model, data).holds
    fresh, truth = examples(400, seed=1)
    assert shifted.model.score(fresh, truth) > plain.model.score(fresh, truth)
    assert shifted.model.provenance["options"]["input_shifts"] == "learned"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"neurons": 4}, "compact mode learns a scale"),
        ({"activation": "square"}, "products of two sums"),
        ({"input_shifts": "some"}, "'none' or 'learned'"),
    ],
)
def test_what_shifts_do_not_go_with_is_refused(options, reason):
    with pytest.raises(QDeployError, match=reason):
        train(*examples(40), **{"input_shifts": "learned", **options})

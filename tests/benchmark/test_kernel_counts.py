import dataclasses

import numpy as np
import pytest

from qdeploy.benchmark.kernel_counts import KernelCount, count_kernels, random_model
from qdeploy.errors import QDeployError

COUNT = KernelCount("speed", 64, 16, "straight-line", "llvm", 1000, 1500.0, 3000, 0, 300, 800)


def test_a_network_is_counted_verified_and_reported():
    events = []
    (fast, small) = count_kernels(
        "cortex-m4", inputs=[16], neurons=[8], optimize=["speed", "size"], progress=events.append
    )
    assert (fast.inputs, fast.neurons, fast.optimize) == (16, 8, "speed")
    assert fast.instructions < small.instructions
    assert fast.flash > small.flash
    assert fast.verified > 0
    assert [event.completed for event in events] == [0, events[0].total / 2]
    assert "left" in events[1].detail


def test_hosts_are_refused():
    with pytest.raises(QDeployError, match="no microcontroller"):
        list(count_kernels("cpu", inputs=[16], neurons=[8]))


@pytest.mark.parametrize(
    ("change", "text", "met"),
    [
        ({}, "1.1·d·m", True),
        ({"instructions": 1130}, "1.1·d·m", False),
        ({"neurons": 128, "instructions": 5700}, "0.7·d·m", True),
        ({"neurons": 128, "instructions": 5800}, "0.7·d·m", False),
        ({"optimize": "size", "code": 1499, "constants": 281}, "1.1 bit + 1500 B", True),
        ({"optimize": "size", "code": 1500, "constants": 282}, "1.1 bit + 1500 B", False),
    ],
)
def test_goals(change, text, met):
    limit = dataclasses.replace(COUNT, **change).limit()
    assert (limit.text, limit.met) == (text, met)


@pytest.mark.parametrize("change", [{"neurons": 32}, {"inputs": 32}, {"optimize": "balanced"}])
def test_other_sizes_have_no_goal(change):
    assert dataclasses.replace(COUNT, **change).limit() is None


def test_figures_are_per_weight():
    count = dataclasses.replace(COUNT, instructions=2048, constants=256)
    assert count.per_product == 2
    assert count.bits_per_weight == 1


def test_networks_are_random_signs_and_reproducible():
    first, again, other = random_model(5, 3), random_model(5, 3), random_model(5, 3, seed=1)
    signs = first.network.layers[0].left
    assert set(np.unique(signs)) <= {-1, 1}
    np.testing.assert_array_equal(signs, again.network.layers[0].left)
    assert not np.array_equal(signs, other.network.layers[0].left)

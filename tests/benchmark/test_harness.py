import ctypes

import numpy as np
import pytest

from qdeploy.benchmark.harness import (
    BatchState,
    HarnessTimer,
    PredictState,
    clock_cost,
    loop_cost,
)
from qdeploy.benchmark.timing import Schedule, plan_groups
from qdeploy.errors import QDeployError
from qdeploy.native import build_shared

SOURCE = """
#include <stddef.h>
#include <stdint.h>
int calls, sequence[64];
int predict(const int8_t *x, int32_t *scores) {
    if (calls < 64) sequence[calls] = x[0];
    ++calls;
    scores[0] = 2 * x[0];
    return x[0] == 99 ? 7 : 0;
}
int predict_batch(const int8_t *x, size_t count, int32_t *scores) {
    for (size_t i = 0; i < count; ++i) predict(x + 3 * i, scores + i);
    return 0;
}
int spin(const int8_t *x, int32_t *scores) {
    volatile uint32_t sink = 0;
    for (int32_t i = 0; i < 1000 * x[0]; ++i) sink += (uint32_t)i;
    scores[0] = (int32_t)sink;
    return 0;
}
"""


@pytest.fixture
def library(tmp_path):
    source = tmp_path / "counted.c"
    source.write_text(SOURCE)
    build_shared([source], tmp_path / "counted.so")
    return ctypes.CDLL(str(tmp_path / "counted.so"))


def timer_of(library, inputs, function="predict", count=None):
    inputs = np.ascontiguousarray(inputs, dtype=np.int8)
    scores = np.zeros(count or 1, dtype=np.int32)
    address = ctypes.cast(getattr(library, function), ctypes.c_void_p).value
    stride = inputs[0].size
    fields = (address, inputs.ctypes.data, stride, scores.ctypes.data)
    state = PredictState(*fields) if count is None else BatchState(*fields, count)
    step = "step_predict" if count is None else "step_batch"
    return HarnessTimer(step, state, len(inputs), (inputs, scores, library)), scores


def counter(library):
    return ctypes.c_int.in_dll(library, "calls").value


def test_each_group_makes_its_calls_and_gives_one_positive_sample(library):
    timer, _ = timer_of(library, [[1, 0, 0], [2, 0, 0]])
    samples = timer.measure(calls=7, groups=5)
    assert samples.shape == (5,)
    assert (samples > 0).all()
    assert counter(library) == 35


def test_warming_up_adds_calls_but_no_samples(library):
    timer, _ = timer_of(library, [[1, 0, 0]])
    assert timer.measure(calls=10, groups=2, warm_seconds=1e-4).shape == (2,)
    assert counter(library) > 20


def test_inputs_are_taken_in_turn_across_groups(library):
    timer, scores = timer_of(library, [[5, 0, 0], [6, 0, 0], [7, 0, 0]])
    timer.measure(calls=2, groups=2)
    sequence = (ctypes.c_int * 64).in_dll(library, "sequence")
    assert list(sequence[:4]) == [5, 6, 7, 5]
    assert scores[0] == 10


def test_a_batch_is_one_call(library):
    timer, scores = timer_of(
        library, np.arange(12).reshape(2, 2, 3), function="predict_batch", count=2
    )
    timer.measure(calls=1, groups=1)
    assert counter(library) == 2
    assert scores.tolist() == [0, 6]


def test_a_failing_call_is_an_error(library):
    timer, _ = timer_of(library, [[1, 0, 0], [99, 0, 0]])
    with pytest.raises(QDeployError, match="status 7"):
        timer.measure(calls=2, groups=1)


def test_more_work_takes_longer(library):
    costs = [
        timer_of(library, [[work, 0, 0]], function="spin")[0].measure(20, 20).min()
        for work in (1, 10, 100)
    ]
    assert costs == sorted(costs)
    assert costs[2] > 10 * costs[0]


def test_groups_are_long_enough_for_the_clock(library):
    timer, _ = timer_of(library, [[1, 0, 0]])
    plan = plan_groups(timer, Schedule(seconds=0.01))
    assert plan.calls > 1
    assert plan.groups >= 1


def test_the_harness_knows_its_own_costs():
    assert clock_cost() > 0
    assert loop_cost() > 0

import numpy as np
import pytest

from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model, Numbers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer


def network(outputs: int) -> QuantizedNetwork:
    """Scores x0 · x1, then twice and three times that."""
    quadratic = QuadraticLayer([[1, 0]], [[0, 1]], [0], [0])
    return QuantizedNetwork([quadratic, ReadoutLayer([list(range(1, outputs + 1))], [0] * outputs)])


QUANTIZER = InputQuantizer(("a", "b", "c"), [2, 0], [1.0, 0.0], [0.5, 2.0], zero_point=1)


def test_raw_features_are_quantized_and_int8_taken_as_it_is():
    model = Model("m", network(1), 1.0, Classes(("no", "yes")), QUANTIZER)
    raw = np.array([[4.0, 99.0, 2.0]])
    assert model.quantize(raw).tolist() == [[3, 3]]
    x = np.array([[3, 3]], dtype=np.int8)
    assert model.quantize(x) is x
    assert model.scores(raw).tolist() == model.scores(x).tolist() == [[9]]
    assert model.predict(raw).tolist() == ["yes"]


def test_two_classes_by_sign_and_zero_is_the_first():
    head = Classes((-1, 1))
    assert head.outputs == 1
    assert head.decide(np.array([[-5], [0], [1]])).tolist() == [-1, -1, 1]


def test_more_classes_by_the_first_largest_score():
    head = Classes(("a", "b", "c"))
    assert head.outputs == 3
    scores = np.array([[1, 1, 0], [-3, -2, -2], [0, 0, 1]])
    assert head.decide(scores).tolist() == ["a", "b", "c"]


def test_two_scores_may_choose_between_two_classes():
    head = Classes(("a", "b"), outputs=2)
    assert head.decide(np.array([[4, 3], [3, 4], [3, 3]])).tolist() == ["a", "b", "a"]


def test_numbers_are_scaled_back():
    one = Model("m", network(1), 0.5, Numbers(("y",), (10.0,), (2.0,)))
    x = np.array([[3, 4], [-1, 5]], dtype=np.int8)
    assert one.predict(x).tolist() == [22.0, 5.0]
    two = Model("m", network(2), 0.5, Numbers(("y", "z"), (10.0, 0.0), (2.0, 1.0)))
    assert two.predict(x).tolist() == [[22.0, 12.0], [5.0, -5.0]]


def test_score_is_the_share_of_right_classes_or_the_mean_r_squared():
    x = np.array([[1, 1], [2, 1], [-1, 3], [0, 5]], dtype=np.int8)
    classifier = Model("m", network(1), 1.0, Classes(("no", "yes")))
    assert classifier.score(x, np.array(["yes", "no", "no", "no"])) == 0.75
    numbers = Model("m", network(2), 1.0, Numbers(("y", "z"), (0.0, 0.0), (1.0, 1.0)))
    exact = numbers.predict(x)
    assert numbers.score(x, exact) == 1.0
    assert (
        numbers.score(x, np.column_stack([exact[:, 0], [0.0, 0.0, 0.0, 4.0]]))
        == (1 + (1 - (4 + 16 + 36 + 16) / 12)) / 2
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Classes(("a",)), "at least two labels"),
        (lambda: Classes(("a", "a")), "all different"),
        (lambda: Classes((1, True)), "all different"),
        (lambda: Classes(("a", "b", "c"), 1), "3 classes need 3 scores, not 1"),
        (lambda: Numbers((), (), ()), "needs a name, mean and deviation"),
        (lambda: Numbers(("a", "b"), (0.0,), (1.0,)), "needs a name, mean and deviation"),
        (lambda: Numbers(("a",), (float("nan"),), (1.0,)), "must be finite"),
        (lambda: Numbers(("a",), (0.0,), (0.0,)), "finite and positive"),
        (lambda: Model("m", network(2), 1.0, Classes((0, 1))), "gives 2 scores but the model's"),
        (
            lambda: Model(
                "m", network(1), 1.0, Classes((0, 1)), InputQuantizer(("a",), [0], [0], [1])
            ),
            "the quantiser gives 1 inputs but the network takes 2",
        ),
        (lambda: Model("m", network(1), 0.0, Classes((0, 1))), "must be positive, not 0"),
        (lambda: Model("m", network(1), float("inf"), Classes((0, 1))), "must be positive"),
        (lambda: Model("9m", network(1), 1.0, Classes((0, 1))), "will name C functions"),
        (lambda: Model("", network(1), 1.0, Classes((0, 1))), "will name C functions"),
        (lambda: Model("é", network(1), 1.0, Classes((0, 1))), "will name C functions"),
    ],
)
def test_ill_formed_models_are_refused_in_a_sentence(build, message):
    with pytest.raises(QDeployError, match=message):
        build()


def test_a_model_without_quantizer_takes_int8_only():
    model = Model("m", network(1), 1.0, Classes((0, 1)))
    with pytest.raises(QDeployError, match=r"give it int8 inputs of shape \(n, 2\)"):
        model.predict(np.zeros((1, 2)))

"""What the method reaches on the reference problems: proven gaps and accuracy, never times."""

import pytest

import qdeploy
from qdeploy.checker import certify
from qdeploy.data import read_dataset, split


def trained(source, seed, **options):
    train, test = split(read_dataset(source), 0.25, seed)
    result = qdeploy.train(train, seed=seed, **options)
    check = certify(result.model, train)
    assert check.holds, check.reason
    return result, result.model.score(test.features, test.target)


@pytest.mark.parametrize("beta", [100.0, 20.0])
def test_breast_cancer_is_proven_to_half_a_per_cent(beta):
    result, _ = trained("sklearn:breast_cancer", 0, beta=beta)
    assert result.certificate.method == "enumeration"
    assert len(result.certificate.outputs[0].residual) == 426
    assert result.certificate.gap <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "squared-hinge"])
@pytest.mark.parametrize("beta", [300.0, 50.0, 10.0, 5.0])
def test_breast_cancer_along_the_useful_penalties(loss, beta):
    result, score = trained("sklearn:breast_cancer", 1, beta=beta, loss=loss)
    assert result.certificate.gap <= 0.015
    if beta <= 50:
        assert score >= 0.93


@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
def test_digits_with_ten_certificates():
    result, score = trained("sklearn:digits", 0, beta=40.0, loss="squared-hinge", scaling="tensor")
    assert len(result.certificate.outputs) == 10
    assert result.certificate.method == "sdp"
    assert result.certificate.gap <= 0.2
    assert score >= 0.97


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loss", ["squared", "squared-hinge"])
def test_digits_over_several_seeds(loss, seed):
    result, score = trained("sklearn:digits", seed, beta=46.0, loss=loss, scaling="tensor")
    assert result.certificate.gap <= (0.1 if loss == "squared" else 0.2)
    assert score >= 0.97

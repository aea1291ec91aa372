import numpy as np
import pytest

from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

FEATURES = 6
NEURONS = 4


def make_model(outputs: int = 1, seed: int = 0) -> tuple[Model, tuple[Dataset, Dataset]]:
    """A network with random weights, and rows labelled by it, so that every accuracy is 1."""
    generator = np.random.default_rng(seed)
    names = tuple(f"x{i}" for i in range(FEATURES))
    features = generator.normal(size=(120, FEATURES))
    signs = (NEURONS, FEATURES)
    network = QuantizedNetwork(
        [
            QuadraticLayer(
                generator.choice([-1, 1], signs).astype(np.int8),
                generator.choice([-1, 1], signs).astype(np.int8),
                generator.integers(-32, 33, NEURONS).astype(np.int32),
                generator.integers(-32, 33, NEURONS).astype(np.int32),
            ),
            ReadoutLayer(
                generator.integers(-90, 91, (NEURONS, outputs)).astype(np.int32),
                generator.integers(-999, 1000, outputs),
            ),
        ]
    )
    labels = ("no", "yes") if outputs == 1 else tuple("abcdefgh"[:outputs])
    model = Model(
        name="tiny",
        network=network,
        scale=1e-4,
        head=Classes(labels),
        quantizer=InputQuantizer.fit(features, names),
    )
    target = model.predict(features)
    rows = [
        Dataset(features[part], target[part], names, ("label",), "classify", "made up")
        for part in (slice(0, 80), slice(80, None))
    ]
    return model, (rows[0], rows[1])


@pytest.fixture(scope="session")
def tiny() -> tuple[Model, tuple[Dataset, Dataset]]:
    return make_model()


@pytest.fixture(scope="session")
def artifact(tiny, tmp_path_factory):
    from qdeploy.compiler import compile_model

    return compile_model(tiny[0], "cpu", tmp_path_factory.mktemp("compiled") / "tiny")


@pytest.fixture(scope="session")
def report(artifact, tiny):
    from qdeploy.benchmark import bench

    return bench(artifact, dataset=tiny[1], seconds=0.006)


@pytest.fixture(scope="session")
def firmware(tiny, tmp_path_factory):
    """The same model, compiled for a microcontroller."""
    from qdeploy.compiler import compile_model

    return compile_model(tiny[0], "nucleo-l4r5zi", tmp_path_factory.mktemp("firmware") / "tiny")


@pytest.fixture(scope="session")
def mcu_report(firmware, tiny):
    from qdeploy.benchmark import bench

    return bench(firmware, dataset=tiny[1], peers=["linear-int8", "tvm-default", "m2cgen-tree"])


@pytest.fixture(scope="session")
def linux_artifact(tiny, tmp_path_factory):
    """The same model, compiled for an ARM board."""
    from qdeploy.compiler import compile_model

    return compile_model(tiny[0], "raspberry-pi-5", tmp_path_factory.mktemp("linux") / "tiny")


@pytest.fixture(scope="session")
def arm_report(linux_artifact, tiny):
    from qdeploy.benchmark import bench

    peers = ["tvm-default", "plain-c", "linear-int8", "emlearn-trees-3"]
    return bench(linux_artifact, dataset=tiny[1], peers=peers)

import ctypes

import numpy as np
import pytest

from qdeploy.benchmark.peers_mcu.generated import MATH_SOURCES, import_emlearn
from qdeploy.native import build_shared


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("math")
    for name, text in MATH_SOURCES.items():
        (folder / name).write_text(text)
    # A name of its own for each, so that the C library's cannot answer in their place.
    renamed = [f"-D{name}=small_{name}" for name in ("expf", "logf", "tanhf")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", f"-I{folder}", *renamed]
    build_shared([folder / "float_math.c"], folder / "math.so", flags)
    library = ctypes.CDLL(str(folder / "math.so"))

    def function(name):
        scalar = getattr(library, f"small_{name}")
        scalar.restype, scalar.argtypes = ctypes.c_float, [ctypes.c_float]
        return np.vectorize(scalar, otypes=[np.float32])

    return function


@pytest.mark.parametrize(
    ("name", "meaning", "arguments"),
    [
        ("expf", np.exp, np.linspace(-87, 88.5, 5001)),
        ("logf", np.log, np.geomspace(1e-37, 1e38, 5001)),
        ("tanhf", np.tanh, np.linspace(0.5, 12, 1001)),
    ],
)
def test_values_are_good_to_some_units_in_the_last_place(name, meaning, arguments, functions):
    arguments = arguments.astype(np.float32)
    expected = meaning(arguments.astype(np.float64))
    error = np.abs(functions(name)(arguments) - expected)
    assert (error <= 4e-7 * np.abs(expected) + 1e-7 * (name != "expf")).all()


def test_emlearn_leaves_numpy_as_it_was():
    pytest.importorskip("emlearn")
    before = np.geterr()
    import_emlearn()
    assert np.geterr() == before


def test_values_at_the_ends(functions):
    exponential, logarithm = functions("expf"), functions("logf")
    assert exponential([-200.0, 0.0, 200.0]).tolist() == [0.0, 1.0, np.inf]
    assert logarithm([0.0, 1.0, np.inf]).tolist() == [-np.inf, 0.0, np.inf]
    with np.errstate(invalid="ignore"):
        assert np.isnan([*exponential([np.nan]), *logarithm([np.nan, -1.0])]).all()

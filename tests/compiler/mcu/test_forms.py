"""Every form gives the network's bits: portable C under sanitizers, real code in the emulator."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.compiler.verify import trial_inputs
from qdeploy.targets import list_cores, load_core

DSP = ("dsp", "unaligned", "long-multiply", "divide")
PLAIN = ("unaligned", "long-multiply", "divide")
NARROW = ()
RISC = ("long-multiply", "divide", "many-registers")
CASES = {
    "one of each": (1, 1, 1, {}),
    "no linear terms": (2, 3, 1, {"constant": 0}),
    "breast cancer": (30, 40, 1, {}),
    "one-hot": (33, 70, 10, {"readout": "one-hot"}),
    "shared neurons": (17, 37, 11, {}),
    "even size": (63, 20, 2, {"constant": 0}),
    "zero readout": (5, 9, 3, {"readout": "zero"}),
    "odd constant": (12, 8, 2, {"constant": 33, "readout": "one-hot"}),
    "large constant": (20, 5, 1, {"constant": 200}),
    "large readout weights": (40, 12, 2, {"amplitude": 2**31 - 1}),
    "several stretches": (300, 5, 1, {}),
    "int8 weights": (29, 18, 3, {"weights": "int8"}),
    "wide with empty places": (600, 7, 3, {"constant": 1000}),
    "extreme weights": (40, 6, 1, {"weights": "extreme"}),
    "neurons of one sum": (13, 9, 3, {"weights": "one sum"}),
}
CORES = list_cores()


@pytest.mark.parametrize(
    "extensions", [DSP, PLAIN, RISC, NARROW], ids=["dsp", "plain", "risc", "narrow"]
)
@pytest.mark.parametrize("case", CASES)
def test_portable_c_under_sanitizers(case, extensions, model, make_kernel, sanitized):
    inputs, neurons, outputs, options = CASES[case]
    subject = model(inputs, neurons, outputs, **options)
    x = trial_inputs(subject.network)[:160]
    expected = subject.network.forward(x)
    ran = 0
    for name in FORMS.names():
        kernel = FORMS[name].kernel(subject.network, frozenset(extensions))
        if isinstance(kernel, str):
            continue
        np.testing.assert_array_equal(sanitized(subject, kernel, x), expected, err_msg=name)
        ran += 1
    assert ran >= 1


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("form", FORMS.names())
def test_both_generators_on_every_core(form, core, model, make_kernel, on_core, tmp_path):
    subject = model(21, 7, 2)
    network = subject.network
    kernel = make_kernel(form, network, load_core(core).extensions)
    x = trial_inputs(network)[::3]
    for generator in ("llvm", "c"):
        folder = tmp_path / generator
        folder.mkdir()
        session = on_core(subject, kernel, core, generator, "zig", folder)
        np.testing.assert_array_equal(session(x), network.forward(x), err_msg=generator)


@pytest.mark.parametrize("form", FORMS.names())
def test_the_second_compiler(form, model, make_kernel, on_core, tmp_path):
    subject = model(30, 9, 1)
    kernel = make_kernel(form, subject.network)
    x = trial_inputs(subject.network)[::5]
    session = on_core(subject, kernel, "cortex-m4", "c", "gcc", tmp_path)
    np.testing.assert_array_equal(session(x), subject.network.forward(x))


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("case", CASES)
def test_every_case_on_every_core(case, core, model, on_core, tmp_path):
    inputs, neurons, outputs, options = CASES[case]
    subject = model(inputs, neurons, outputs, **options)
    network, x = subject.network, trial_inputs(subject.network)
    for name in FORMS.names():
        kernel = FORMS[name].kernel(network, frozenset(load_core(core).extensions))
        if isinstance(kernel, str):
            continue
        for generator, toolchain in (("llvm", "zig"), ("c", "zig"), ("c", "gcc")):
            folder = tmp_path / f"{name}-{generator}-{toolchain}"
            folder.mkdir()
            session = on_core(subject, kernel, core, generator, toolchain, folder)
            np.testing.assert_array_equal(session(x), network.forward(x), err_msg=folder.name)


@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    inputs=st.integers(1, 40),
    neurons=st.integers(1, 12),
    outputs=st.integers(1, 7),
    constant=st.sampled_from([0, 1, 31, 32, 127, 128]),
    seed=st.integers(0, 2**16),
    dsp=st.booleans(),
)
@example(inputs=1, neurons=10, outputs=1, constant=0, seed=2061, dsp=False)
def test_random_shapes(inputs, neurons, outputs, constant, seed, dsp, model, sanitized):
    subject = model(inputs, neurons, outputs, constant=constant, seed=seed)
    x = trial_inputs(subject.network)[:40]
    for name in ("straight-line", "packed-signs" if dsp else "lookup-tables"):
        kernel = FORMS[name].kernel(subject.network, frozenset(DSP if dsp else PLAIN))
        np.testing.assert_array_equal(
            sanitized(subject, kernel, x), subject.network.forward(x), err_msg=name
        )


def test_ternary_networks_take_two_bits(make_kernel, sanitized):
    from qdeploy.model import Classes, Model
    from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

    rng = np.random.default_rng(3)
    draw = lambda: rng.integers(-1, 2, (6, 37))  # noqa: E731
    network = QuantizedNetwork(
        [
            QuadraticLayer(draw(), draw(), rng.integers(-9, 9, 6), rng.integers(-9, 9, 6)),
            ReadoutLayer(rng.integers(-99, 99, (6, 1)), np.zeros(1, dtype=int)),
        ]
    )
    subject = Model("toy", network, 1.0, Classes(("a", "b")))
    kernel = make_kernel("ternary", network)
    codes = next(item for item in kernel.constants if item.name == "codes")
    assert codes.values.nbytes * 8 / (2 * 6) == 2 * 48
    x = trial_inputs(network)
    np.testing.assert_array_equal(sanitized(subject, kernel, x), network.forward(x))
    with pytest.raises(pytest.skip.Exception, match="not all"):
        make_kernel("straight-line", network)


def test_forms_say_why_they_cannot(network):
    signs, wide = network(4, 3, 1), network(4, 3, 1, weights="int8")
    assert "not all" in FORMS["straight-line"].kernel(wide, frozenset(DSP))
    assert "USADA8" in FORMS["packed-signs"].kernel(signs, frozenset(PLAIN))
    assert "SMLAD" in FORMS["ternary"].kernel(signs, frozenset(PLAIN))
    assert "128 kilobytes" in FORMS["straight-line"].kernel(network(600, 600, 1), frozenset(DSP))


@pytest.mark.parametrize(
    ("bias", "room"), [(2**31 - 1, False), (-(2**31), False), (2**31 - 4000, True)]
)
def test_biases_at_the_end_of_32_bits(bias, room, network, sanitized):
    from qdeploy.model import Classes, Model
    from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

    layer = network(5, 2, 1).layers[0]
    ends = np.array([bias, 3])
    one = np.array([[1], [1]])
    large = QuantizedNetwork(
        [QuadraticLayer(layer.left, layer.right, ends, ends[::-1]), ReadoutLayer(one, [7])]
    )
    subject = Model("toy", large, 1.0, Classes(("a", "b")))
    x = trial_inputs(large)[:40]
    kernels = {name: FORMS[name].kernel(large, frozenset(DSP)) for name in FORMS.names()}
    for name in ("packed-signs", "lookup-tables", "straight-line", "ternary"):
        assert isinstance(kernels[name], str) is not room, name
    for name in ("packed-signs", "straight-line", "int8-rows") if room else ("int8-rows",):
        scores = sanitized(subject, kernels[name], x)
        np.testing.assert_array_equal(scores, large.forward(x), err_msg=name)

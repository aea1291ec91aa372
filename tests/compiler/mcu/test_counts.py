"""The goals of the kernels on a Cortex-M4, counted; figures that do not depend on the machine."""

import numpy as np
import pytest

from qdeploy.compiler.mcu.forms import FORMS
from qdeploy.targets import load_core

SAMPLE = np.random.default_rng(0)


def instructions(form, subject, on_core, folder, generator="llvm"):
    kernel = FORMS[form].kernel(subject.network, frozenset(load_core("cortex-m4").extensions))
    session = on_core(subject, kernel, "cortex-m4", generator, "zig", folder)
    x = SAMPLE.integers(-128, 128, subject.network.inputs).astype(np.int8)
    return session.count(x)


@pytest.mark.parametrize("inputs", [64, 128])
def test_sixteen_neurons_in_eleven_tenths_of_an_instruction(inputs, model, on_core, tmp_path):
    subject = model(inputs, 16, 1, constant=0)
    counts = instructions("straight-line", subject, on_core, tmp_path)
    assert counts.instructions <= 1.1 * inputs * 16


@pytest.mark.parametrize("inputs", [64, 128])
def test_many_neurons_in_seven_tenths_of_an_instruction(inputs, model, on_core, tmp_path):
    subject = model(inputs, 128, 1, constant=0)
    counts = instructions("collapsed", subject, on_core, tmp_path)
    assert counts.instructions <= 0.7 * inputs * 128


@pytest.mark.slow
def test_many_neurons_on_many_inputs(model, on_core, tmp_path):
    subject = model(256, 128, 1, constant=0)
    counts = instructions("straight-line", subject, on_core, tmp_path)
    assert counts.instructions <= 0.7 * 256 * 128


def test_dual_additions_are_half_an_instruction_an_input_and_neuron(model, on_core, tmp_path):
    subject = model(64, 16, 1, constant=0)
    counts = instructions("straight-line", subject, on_core, tmp_path)
    # 16 · 64 / 2 of the first layer; spreading and joining take less than a third of that again.
    assert 512 - 40 <= counts.classes["simd"] <= 512 * 1.4


@pytest.mark.parametrize(("inputs", "neurons"), [(64, 64), (128, 32), (256, 16)])
def test_packed_signs_are_one_bit_a_weight(inputs, neurons, network):
    kernel = FORMS["packed-signs"].kernel(
        network(inputs, neurons, 1, constant=0), frozenset({"dsp", "unaligned"})
    )
    signs, *rest = kernel.constants
    weights = 2 * inputs * neurons
    assert signs.values.nbytes * 8 == weights
    others = {item.name: item.values.nbytes for item in rest}
    # The readout's weights are weights of their own.
    assert others.pop("readout_weight") == neurons
    assert 8 * sum(others.values()) <= 0.1 * weights


def test_code_of_packed_signs_is_small(model, on_core, tmp_path):
    from qdeploy.firmware import read_image

    subject = model(64, 64, 1, constant=0)
    instructions("packed-signs", subject, on_core, tmp_path, generator="c")
    assert read_image(tmp_path / "image.elf").code < 1500


def test_weights_stay_in_flash(model, on_core, tmp_path):
    from qdeploy.firmware import read_image

    for form in FORMS.names():
        subject = model(40, 12, 3)
        kernel = FORMS[form].kernel(subject.network, frozenset(load_core("cortex-m4").extensions))
        folder = tmp_path / form
        folder.mkdir()
        on_core(subject, kernel, "cortex-m4", "llvm", "zig", folder)
        assert read_image(folder / "image.elf").data == 0, form

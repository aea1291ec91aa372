"""Targets become processors; what a kernel or hypervisor hides is not used."""

import pytest

from qdeploy.compiler import processor as processors
from qdeploy.compiler.lowering import Processor
from qdeploy.compiler.processor import native_processor, processor_for, runs_here
from qdeploy.errors import QDeployError
from qdeploy.targets import Codegen, CpuTarget

LINUX = "x86_64-unknown-linux-gnu"


def target(triple="native", cpu="native", features=()):
    codegen = Codegen(triple=triple, cpu=cpu, features=features)
    return CpuTarget(name="some", family="cpu", description="Some machine.", codegen=codegen)


@pytest.fixture
def pretend(monkeypatch):
    """Pretend that LLVM found a processor and Linux tells some flags."""

    def set_machine(cpu, flags):
        monkeypatch.setattr(processors.codegen, "llvm_get_system_triple", lambda: LINUX)
        monkeypatch.setattr(processors.codegen, "llvm_get_system_cpu", lambda: cpu)
        monkeypatch.setattr(processors, "_kernel_features", lambda: flags)
        native_processor.cache_clear()

    yield set_machine
    native_processor.cache_clear()


V3 = frozenset(
    {"sse", "sse2", "pni", "ssse3", "sse41", "sse42"}
    | {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2"}
)


def test_hidden_features_are_left_out(pretend):
    pretend("x86-64-v4", V3)
    native = native_processor()
    assert "avx2" in native.features
    assert not [name for name in native.features if name.startswith("avx512")]
    assert "-avx512f" in native.attributes
    assert runs_here(Processor(LINUX, "x86-64-v3"))
    assert not runs_here(Processor(LINUX, "x86-64-v4"))


def test_features_are_known_by_the_kernels_names(pretend):
    pretend("x86-64-v3", V3)
    assert native_processor().attributes == ()


def test_native_targets_are_this_machine():
    assert processor_for(target()) == native_processor()
    assert runs_here(native_processor())


def test_named_features_are_added_and_removed():
    processor = processor_for(target(LINUX, "x86-64-v3", ("-avx2", "+avxvnni")))
    assert "avx2" not in processor.features
    assert "avxvnni" in processor.features


def test_another_architecture_needs_a_named_processor():
    with pytest.raises(QDeployError, match="name the processor in its codegen table"):
        processor_for(target("riscv32-unknown-elf"))


def test_unknown_processors_are_refused():
    with pytest.raises(QDeployError, match="knows no processor 'abacus'"):
        processor_for(target(LINUX, "abacus"))

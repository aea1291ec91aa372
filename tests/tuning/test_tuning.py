"""The tuner: its log reproduces its result, and nothing slower than the default is taken."""

import json
import shutil

import numpy as np
import pytest

from qdeploy import onnx
from qdeploy.benchmark.kernel_counts import random_model
from qdeploy.benchmark.timing import Estimate
from qdeploy.compiler import compile_model
from qdeploy.compiler.families import FAMILIES
from qdeploy.compiler.plan import candidates
from qdeploy.errors import QDeployError
from qdeploy.native import build_shared
from qdeploy.progress import silent
from qdeploy.remote import QemuPlace
from qdeploy.targets import load_target
from qdeploy.tuning import MEASURES, read_log, tune
from qdeploy.tuning.measures import NO_BOARD, Measure, Subject, Weighing
from qdeploy.tuning.measures.board import BoardWeighing


class _Staged(Weighing):
    """Costs by the order of the candidates, and a race that goes as the test wants it."""

    where = "a stage"

    def __init__(self, found, race):
        self._found = found
        self._race = race

    def costs(self):
        return [Estimate(c, c, c) for c in np.linspace(2.0, 1.0, len(self._found))]

    def ratio(self, first, second):
        return self._race


class _StagedMeasure(Measure):
    name, obtained, unit = "staged", "measured", "s"

    def __init__(self, race):
        self.race = race

    def suits(self, subject):
        return True

    def open(self, subject, found):
        return _Staged(found, self.race)


@pytest.fixture
def staged(monkeypatch):
    def stage(*race):
        monkeypatch.setattr(MEASURES, "_entries", {"staged": _StagedMeasure(Estimate(*race))})
        monkeypatch.setattr(MEASURES, "_discovered", True)

    return stage


@pytest.fixture(scope="module")
def model():
    return random_model(20, 24)


def test_a_faster_plan_is_taken_and_kept_with_its_log(staged, model, tmp_path):
    staged(0.8, 0.7, 0.9)
    log = tune(model, load_target("cpu"))
    assert all(race.taken for race in log.races)
    assert [race.winner for race in log.races] == [race.fastest for race in log.races]
    artifact = compile_model(model, "cpu", tmp_path / "artifact", selection=log.selection())
    plan = artifact.manifest.plan
    assert [plan.single.pick, plan.batch.pick] == [r.winner for r in log.races]
    assert read_log(artifact.tuning_log) == log


@pytest.mark.parametrize("race", [(1.3, 1.2, 1.4), (0.98, 0.9, 1.01)])
def test_what_is_not_faster_for_sure_is_left(staged, model, race):
    """The search says faster, the last race says slower, or cannot tell."""
    staged(*race)
    log = tune(model, load_target("cpu"))
    assert not any(race.taken for race in log.races)
    assert [race.winner for race in log.races] == [race.default for race in log.races]


def test_every_block_size_of_every_form_is_tried(staged, model):
    staged(1.0, 1.0, 1.0)
    log = tune(model, load_target("cpu"))
    tried = {(trial.use, trial.pick) for trial in log.trials}
    assert len(tried) == len(log.trials)
    assert len({pick.vectors for use, pick in tried if pick.form == "pair-sums"}) > 1


def test_this_machine_times_what_it_compiles(model, tmp_path):
    log = tune(model, load_target("cpu"), seconds=0.01)
    assert (log.measure, log.obtained, log.unit) == ("host", "measured", "s")
    assert all(trial.low <= trial.cost <= trial.high for trial in log.trials)
    single, batch = log.races
    assert (single.use, batch.use) == ("single", "batch")
    for race in log.races:
        assert race.taken == (race.high < 1)


def test_a_log_of_another_network_or_target_is_refused(staged, model):
    staged(0.8, 0.7, 0.9)
    log = tune(model, load_target("cpu"))
    log.check(model, load_target("cpu"))
    with pytest.raises(QDeployError, match="the tuning log is of another network"):
        log.check(random_model(20, 24, seed=1), load_target("cpu"))
    with pytest.raises(QDeployError, match=r"another target \(cpu, not x86-64-v3\)"):
        log.check(model, load_target("x86-64-v3"))


def test_a_log_of_another_version_names_kernels_that_are_not_there(staged, model):
    staged(0.8, 0.7, 0.9)
    values = json.loads(tune(model, load_target("cpu")).text())
    values["races"][0]["fastest"]["form"] = "matrices"
    log = type(tune(model, load_target("cpu"))).model_validate(values)
    with pytest.raises(QDeployError, match="kernels that this version does not have"):
        compile_model(model, "cpu", selection=log.selection())


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "is no tuning log .network: Field required."), ("nonsense", "is no tuning log")],
)
def test_broken_logs_get_one_sentence(tmp_path, text, message):
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(QDeployError, match=message):
        read_log(tmp_path / "log.json")
    with pytest.raises(QDeployError, match="cannot be read"):
        read_log(tmp_path / "missing.json")


def test_microcontrollers_leave_nothing_to_tune(model):
    with pytest.raises(QDeployError, match="there is nothing to tune for target 'cortex-m4'"):
        tune(model, load_target("cortex-m4"))


def test_the_network_of_a_log_survives_its_file(staged, model, tmp_path):
    """The digest is of the integers: a model that was saved and loaded has the same."""
    staged(0.8, 0.7, 0.9)
    log = tune(model, load_target("cpu"))
    log.check(onnx.load(onnx.save(model, tmp_path / "model.onnx")), load_target("cpu"))


def test_a_board_runs_one_program_a_candidate(tmp_path):
    """Under QEMU, whose time means nothing, but whose bits and processes do."""
    target = load_target("raspberry-pi-5")
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    setting = FAMILIES["arm"].setting(target)
    network = random_model(20, 8).network
    found, _ = candidates(network, setting.isa, ("matrix",))
    subject = Subject(network, setting, target, NO_BOARD, None, 0.01, silent)
    tried = [found[0], found[-1]]
    assert [each.use for each in tried] == ["single", "batch"]
    with BoardWeighing(subject, tried, QemuPlace(target.compiled_core)) as weighing:
        single, batch = weighing.costs()
        assert 0 < single.low <= single.value <= single.high
        assert batch.value > 0
        assert weighing.ratio(0, 1).value > 0


def test_kernels_on_a_board_of_tvms_rpc(monkeypatch):
    """A server on the loopback, with kernels for this machine in place of a board's."""
    from tvm import rpc

    from qdeploy.tuning.measures import Access
    from qdeploy.tuning.measures import rpc as measure

    network = random_model(20, 8).network
    setting = FAMILIES["cpu"].setting(load_target("cpu"))
    found, _ = candidates(network, setting.isa, ("matrix",))
    tried = [found[0], found[-1]]

    def for_this_machine(subject, found, output):
        monkeypatch.setattr(measure, "LINUX_TOOLCHAINS", {"zig": Here()})
        return measure_kernels(subject, found, output)

    class Here:
        def module(self, core, objects, output):
            build_shared(objects, output)

    measure_kernels = measure.kernel_module
    monkeypatch.setattr(measure, "kernel_module", for_this_machine)
    server = rpc.Server("127.0.0.1", 9290, 9390, silent=True)
    try:
        access = Access(rpc=f"127.0.0.1:{server.port}")
        subject = Subject(
            network, setting, load_target("raspberry-pi-5"), access, None, 0.01, silent
        )
        assert MEASURES["rpc"].suits(subject)
        with MEASURES["rpc"].open(subject, tried) as weighing:
            single, batch = weighing.costs()
            assert 0 < single.low <= single.value <= single.high
            assert 0 < batch.value < 1
            assert weighing.ratio(0, 1).value > 0
            del weighing
    finally:
        server.terminate()


def test_kernels_for_another_machine_are_refused_by_its_board():
    from tvm import rpc

    from qdeploy.tuning.measures import Access

    server = rpc.Server("127.0.0.1", 9290, 9390, silent=True)
    try:
        access = Access(rpc=f"127.0.0.1:{server.port}")
        with pytest.raises(QDeployError, match="cannot load the kernels"):
            tune(random_model(20, 4), load_target("raspberry-pi-5"), access=access, seconds=0.01)
    finally:
        server.terminate()

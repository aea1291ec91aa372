import re
import tomllib
from pathlib import Path

import pytest

from qdeploy.errors import QDeployError
from qdeploy.targets import (
    Codegen,
    CpuTarget,
    list_targets,
    load_benchmark,
    load_target,
    power_of,
    processor_name,
)

FOLDER = Path(__file__).parents[2] / "targets"
PROCESSORS = tomllib.loads((FOLDER / "cpu" / "processors.toml").read_text())
HEAD = 'name = "board"\nfamily = "cpu"\ndescription = "A board."\n'
CODEGEN = '[codegen]\ntriple = "native"\ncpu = "native"\n'
CPU = ["cpu", "x86-64-v2", "x86-64-v3"]
POWER = '[power]\nlow = 1\ntypical = 2.5\nhigh = 4\nkind = "measured"\nsource = "meter"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text)
    return path


def codegen_of(name: str) -> Codegen:
    target = load_target(name)
    assert isinstance(target, CpuTarget)
    return target.codegen


def test_the_targets_that_ship() -> None:
    names = [target.name for target in list_targets()]
    assert [name for name in names if name in CPU] == CPU
    for target in list_targets():
        assert load_target(target.name) == target
        assert (FOLDER / target.family / f"{target.name}.toml").exists()


def test_the_host_is_native_and_the_baselines_are_not() -> None:
    assert codegen_of("cpu").features == "native"
    baseline = codegen_of("x86-64-v3")
    assert (baseline.cpu, baseline.features) == ("x86-64-v3", ())


def test_baselines_mean_what_they_say() -> None:
    tvm = pytest.importorskip("tvm")
    for name, has, lacks in (("x86-64-v3", "avx2", "avx512f"), ("x86-64-v2", "sse4.2", "avx2")):
        codegen = codegen_of(name)
        target = tvm.target.Target({"kind": "llvm", "mtriple": codegen.triple, "mcpu": codegen.cpu})
        assert tvm.target.codegen.llvm_cpu_has_features(has, target)
        assert not tvm.target.codegen.llvm_cpu_has_features(lacks, target)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "clock_megahertz = 3000\n" + CODEGEN + POWER)
    for given in (path, str(path)):
        target = load_target(given)
        assert isinstance(target, CpuTarget)
        assert target.clock_megahertz == 3000
        assert power_of(target).kind == "measured"
        assert power_of(target).typical == 2.5


def test_targets_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_target("cpu").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", 'board.toml: the key \'family\' is missing, but must be "arm" or "cpu" or "mcu"'),
        (
            'family = "gpu"',
            'board.toml: the key \'family\' is \'gpu\', but must be "arm" or "cpu" or "mcu"',
        ),
        ("family = [1]", "the key 'family' is [1]"),
        ("family = ", "board.toml: not valid TOML"),
        (HEAD, "the key 'codegen' is missing; it is a table with triple, cpu and features"),
        (HEAD + "codegn = 3\n" + CODEGEN, "the key 'codegn' is not known; perhaps 'codegen' is"),
        (HEAD + "codgen = 3\n", "the key 'codgen' is not known; perhaps 'codegen' is meant"),
        (HEAD + "codegen = 3", "the key 'codegen' is 3, but must be a table"),
        (HEAD + CODEGEN + "colour = 1", "'codegen.colour' is not known; known here are triple"),
        (HEAD + '[codegen]\ncpu = "x"', "'codegen.triple' is missing; it is an LLVM triple"),
        (HEAD + '[codegen]\ntriple = 3\ncpu = "x"', "'codegen.triple' is 3, but must be an LLVM"),
        (HEAD + '[codegen]\ntriple = ""\ncpu = "x"', "'codegen.triple' is '', but must be"),
        (HEAD + CODEGEN + 'features = ["avx"]', "'codegen.features' is ['avx'], but must be a"),
        (HEAD + CODEGEN + 'features = "all"', "'codegen.features' is 'all', but must be a list"),
        (HEAD + "clock_megahertz = -1\n" + CODEGEN, "'clock_megahertz' is -1, but must be a posi"),
        (HEAD + "clock_megahertz = inf\n" + CODEGEN, "'clock_megahertz' is inf"),
        (HEAD + 'clock_megahertz = "1"\n' + CODEGEN, "'clock_megahertz' is '1'"),
        (HEAD.replace("board", "A board") + CODEGEN, "'name' is 'A board', but must be lower"),
        (HEAD + CODEGEN + POWER.replace("2.5", "9"), "table 'power': low, typical and high must"),
        (HEAD + CODEGEN + POWER.replace("measured", "guessed"), "'power.kind' is 'guessed'"),
        (HEAD + CODEGEN + POWER.replace('source = "meter"', ""), "'power.source' is missing"),
    ],
)
def test_faults_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(QDeployError) as caught:
        load_target(write(tmp_path, text))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("board.toml: ")
    assert "\n" not in str(caught.value)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(QDeployError, match=r"no target 'cpuu'; perhaps 'cpu' is meant; known are"):
        load_target("cpuu")
    with pytest.raises(QDeployError, match="there is no such file"):
        load_target(tmp_path / "none.toml")
    with pytest.raises(QDeployError, match="cannot be read"):
        load_target(tmp_path)
    for reserved in ("benchmark", "processors"):
        with pytest.raises(QDeployError, match="there is no target"):
            load_target(reserved)


def test_files_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(QDeployError, match="not UTF-8"):
        load_target(path)


def test_unknown_benchmarks(tmp_path: Path) -> None:
    for name in ("benchmark-9", "cpu", "processors"):
        target = load_target(write(tmp_path, HEAD + f'benchmark = "{name}"\n' + CODEGEN))
        with pytest.raises(QDeployError, match=f"no benchmark definition '{name}'"):
            load_benchmark(target)


def test_power_of_a_listed_processor() -> None:
    power = power_of(load_target("cpu"), "AMD EPYC 7763 64-Core Processor")
    assert power.typical == pytest.approx(280 / 64)
    assert power.low < power.typical < power.high
    assert power.kind == "datasheet"
    assert "280 W over 64 cores" in power.source
    assert "estimate" in power.source


@pytest.mark.parametrize(
    "name", ["AMD EPYC", "AMD EPYC 7763X", "AMD Ryzen 7 5800X3D 8-Core Processor", "i9-9900KF", ""]
)
def test_other_processors_get_the_wide_band(name: str) -> None:
    assert power_of(load_target("cpu"), name).kind == "bound"


def test_the_fallback_spans_every_listed_processor() -> None:
    cores = [entry["tdp_watts"] / entry["cores"] for entry in PROCESSORS["processors"]]
    fallback = PROCESSORS["fallback"]
    assert fallback["low"] <= PROCESSORS["low_factor"] * min(cores)
    assert fallback["high"] >= PROCESSORS["high_factor"] * max(cores)
    assert min(cores) <= fallback["typical"] <= max(cores)


def test_listed_processors_do_not_overlap() -> None:
    names = [re.sub(r"\\b.*|\\(?=[+()])", "", e["match"]) for e in PROCESSORS["processors"]]
    for name in names:
        assert sum(bool(re.search(e["match"], name)) for e in PROCESSORS["processors"]) == 1


def test_this_machine() -> None:
    assert processor_name()
    assert power_of(load_target("cpu")).low > 0


def test_the_benchmark_of_hosts() -> None:
    target = load_target("cpu")
    assert isinstance(target, CpuTarget)
    definition = load_benchmark(target)
    assert definition.batches[0] == 1
    assert {50, 95, 99} <= set(definition.percentiles)
    assert definition.peers[0] == "qdeploy"
    assert {"onnxruntime", "tvm-default"} <= set(definition.peers)

"""Tables of the pipeline model: what they must say, and the messages where they do not."""

import pytest

from qdeploy.errors import QDeployError
from qdeploy.targets import ArmCore, list_arm_cores
from qdeploy.targets.tables import folder, read_table

FILES = folder() / "arm" / "cores"


@pytest.fixture
def changed(tmp_path):
    """A core's file with a piece of text replaced."""

    def make(core, old, new):
        text = (FILES / f"{core}.toml").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / f"{core}.toml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return make


@pytest.mark.parametrize("core", list_arm_cores())
def test_sources_and_bands_are_stated(core):
    pipeline = read_table(FILES / f"{core}.toml", ArmCore).pipeline
    assert len(pipeline.source) > 80
    assert len(pipeline.band.basis) > 40
    # A model that nobody has held against a board claims no more than 1.5 either way.
    assert pipeline.band.high / pipeline.band.low > 1.5


@pytest.mark.parametrize(
    ("core", "old", "new", "message"),
    [
        (
            "cortex-a72",
            *("window = 128", "", "table 'pipeline': cores out of order have a window, and others"),
        ),
        ("cortex-a53", "dispatch = 2", "dispatch = 2\nwindow = 8", "cores out of order have"),
        (
            "cortex-a72",
            'branch = { units = ["branch"]',
            'branch = { units = ["brnch"]',
            r"classes\.branch names the unit 'brnch', of which units says nothing",
        ),
        ("cortex-a72", "latency = 1 }", "latency = -1 }", "a whole number of cycles, 0 or more"),
        ("cortex-a72", "latency = 1 }", "latncy = 1 }", r"'pipeline\.classes\.alu\.latncy'"),
        ("cortex-a72", "dispatch = 3\n", "dispatch = 0\n", "a positive whole number"),
        ("cortex-a72", "low = 0.75", "low = 1.75", "low must be at most 1"),
    ],
)
def test_faults_of_a_table_are_one_sentence(changed, core, old, new, message):
    with pytest.raises(QDeployError, match=message):
        read_table(changed(core, old, new), ArmCore)

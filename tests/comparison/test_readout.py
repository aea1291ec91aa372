"""The table of readout widths: what is measured, and how it is told."""

import pytest
from typer.testing import CliRunner

from qdeploy.comparison import readout
from qdeploy.training.readout import WIDTHS

SMALL = readout.Trial("few", "sklearn:wine", rows=60, outputs=2, outputs_with_kinks=1)


def test_every_loss_has_a_row_and_wider_integers_cost_less():
    found = dict(readout.costs(SMALL, seed=0))
    assert tuple(found) == readout.LOSSES
    for widths in found.values():
        assert tuple(width.bits for width in widths) == WIDTHS
        increases = [width.increase for width in widths]
        assert increases[0] > increases[-1]
        assert increases[-1] < 1e-4
        assert min(increases) > -1e-6


@pytest.mark.parametrize(
    ("increase", "shown"),
    [
        (0.0451, "4.5 %"),
        (0.1234, "12 %"),
        (0.000153, "0.015 %"),
        (2.2e-6, "0.0002 %"),
        (4e-7, "< 0.0001 %"),
        (-1e-9, "< 0.0001 %"),
    ],
)
def test_shares_have_two_digits(increase, shown):
    assert readout._share(increase) == shown


def test_the_command_prints_a_table(monkeypatch):
    monkeypatch.setattr(readout, "TRIALS", (SMALL, readout.Trial("other", "sklearn:iris")))
    monkeypatch.setattr(readout, "LOSSES", ("squared",))
    app = readout.typer.Typer()
    app.command()(readout.main)
    printed = CliRunner().invoke(app, ["few"])
    assert printed.exit_code == 0
    lines = printed.output.splitlines()
    assert lines[0] == "| data | loss | 4 bits | 6 bits | 8 bits | 16 bits |"
    assert len(lines) == 3
    assert lines[2].startswith("| few | squared | ")
    assert lines[2].count("%") == len(WIDTHS)

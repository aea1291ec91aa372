import json
from dataclasses import replace

import numpy as np
import pytest

from qdeploy.comparison import proofs
from qdeploy.data import dataset_from_arrays


@pytest.fixture
def small(monkeypatch):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 6))
    target = (features[:, 0] * features[:, 1] > 0).astype(int)
    rows = dataset_from_arrays(features, target, task="classify")
    trial = proofs.Trial("Signs", rows, 0.01, beta=2.0)
    monkeypatch.setattr(
        proofs, "_trials", lambda _: [trial, replace(trial, title="Signs, norm", norm=True)]
    )


def test_the_page_has_both_tables_and_finished_rows_are_kept(small, tmp_path, monkeypatch):
    page = tmp_path / "proofs.md"
    proofs.main(page, seconds=20.0, jobs=1)
    first = page.read_text(encoding="utf-8")
    gap, norm = json.loads(page.with_suffix(".json").read_text(encoding="utf-8")).values()
    assert 0 <= gap["share"] <= 0.01
    assert gap["known"] is None
    # At the optimum the norm is λ; the tree closes in on it, and never goes below.
    assert -1e-4 < norm["known"] <= norm["share"] < 1e-3
    assert "| Signs | 7 | 2 |" in first
    assert "| Signs, norm | 7 |" in first
    monkeypatch.setattr(proofs, "_proven", None)
    proofs.main(page, seconds=20.0, jobs=1)
    assert page.read_text(encoding="utf-8") == first

"""Comparisons as a whole: resumed, summed up, and told whoever wins."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from qdeploy.comparison import BASELINES, Comparison, Plan, Result, compare, comparing
from qdeploy.comparison.page import write_page, write_tables
from qdeploy.comparison.summary import interval, rows_of
from qdeploy.comparison.wording import HEADINGS, cells, sentences
from qdeploy.data import dataset_from_arrays
from qdeploy.errors import QDeployError

PLAN = Plan((2, 3), 2, ("compact", "random-features", "logistic"), 0.1, 1.0, 0.25, "feature")


@pytest.fixture(scope="module")
def iris():
    features, target = load_iris(return_X_y=True)
    return replace(dataset_from_arrays(features, target), source="iris")


def results_of(plan, loss, accuracy, data="made-up"):
    """Results of every run of a plan, by functions of the method, the width and the seed."""
    return [
        Result(
            data=data,
            method=run.method,
            neurons=run.neurons,
            seed=run.seed,
            train_rows=75,
            test_rows=25,
            train_accuracy=1.0,
            test_accuracy=accuracy(run.method, run.neurons, run.seed),
            bytes=100,
            seconds=1.0,
            width=run.neurons,
            loss=None
            if BASELINES[run.method].family == "float"
            else 75 * loss(run.method, run.neurons, run.seed),
            size=1.0,
        )
        for run in comparing.planned(plan)
    ]


class TestResuming:
    def test_a_second_call_gives_the_same_and_trains_nothing(self, iris, tmp_path, monkeypatch):
        first = compare([iris], PLAN, tmp_path, jobs=1)
        tables = [path.read_bytes() for path in write_tables(first, tmp_path)]
        monkeypatch.setattr(comparing, "carry_out", None)
        again = compare([iris], PLAN, tmp_path, jobs=1)
        assert again.rows == first.rows
        assert [path.read_bytes() for path in write_tables(again, tmp_path)] == tables

    def test_an_interruption_loses_only_the_run_under_way(self, iris, tmp_path, monkeypatch):
        made = results_of(PLAN, lambda *_: 1.0, lambda *_: 0.5, "iris")
        trained = []

        def carry_out(dataset, plan, run):
            if len(trained) == 3:
                raise KeyboardInterrupt
            trained.append(run)
            place = (run.method, run.neurons, run.seed)
            return next(r for r in made if (r.method, r.neurons, r.seed) == place)

        monkeypatch.setattr(comparing, "carry_out", carry_out)
        with pytest.raises(KeyboardInterrupt):
            compare([iris], PLAN, tmp_path, jobs=1)
        first, trained = trained, []
        monkeypatch.setattr(comparing, "carry_out", lambda *given: carry_out(*given))
        with pytest.raises(KeyboardInterrupt):
            compare([iris], PLAN, tmp_path, jobs=1)
        assert not set(first) & set(trained)
        assert len(list((tmp_path / "runs").iterdir())) == 6

    def test_other_options_and_broken_files_are_not_mistaken(self, iris, tmp_path, monkeypatch):
        made = results_of(PLAN, lambda *_: 1.0, lambda *_: 0.5, "iris")
        trained = []

        def carry_out(dataset, plan, run):
            trained.append(run)
            place = (run.method, run.neurons, run.seed)
            return next(r for r in made if (r.method, r.neurons, r.seed) == place)

        monkeypatch.setattr(comparing, "carry_out", carry_out)
        compare([iris], PLAN, tmp_path, jobs=1)
        count = len(trained)
        next((tmp_path / "runs").glob("compact-2*")).write_text("{")
        compare([iris], PLAN, tmp_path, jobs=1)
        assert len(trained) == count + 1
        # Time is nothing to a float reference.
        compare([iris], replace(PLAN, seconds=0.2), tmp_path, jobs=1)
        assert {run.method for run in trained[count + 1 :]} == {"compact", "random-features"}
        moved = replace(iris, features=iris.features + 1)
        compare([moved], PLAN, tmp_path, jobs=1)
        assert len(trained) == 2 * count + 9

    def test_several_at_once_give_all_of_the_runs(self, iris, tmp_path):
        plan = replace(PLAN, methods=("random-features", "logistic"))
        events = []
        comparison = compare([iris], plan, tmp_path, jobs=2, progress=events.append)
        assert len(comparison.results) == 6
        assert events[-1].completed == events[-1].total == 6
        assert "time left" in events[-1].detail


class TestLosing:
    """What beats ours is shown as it is, and nothing is sorted in our favour."""

    @pytest.mark.parametrize("ours", [0.5, 2.0])
    def test_order_and_number_of_rows_do_not_depend_on_who_wins(self, ours):
        def loss(method, neurons, seed):
            return ours if method == "compact" else 1.0

        rows = rows_of("made-up", PLAN, results_of(PLAN, loss, lambda *_: 0.5))
        assert [(row.method, row.neurons) for row in rows] == [
            ("compact", 2),
            ("random-features", 2),
            ("compact", 3),
            ("random-features", 3),
            ("logistic", None),
        ]

    def test_all_that_is_better_is_told(self):
        def loss(method, neurons, seed):
            return {"compact": 1.0, "random-features": 0.5 if neurons == 2 else 1.5}.get(method)

        def accuracy(method, neurons, seed):
            return {"compact": 0.8, "random-features": 0.7, "logistic": 0.9 + seed / 20}[method]

        rows = rows_of("made-up", PLAN, results_of(PLAN, loss, accuracy))
        told = list(sentences(rows, PLAN.seeds))
        assert told[0] == (
            "Mean training loss below ours: at 2 neurons random ±1 features, re-solved by 50.00 % "
            "(on 2 of 2)."
        )
        assert told[1].startswith(
            "Mean test accuracy above ours: logistic regression, float by +12.5 ±"
        )
        named = dict(zip(HEADINGS, cells(rows[1], PLAN.seeds), strict=True))
        assert (named["to ours"], named["below ours"]) == ("-50.0 %", "2 of 2")
        assert named["proven gap"] == "none proven"
        worse = dict(zip(HEADINGS, cells(rows[3], PLAN.seeds), strict=True))
        assert (worse["to ours"], worse["below ours"]) == ("+50.0 %", "0 of 2")

    def test_training_losses_are_held_against_the_closest_fit_where_it_took_part(self):
        plan = replace(PLAN, methods=("closest", *PLAN.methods))

        def loss(method, neurons, seed):
            return {"compact": 1.0, "closest": 0.4, "random-features": 0.5}.get(method)

        rows = rows_of("made-up", plan, results_of(plan, loss, lambda *_: 0.5))
        found = {row.method: row for row in rows if row.neurons == 2}
        assert found["random-features"].loss_against_ours == pytest.approx(0.25)
        assert found["random-features"].splits_below == 0
        assert found["closest"].loss_against_ours is None
        assert found["closest"].against_ours.mean == 0
        assert next(iter(sentences(rows, plan.seeds))) == "Mean training loss below ours: none."

    def test_the_page_shows_every_row(self, tmp_path):
        results = results_of(PLAN, lambda *_: 1.0, lambda *_: 0.5)
        comparison = Comparison(PLAN, tuple(results), tuple(rows_of("made-up", PLAN, results)))
        written = write_page(comparison, tmp_path / "page.md", "qdeploy compare x", overwrite=False)
        text = written[0].read_text()
        assert text.splitlines()[5] == "qdeploy compare x"
        table = [line for line in text.splitlines() if line.startswith("| ")]
        assert len(table) == 1 + len(comparison.rows)
        for drawing in written[1:]:
            assert f"({drawing.name})" in text
            root = ElementTree.fromstring(drawing.read_text())
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
        with pytest.raises(QDeployError, match="exists already"):
            write_page(comparison, tmp_path / "page.md", "x", overwrite=False)

    def test_the_tables_hold_every_run(self, tmp_path):
        results = results_of(PLAN, lambda *_: 1.0, lambda *_: 0.5)
        comparison = Comparison(PLAN, tuple(results), tuple(rows_of("made-up", PLAN, results)))
        whole, runs = write_tables(comparison, tmp_path)
        assert json.loads(whole.read_text())["runs"] == [asdict(result) for result in results]
        assert len(runs.read_text().splitlines()) == 1 + len(results)


class TestIntervals:
    def test_the_corrected_interval(self):
        values = [0.9, 0.92, 0.97, 0.88]
        found = interval(values, 25, 75)
        spread = stats.tstd(values) * np.sqrt(1 / 4 + 1 / 3)
        assert found.mean == pytest.approx(np.mean(values))
        assert found.half == pytest.approx(stats.t.interval(0.95, 3)[1] * spread)

    def test_one_split_has_none(self):
        assert interval([0.9], 25, 75).half is None

    def test_differences_are_paired_by_split(self):
        """A difference that is the same on every split is certain, however splits differ."""

        def accuracy(method, neurons, seed):
            return 0.5 + 0.3 * seed + (0.1 if method == "logistic" else 0.0)

        rows = rows_of("made-up", PLAN, results_of(PLAN, lambda *_: 1.0, accuracy))
        assert rows[-1].against_ours.mean == pytest.approx(0.1)
        assert rows[-1].against_ours.half == pytest.approx(0.0, abs=1e-9)
        assert rows[-1].test_accuracy.half > 1


class TestRefused:
    def test_numbers(self, iris, tmp_path):
        numbers = replace(iris, task="regress", target=iris.features[:, 0])
        with pytest.raises(QDeployError, match="--task classify"):
            compare([numbers], PLAN, tmp_path)

    def test_the_same_data_twice(self, iris, tmp_path):
        with pytest.raises(QDeployError, match="named twice"):
            compare([iris, iris], PLAN, tmp_path)

    def test_a_single_class(self, iris, tmp_path):
        with pytest.raises(QDeployError, match="single class"):
            compare([replace(iris, target=np.zeros(150, int))], PLAN, tmp_path)

    def test_an_unknown_method(self, iris, tmp_path):
        with pytest.raises(QDeployError, match="unknown method 'magic'; choose one of"):
            compare([iris], replace(PLAN, methods=("magic",)), tmp_path)

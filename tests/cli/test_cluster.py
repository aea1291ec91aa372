"""``--cluster`` of every command that trains: a scheduler and workers in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from qdeploy import onnx
from qdeploy.cli.app import run

PATIENCE = 120


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """What the docs tell users to start, on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: qdeploy[cluster]")
    folder = tmp_path_factory.mktemp("cluster")
    found = ["--scheduler-file", folder / "scheduler.json", "--no-dashboard"]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", *found]
    worker = ["worker", "--nthreads", "1", "--nworkers", "2", *found]
    with (folder / "log.txt").open("w") as log:
        started = [
            subprocess.Popen([sys.executable, "-m", "dask", *command], stdout=log, stderr=log)
            for command in (scheduler, worker)
        ]
    try:
        with distributed.Client(
            scheduler_file=folder / "scheduler.json", timeout=PATIENCE
        ) as client:
            client.wait_for_workers(2, timeout=PATIENCE)
            yield client.scheduler.address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


@pytest.fixture
def data(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((60, 4))
    np.savez(tmp_path / "rows.npz", X=x, y=(x[:, 0] > 0.3).astype(int) + (x[:, 1] > 0))
    return str(tmp_path / "rows.npz")


def steps_of(address):
    """Transitions of tasks that the scheduler has seen: none without work."""
    from distributed import Client

    with Client(address) as client:
        return client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)


def carried_out(words, address, capsys):
    """What a command prints, here and on the cluster, which has to be what did the work."""
    told = []
    for place, more in (("here", []), ("there", ["--cluster", address])):
        before = steps_of(address)
        output = f"{words[1]}.{place}.onnx" if words[0] == "train" else f"{words[1]}.{place}"
        assert run([*words, "--json", "-q", "-o", output, *more]) == 0
        assert (steps_of(address) > before) == bool(more)
        told.append(json.loads(capsys.readouterr().out))
    return told


def test_train(data, address, capsys):
    here, there = carried_out(["train", data], address, capsys)
    models = [onnx.load(told["model"]) for told in (here, there)]
    for mine, its in zip(*(model.network.layers for model in models), strict=True):
        for name in ("left", "right") if mine.kind == "quadratic" else ("weights", "bias"):
            assert np.array_equal(getattr(mine, name), getattr(its, name))
    assert [told["bound"] for told in (here, there)] == [here["bound"]] * 2


def test_front(data, address, capsys):
    here, there = carried_out(["front", data, "--neurons", "2"], address, capsys)
    assert [point["model"] for point in there["points"]] == [p["model"] for p in here["points"]]
    assert [point["accuracy"] for point in there["points"]] == [
        p["accuracy"] for p in here["points"]
    ]


def test_compare(data, address, capsys):
    words = ["compare", data, "--neurons", "2", "--seeds", "2", "--seconds", "0.2"]
    words += ["--methods", "logistic,polynomial"]
    here, there = carried_out(words, address, capsys)
    assert len(here["rows"]) == 2
    for mine, its in zip(here["rows"], there["rows"], strict=True):
        assert {k: v for k, v in mine.items() if "seconds" not in k} == {
            k: v for k, v in its.items() if "seconds" not in k
        }
    # What workers found is kept here: the same call again has nothing left for them.
    before = steps_of(address)
    again = [*words, "--json", "-q", "-o", f"{data}.there", "--cluster", address]
    assert run(again) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == there["rows"]
    assert steps_of(address) == before


@pytest.mark.parametrize("command", ["train", "front", "compare"])
def test_a_scheduler_that_does_not_answer_is_one_sentence(command, data, monkeypatch, capsys):
    pytest.importorskip("distributed", reason="needs Dask: qdeploy[cluster]")
    monkeypatch.setattr("qdeploy.training.cluster.PATIENCE", 1)
    output = ["-o", f"{data}.onnx"]
    assert run([command, data, *output, "-q", "--cluster", "tcp://127.0.0.1:9"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "no Dask scheduler answers" in lines[0]

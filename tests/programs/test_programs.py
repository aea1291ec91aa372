"""The two programs run here, under sanitizers, and do what their help says."""

import json
import os
import resource
import subprocess

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.programs import Glue, build_bench, build_programs

FIELDS = {
    *("name", "batch", "inputs", "calls", "groups", "clock_cost", "loop_cost"),
    *("peak_resident_kibibytes", "peak_resident_source", "checksum", "seconds"),
}


def rows(count, seed=0):
    return np.random.default_rng(seed).integers(-127, 128, (count, 5)).astype(np.int8)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


@pytest.fixture(autouse=True)
def sanitizer_options(monkeypatch):
    """What a process holds when it ends is the system's to take back."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")


@pytest.fixture(scope="session")
def programs(sanitized, toy):
    made = toy(sanitized)
    return build_programs(
        None, made.objects, made.interface, made.folder, sanitized, header_folder=made.folder
    )


def call(program, *arguments, data=b""):
    """Exit status, output and complaints of a program."""
    done = subprocess.run([program, *map(str, arguments)], input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def read_scores(data):
    return np.frombuffer(data, dtype="<i8").reshape(-1, 2)


@pytest.mark.parametrize("count", [0, 1, 7, 4095, 4096, 4097, 20_000])
def test_rows_become_scores(programs, scores_of, count):
    x = rows(count)
    status, output, complaint = call(programs.run, data=x.tobytes())
    assert (status, complaint) == (0, "")
    np.testing.assert_array_equal(read_scores(output), scores_of(x))


def test_files_become_files(programs, scores_of, tmp_path):
    x = rows(9000)
    source, target = tmp_path / "x.bin", tmp_path / "scores.bin"
    source.write_bytes(x.tobytes())
    target.write_bytes(b"longer than the scores" * 10_000)
    assert call(programs.run, source, target) == (0, b"", "")
    np.testing.assert_array_equal(read_scores(target.read_bytes()), scores_of(x))
    assert call(programs.run, source)[1] == target.read_bytes()
    assert call(programs.run, "-", "-", data=x.tobytes())[1] == target.read_bytes()


def test_a_row_is_answered_before_the_next_is_asked(programs, scores_of):
    with subprocess.Popen(
        [programs.run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        for row in rows(3):
            process.stdin.write(row[:2].tobytes())
            process.stdin.write(row[2:].tobytes())
            np.testing.assert_array_equal(
                read_scores(process.stdout.read(16)), scores_of(row[np.newaxis])
            )
        process.stdin.close()
        assert process.wait() == 0


def test_memory_does_not_grow_with_the_input(toy, plain):
    """More data than the process may have memory."""
    made = toy(plain)
    arguments = (None, made.objects, made.interface, made.folder, plain)
    program = build_programs(*arguments, header_folder=made.folder).run
    data, limit = bytes(5 * 4_000_000), 16_000_000
    done = subprocess.run(
        [program],
        input=data,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == bytes(16 * 4_000_000)


def test_a_partial_row_is_refused_after_the_whole_ones(programs, scores_of):
    x = rows(3)
    status, output, complaint = call(programs.run, data=x.tobytes() + b"abc")
    assert status == 1
    assert complaint == "toy-run: standard input ends within row 4, after 3 of its 5 bytes\n"
    np.testing.assert_array_equal(read_scores(output), scores_of(x))


def test_an_unfinished_output_is_removed(programs, tmp_path):
    source, target = tmp_path / "x.bin", tmp_path / "scores.bin"
    source.write_bytes(b"123456")
    status, _, complaint = call(programs.run, source, target)
    assert status == 1
    assert f"{source} ends within row 2, after 1 of its 5 bytes" in complaint
    assert not target.exists()


def test_files_that_cannot_be_used(programs, tmp_path):
    x = tmp_path / "x.bin"
    x.write_bytes(rows(2).tobytes())
    missing = tmp_path / "none" / "x.bin"
    for arguments, complaint in (
        ([missing], f"cannot read {missing}: No such file or directory"),
        ([tmp_path], f"cannot read {tmp_path}: Is a directory"),
        ([x, missing], f"cannot write {missing}: No such file or directory"),
        ([x, tmp_path], f"cannot write {tmp_path}: Is a directory"),
        ([x, x], f"{x} is the input, too; name another file for the scores"),
    ):
        assert call(programs.run, *arguments) == (1, b"", f"toy-run: {complaint}\n")
    assert x.read_bytes() == rows(2).tobytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_full_device_is_an_error(programs):
    status, _, complaint = call(programs.run, "-", "/dev/full", data=rows(1).tobytes())
    assert status == 1
    assert complaint == "toy-run: cannot write to /dev/full: No space left on device\n"
    assert os.path.exists("/dev/full")  # noqa: PTH110


def test_a_reader_that_is_gone_is_an_error(programs):
    receiving, sending = os.pipe()
    os.close(receiving)
    done = subprocess.run(
        [programs.run], input=rows(3).tobytes(), stdout=sending, stderr=subprocess.PIPE
    )
    os.close(sending)
    assert done.returncode == 1
    assert done.stderr == b"toy-run: cannot write to standard output: Broken pipe\n"


def test_a_failing_model_is_an_error(programs):
    x = np.full((1, 5), -128, dtype=np.int8).tobytes()
    assert call(programs.run, data=x) == (1, b"", "toy-run: the model failed with status 7\n")
    status, _, complaint = call(programs.bench, "--inputs", "-", data=x)
    assert (status, complaint) == (1, "toy-bench: a call failed with status 7\n")


def test_programs_tell_what_they_take(programs):
    status, output, _ = call(programs.run, "--version")
    assert status == 0
    assert output.startswith(
        b"toy-run: 5 int8 values in, 2 int64 scores, little-endian, out; made by qdeploy "
    )
    status, output, _ = call(programs.run, "--help")
    assert status == 0
    assert b"usage: toy-run [INPUT [OUTPUT]]" in output
    assert b"2 int64 scores, little-endian" in output
    assert b"rows of 5 bytes" in call(programs.bench, "--help")[1]


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["-x"], ["a", "b", "c"]])
def test_misuse_of_the_run_program(programs, arguments):
    status, output, complaint = call(programs.run, *arguments)
    assert (status, output) == (2, b"")
    assert complaint.endswith("see --help\n")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (1, 3000), (3, 12), (4096, 8192)])
def test_bench_tells_times_and_the_checksum_of_all_scores(programs, scores_of, batch, count):
    x = rows(count)
    arguments = ["--inputs", "-", "--batch", batch, "--calls", 7, "--groups", 4, "--warm", "1e-3"]
    status, output, complaint = call(programs.bench, *arguments, data=x.tobytes())
    assert (status, complaint) == (0, "")
    told = json.loads(output)
    assert set(told) == FIELDS
    assert (told["name"], told["batch"], told["inputs"]) == ("toy-bench", batch, count // batch)
    assert (told["calls"], told["groups"], len(told["seconds"])) == (7, 4, 4)
    assert min(*told["seconds"], told["clock_cost"], told["loop_cost"]) > 0
    assert told["peak_resident_kibibytes"] > 0
    assert told["peak_resident_source"] in ("VmHWM", "getrusage")
    assert told["checksum"] == fnv1a(scores_of(x).tobytes())


def test_bench_reads_a_file(programs, tmp_path):
    source = tmp_path / "x.bin"
    source.write_bytes(rows(6).tobytes())
    status, output, _ = call(programs.bench, "--inputs", source, "--batch", 2)
    assert (status, json.loads(output)["inputs"]) == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "data", "status", "complaint"),
    [
        ([], b"", 2, "--inputs is missing"),
        (["--inputs"], b"", 2, "--inputs lacks its value"),
        (["--inputs", "-", "--batch", "0"], b"", 2, "--batch takes a number from 1"),
        (["--inputs", "-", "--calls", "-3"], b"", 2, "--calls takes a number from 1"),
        (["--inputs", "-", "--groups", "3x"], b"", 2, "--groups takes a number from 1"),
        (["--inputs", "-", "--warm", "nan"], b"", 2, "--warm takes seconds from 0"),
        (["--inputs", "-", "--best", "3"], b"", 2, "there is no option --best"),
        (["--inputs", "-"], b"", 1, "standard input holds no rows"),
        (["--inputs", "-"], b"1234567", 1, "does not hold whole calls of 1 rows of 5 bytes"),
        (["--inputs", "-", "--batch", "2"], b"12345", 1, "does not hold whole calls of 2 rows"),
        (["--inputs", "/none"], b"", 1, "cannot read /none: No such file or directory"),
    ],
)
def test_misuse_of_the_bench_program(programs, arguments, data, status, complaint):
    found, output, told = call(programs.bench, *arguments, data=data)
    assert (found, output) == (status, b"")
    assert told.startswith("toy-bench: ")
    assert complaint in told
    assert told.count("\n") == 1


def test_peers_are_timed_by_the_same_program(sanitized, toy, tmp_path):
    glue = Glue("four_rows", "rows", 5, 4, rows=4, value_type="int8_t", score_type="int32_t")
    program = tmp_path / "peer-bench"
    build_bench(None, toy(sanitized).objects, glue, program, sanitized)
    x = rows(8)
    status, output, complaint = call(program, "--inputs", "-", "--batch", 4, data=x.tobytes())
    assert (status, complaint) == (0, "")
    told = json.loads(output)
    assert told["name"] == "peer-bench"
    assert told["checksum"] == fnv1a(x.sum(axis=1, dtype=np.int32).tobytes())
    status, _, complaint = call(program, "--inputs", "-", data=x.tobytes())
    assert (status, complaint) == (
        2,
        "peer-bench: --batch must be 4, for which this was compiled\n",
    )


def test_a_peer_of_single_rows(sanitized, toy, tmp_path):
    """Types may be left out, as for functions whose C is not ours."""
    made = toy(sanitized)
    (made.folder / "one.c").write_text(
        "void one(const signed char *x, short *y); void one(const signed char *x, short *y)"
        "{ *y = (short)(x[0] * x[4]); }"
    )
    objects = sanitized.compile(None, [made.folder / "one.c"], made.folder)
    build_bench(None, objects, Glue("one", "rows", 5, 2, rows=1), tmp_path / "one", sanitized)
    x = rows(3)
    told = json.loads(call(tmp_path / "one", "--inputs", "-", data=x.tobytes())[1])
    expected = x[:, 0].astype(np.int16) * x[:, 4]
    assert told["checksum"] == fnv1a(expected.astype("<i2").tobytes())


def test_a_header_of_another_interface_is_refused(sanitized, toy):
    made = toy(sanitized)
    header = made.folder / "toy.h"
    header.write_text(header.read_text().replace("int64_t", "int32_t"))
    with pytest.raises(QDeployError, match=r"toy\.h does not declare the functions"):
        build_programs(
            None, made.objects, made.interface, made.folder, sanitized, header_folder=made.folder
        )


@pytest.mark.parametrize(("kind", "count"), [("rows", 0), ("model", 3)])
def test_rows_are_said_where_they_are_fixed(kind, count):
    with pytest.raises(ValueError, match="rows"):
        Glue("f", kind, 5, 8, rows=count)

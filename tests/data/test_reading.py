import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.data import DataWarning, dataset_from_arrays, read_dataset, read_features
from qdeploy.errors import QDeployError

ROWS = ["1.5,2,a", "2.5,3,b", "3.5,1,a", "4.5,7,b", "5.5,0,a"]


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(rows: list[str] = ROWS, header: str = "x,z,kind", end: str = "\n") -> str:
    return end.join([header, *rows]) + end


def refusal(source: str | Path, **options: object) -> str:
    options.setdefault("label", "kind")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(QDeployError) as caught:
            read_dataset(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv_with_any_line_end_and_mark(tmp_path: Path, end: str, mark: bytes) -> None:
    data = read_dataset(write(tmp_path, mark + table(end=end).encode()), label="kind")
    assert data.feature_names == ("x", "z")
    assert data.target_names == ("kind",)
    assert data.task == "classify"
    assert data.source == "table.csv"
    np.testing.assert_array_equal(data.features, [[1.5, 2], [2.5, 3], [3.5, 1], [4.5, 7], [5.5, 0]])
    assert data.target.tolist() == ["a", "b", "a", "b", "a"]


@pytest.mark.parametrize("separator_and_name", [(",", "t.csv"), ("\t", "t.tsv"), ("\t", "T.TSV")])
def test_separators(tmp_path: Path, separator_and_name: tuple[str, str]) -> None:
    separator, name = separator_and_name
    path = write(tmp_path, table().replace(",", separator), name)
    assert read_dataset(path, label="kind").features.shape == (5, 2)


def test_spaces_quotes_and_blank_lines(tmp_path: Path) -> None:
    text = ' x ,"z, y",kind\n\n 1 ,"2",a\n2,\t3,"b ""c"""\n   \n3, 1 , a\n4,5,a\n\n'
    data = read_dataset(write(tmp_path, text), label="kind")
    assert data.feature_names == ("x", "z, y")
    np.testing.assert_array_equal(data.features, [[1, 2], [2, 3], [3, 1], [4, 5]])
    assert data.target.tolist() == ["a", 'b "c"', "a", "a"]


def test_columns_are_chosen_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, table(header="x,z,kind"))
    assert read_dataset(path, label="kind", columns=["z", "x"]).features[0].tolist() == [2, 1.5]
    assert "no column 'w'" in refusal(path, columns=["x", "w"])
    assert "is the label" in refusal(path, columns=["x", "kind"])
    assert "more than once" in refusal(path, columns=["x", "x"])


def test_columns_that_are_not_used_may_hold_anything(tmp_path: Path) -> None:
    path = write(tmp_path, table([f"{row},note {i}" for i, row in enumerate(ROWS)], "x,z,kind,n"))
    assert read_dataset(path, label="kind", columns=["x"]).features.shape == (5, 1)
    assert "column 'n', row 1 (line 2 of the file): 'note 0'" in refusal(path)


@pytest.mark.parametrize(
    ("labels", "kind", "expected"),
    [
        ("0 1 1 0 1", "i", [0, 1, 1, 0, 1]),
        ("1.0 2.0 1.0 2.0 1.0", "i", [1, 2, 1, 2, 1]),
        ("true False TRUE false true", "b", [True, False, True, False, True]),
        ("1 2 x 1 2", "U", ["1", "2", "x", "1", "2"]),
        ("nan b b nan nan", "U", ["nan", "b", "b", "nan", "nan"]),
    ],
)
def test_labels_keep_their_type(
    tmp_path: Path, labels: str, kind: str, expected: list[object]
) -> None:
    rows = [f"{i},{i * i},{label}" for i, label in enumerate(labels.split())]
    data = read_dataset(write(tmp_path, table(rows)), label="kind")
    assert data.task == "classify"
    assert data.target.dtype.kind == kind
    assert data.target.tolist() == expected


def test_booleans_are_numbers(tmp_path: Path) -> None:
    rows = ["true,1,a", "FALSE,2,b", " True,3,a", "false,4,b"]
    data = read_dataset(write(tmp_path, table(rows)), label="kind")
    assert data.features[:, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "1;5",
        "0x10",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1_000",
        "1e400",
        "n/a",
        "1 2",
        "١",
        "1e",
        "?",
    ],
)
def test_what_is_not_a_number_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    message = refusal(write(tmp_path, table([*ROWS, f"1,{text},b"])))
    assert message.startswith(f"column 'z', row 6 (line 7 of the file): {text!r} is not a finite")


def test_decimal_commas_in_quotes_are_refused(tmp_path: Path) -> None:
    assert "'1,5' is not a finite number" in refusal(write(tmp_path, table([*ROWS, '1,"1,5",b'])))


def test_lines_are_told_past_blank_lines_and_quoted_breaks(tmp_path: Path) -> None:
    path = write(tmp_path, 'x,z,kind\n1,2,"a\nb"\n\n3,oops,c\n4,5,c\n')
    assert "column 'z', row 2 (line 5 of the file): 'oops'" in refusal(path)


@pytest.mark.parametrize("hole", ["", "  ", '""'])
def test_missing_values(tmp_path: Path, hole: str) -> None:
    place = "row 6 (line 7 of the file): the value is missing"
    assert f"column 'z', {place}" in refusal(write(tmp_path, table([*ROWS, f"1,{hole},b"])))
    assert f"column 'kind', {place}" in refusal(write(tmp_path, table([*ROWS, f"1,2,{hole}"])))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"x,z,kind\n", "no row of data"),
        (b"x,z,kind", "no row of data"),
        (b"x,z,x\n1,2,3\n", "more than one column 'x'"),
        (b",z,kind\n1,2,3\n", "column 1 has no name"),
        (b"1,2,3.5\n4,5,6\n", "the first line holds numbers"),
        (b"x;z;kind\n1;2;a\n", "separated by a semicolon, not by a comma"),
        (b"x\tz\tkind\n1\t2\ta\n", "name the file .tsv"),
        (b"x,z,kind\n1,2,a\n1,2\n", "row 2 (line 3 of the file): has 2 fields but the header"),
        (b"x,z,kind\n1,2,a\n\n1,2,a,b\n", "row 2 (line 4 of the file): has 4 fields"),
        (b'x,z,kind\n1,2,a\n1,"2,a\n', "line 3: the fields cannot be told apart"),
        (b"x,z,kind\n1,2,caf\xe9\n", "line 2: the text is not UTF-8"),
        ("x,z,kind\n1,2,a\n".encode("utf-16"), "the file is in UTF-16"),
        (b"x,z,kind\n1,2,a\n3,4,b\n", "2 rows of data are too few"),
        (b"kind\na\nb\na\nb\n", "no feature column"),
    ],
)
def test_broken_files(tmp_path: Path, text: bytes, part: str) -> None:
    assert part in refusal(write(tmp_path, text))


def test_tsv_with_commas(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, table(), "t.tsv"))
    assert "separated by a comma, not by a tab; name the file .csv" in message


def test_numbers_as_column_names_are_fine_when_they_count(tmp_path: Path) -> None:
    path = write(tmp_path, "0,1,2\n5,6,1\n7,8,2\n9,1,1\n2,3,2\n")
    assert read_dataset(path, label="2").feature_names == ("0", "1")


def test_label_faults(tmp_path: Path) -> None:
    path = write(tmp_path, table(header="x,z,Kind"))
    assert "perhaps 'Kind' is meant" in refusal(path, label="kind")
    assert "perhaps 'Kind' is meant" in refusal(path, label="Kin")
    assert "the columns are 'x', 'z', 'Kind'" in refusal(path, label="target")
    assert "with --label; the columns are 'x', 'z', 'Kind'" in refusal(path, label=None)


def test_task_faults(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    assert "column 'kind', row 1" in refusal(path, task="regress")
    one = write(tmp_path, table([f"{i},{i},a" for i in range(5)]))
    assert "every row has the class 'a'" in refusal(one)
    many = write(tmp_path, table([f"{i},{i},c{i}" for i in range(200)]))
    assert "200 different values" in refusal(many)
    assert "--task regress" in refusal(many)
    flat = write(tmp_path, table([f"{i},{i},2.5" for i in range(5)]))
    assert "every row has the value 2.5" in refusal(flat, task="regress")


def test_missing_label_among_numbers(tmp_path: Path) -> None:
    rows = [*(f"{i},{i},{i}.5" for i in range(5)), "1,2,nan"]
    assert "label 'kind', row 6 (line 7 of the file): the value is missing" in refusal(
        write(tmp_path, table(rows))
    )


def test_too_large_for_single_precision(tmp_path: Path) -> None:
    assert "column 'z', row 6 (line 7 of the file): 1e+300 is beyond" in refusal(
        write(tmp_path, table([*ROWS, "1,1e300,b"]))
    )


def test_constant_columns(tmp_path: Path) -> None:
    # 16777216 and 16777217 are the same number in single precision.
    rows = [f"{i},{16777216 + i % 2},7,{'ab'[i % 2]}" for i in range(6)]
    path = write(tmp_path, table(rows, "x,near,flat,kind"))
    with pytest.warns(DataWarning, match=r"2 columns are constant and left out: 'near', 'flat'"):
        read_dataset(path, label="kind")
    assert "every feature column is constant" in refusal(path, columns=["near", "flat"])


def test_files_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, table(), "houses.csv")
    assert "perhaps 'houses.csv' is meant" in refusal(tmp_path / "house.csv")
    assert "is a folder" in refusal(tmp_path)
    assert "there is no such file" in refusal(tmp_path / "no" / "where.csv")
    assert "perhaps sklearn:iris is meant" in refusal("iris")
    message = refusal(write(tmp_path, "x", "data.xlsx"))
    assert "the ending .xlsx is not supported; data are .csv, .tsv, .parquet, .npz" in message


def test_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "x": [1, 2, 3, 4],
            "flag": [True, False, True, False],
            "half": pl.Series([0.5, 1.5, 2.5, 3.5], dtype=pl.Float32),
            "kind": pl.Series(["a", "b", "a", "b"], dtype=pl.Categorical),
        }
    )
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    data = read_dataset(path, label="kind")
    np.testing.assert_array_equal(data.features[1], [2, 0, 1.5])
    assert data.target.tolist() == ["a", "b", "a", "b"]
    assert read_dataset(path, label="flag", columns=["x"]).target.dtype.kind == "b"
    assert read_dataset(path, label="x", columns=["half"], task="classify").target.dtype.kind == "i"


def test_parquet_faults(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"x": [1.0, None, 3.0, 4.0], "kind": ["a", "b", "a", "b"]})
    frame.write_parquet(path)
    assert "column 'x', row 2: the value is missing" in refusal(path)
    frame.with_columns(x=pl.Series([1.0, 2.0, float("nan"), 4.0])).write_parquet(path)
    assert "column 'x', row 3: the value is missing (NaN)" in refusal(path)
    frame.with_columns(x=pl.Series([1.0, float("inf"), 2.0, 4.0])).write_parquet(path)
    assert "column 'x', row 2: the value is infinite" in refusal(path)
    frame.with_columns(x=pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 4))).write_parquet(
        path
    )
    assert "type Date, not numbers" in refusal(path)
    frame.clear().write_parquet(path)
    assert "no row of data" in refusal(path)
    path.write_bytes(path.read_bytes()[:40])
    assert "not a readable Parquet file" in refusal(path)


def test_damaged_parquet_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"x": [1.5, 2, 3, 4], "kind": list("abab")}).write_parquet(path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] ^= 0xA5
        path.write_bytes(damaged)
        try:
            data = read_dataset(path, label="kind")
        except QDeployError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert data.features.shape == (4, 1)


finite = st.floats(min_value=-1e38, max_value=1e38, allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(finite, finite), min_size=4, max_size=30))
def test_a_csv_of_floats_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("floats") / "t.csv"
    path.write_text("a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows))
    expected = np.array(rows)
    read = read_features(path, ("a", "b"))
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(np.signbit(read), np.signbit(expected))


def test_prediction_finds_columns_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, table(["1,2,a"], "x,z,kind"))
    assert read_features(path, ("z", "x")).tolist() == [[2, 1]]
    with pytest.raises(QDeployError, match=r"no columns 'w', 'v'"):
        read_features(path, ("x", "w", "v"))
    with pytest.raises(QDeployError, match="has 3 columns but the model takes 2"):
        read_features(path, ("x0", "x1"))
    plain = write(tmp_path, table(["1,2", "3,4"], "x,z"))
    assert read_features(plain, ("x0", "x1")).tolist() == [[1, 2], [3, 4]]


def test_prediction_with_int8_inputs(tmp_path: Path) -> None:
    path = write(tmp_path, "x,z\n-128,127\n0,1\n")
    read = read_features(path, None, 2)
    assert read.dtype == np.int8
    assert read.tolist() == [[-128, 127], [0, 1]]
    with pytest.raises(QDeployError, match="takes 3 features"):
        read_features(path, None, 3)
    for wrong in ("128", "0.5"):
        bad = write(tmp_path, f"x,z\n0,1\n1,{wrong}\n")
        with pytest.raises(QDeployError, match=r"column 'z', row 2 \(line 3 .*not an int8"):
            read_features(bad, None, 2)


def test_evaluation_data_follow_the_training_data(tmp_path: Path) -> None:
    train = read_dataset(write(tmp_path, table()), label="kind")
    path = write(tmp_path, "kind,z,extra,x\nb,1,?,2\n", "test.csv")
    test = read_dataset(path, label="kind", like=train)
    assert test.features.tolist() == [[2, 1]]
    assert test.target.tolist() == ["b"]
    numbers = write(tmp_path, "kind,z,x\n5,1,2\n", "numbers.csv")
    assert read_dataset(numbers, label="kind", like=train).target.tolist() == ["5"]
    whole = read_dataset(
        write(tmp_path, table([f"{i},{i},{i % 2}" for i in range(6)])), label="kind"
    )
    assert read_dataset(numbers, label="kind", like=whole).target.tolist() == [5]
    assert "is not of the kind" in refusal(path, like=whole)


def test_arrays() -> None:
    X = np.arange(12.0).reshape(6, 2)
    y = np.array([0, 1, 0, 1, 0, 1])
    data = dataset_from_arrays(X, y)
    assert data.feature_names == ("x0", "x1")
    assert data.target.tolist() == y.tolist()
    frame = dataset_from_arrays(pl.DataFrame(X, schema=["p", "q"]), list("ababab"))
    assert frame.feature_names == ("p", "q")
    assert frame.target.dtype.kind == "U"
    assert dataset_from_arrays(X, np.array(list("ababab"), dtype=object)).task == "classify"
    two = dataset_from_arrays(X, X + 0.5)
    assert two.task == "regress"
    assert two.target_names == ("y0", "y1")


@pytest.mark.parametrize(
    ("X", "y", "part"),
    [
        (np.zeros(4), np.arange(4), "a matrix of rows and columns"),
        (np.zeros((4, 2, 2)), np.arange(4), "a matrix of rows and columns"),
        (np.array([["a"], ["b"]]), [0, 1], "must be numbers"),
        (np.eye(4), [0, 1, 0], "4 rows of features but 3 targets"),
        (np.eye(4), [0, 1, 0, np.nan], "label 'y', row 4: the value is missing"),
        (np.eye(4), [0, 1, 0, np.inf], "label 'y', row 4: the value is infinite"),
        (np.eye(4), np.array(["a", 1, "b", 2], dtype=object), "mixes int, str"),
        (np.where(np.eye(4) > 0, np.nan, 1), [0, 1, 0, 1], "column 'x0', row 1"),
    ],
)
def test_array_faults(X: np.ndarray, y: object, part: str) -> None:
    with pytest.raises(QDeployError) as caught:
        dataset_from_arrays(X, y)
    assert part in str(caught.value)


def test_array_names_are_checked() -> None:
    with pytest.raises(QDeployError, match="1 feature names were given for 4 columns"):
        dataset_from_arrays(np.eye(4), [0, 1, 0, 1], feature_names=["a"])
    with pytest.raises(QDeployError, match="more than one feature is called 'a'"):
        dataset_from_arrays(np.eye(4), [0, 1, 0, 1], feature_names=list("abca"))
    with pytest.raises(QDeployError, match="cannot be a class"):
        dataset_from_arrays(np.eye(4), np.eye(4)[:, :2], task="classify")

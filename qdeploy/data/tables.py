"""Tables with named columns: CSV, TSV and Parquet.

Text is read as text and turned into numbers here, strictly, so that "1,5", "0x10" or "nan" are
refused with their place instead of being guessed at. Polars reads regular files fast; a file that
it stumbles over, or finds gaps in, is read again by the standard library, which knows the lines.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from qdeploy.data.sources import Source, TargetKind
from qdeploy.data.validation import plain_row
from qdeploy.errors import QDeployError
from qdeploy.wording import did_you_mean, listing

__all__ = ["TableSource", "labels_from_text", "read_delimited", "read_parquet"]

SEPARATORS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}
CHUNK_ROWS = 4096

# Polars panics on some damaged files, with an exception that is not an Exception.
READ_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


class TableSource(Source):
    """A table whose columns are found by name.

    Args:
        path: the file.
        frame: its columns, under distinct names.
        separator: what separates the fields of a text file, None for a binary one.
    """

    def __init__(self, path: Path, frame: pl.DataFrame, separator: str | None = None) -> None:
        super().__init__(path.name, tuple(frame.columns), named=True)
        self._path = path
        self._frame = frame
        self._separator = separator

    def place(self, row: int) -> str:
        """The row, and for a text file also the line."""
        if self._separator is None:
            return plain_row(row)
        for number, (line, _) in enumerate(_records(self._path, self._separator), start=-1):
            if number == row:
                return f"row {row + 1} (line {line} of the file)"
        return plain_row(row)

    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Values, float64 (n, D), of the named columns, finite."""
        values = np.empty((self._frame.height, len(names)))
        for position, name in enumerate(names):
            values[:, position] = self._column(name)
        self.check(values, names)
        return values

    def target(
        self, label: str | None, kind: TargetKind
    ) -> tuple[NDArray[np.generic], tuple[str, ...]]:
        """The label column as numbers, as text, or as what it looks like."""
        if label is None:
            raise QDeployError(
                f"{self.name}: say which column is the label with --label; "
                f"the columns are {listing(self.column_names, 20)}"
            )
        if label not in self.column_names:
            raise QDeployError(
                f"{self.name}: there is no column {label!r}"
                + (
                    did_you_mean(label, self.column_names)
                    or f"; the columns are {listing(self.column_names, 20)}"
                )
            )
        if kind == "number":
            return self.numbers([label])[:, 0], (label,)
        series = self._frame[label]
        if series.dtype in (pl.Categorical, pl.Enum):
            series = series.cast(pl.String)
        if series.dtype == pl.String:
            series = series.str.strip_chars()
            self._refuse_missing(series)
            return labels_from_text(series, as_text=kind == "text"), (label,)
        self._refuse_missing(series)
        if series.dtype == pl.Boolean:
            values = series.to_numpy()
        elif (
            series.dtype.is_integer()
            and not (integers := series.cast(pl.Int64, strict=False)).null_count()
        ):
            values = integers.to_numpy()
        else:
            values = self._column(label)
        return (values.astype(np.str_) if kind == "text" else values), (label,)

    def _column(self, name: str) -> NDArray[np.float64]:
        """One column as float64 (n,); infinity and NaN pass."""
        series = self._frame[name]
        if series.dtype in (pl.Categorical, pl.Enum):
            series = series.cast(pl.String)
        if series.dtype == pl.String:
            return self._parsed(series.str.strip_chars())
        if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
            raise QDeployError(
                f"{self.name}, column {name!r}: holds values of type {series.dtype}, not numbers; "
                "convert or remove the column"
            )
        self._refuse_missing(series)
        return series.cast(pl.Float64).to_numpy()

    def _parsed(self, series: pl.Series) -> NDArray[np.float64]:
        self._refuse_missing(series)
        numbers = series.cast(pl.Float64, strict=False)
        if numbers.null_count() and (truth := _booleans(series)) is not None:
            return truth.cast(pl.Float64).to_numpy()
        values = numbers.fill_null(np.nan).to_numpy()
        finite = np.isfinite(values)
        if not finite.all():
            row = int(finite.argmin())
            raise QDeployError(
                f"column {series.name!r}, {self.place(row)}: {_clipped(series[row])} is not a "
                "finite number; correct it, or remove the row or the column"
            )
        return values

    def _refuse_missing(self, series: pl.Series) -> None:
        missing = series.is_null().to_numpy()
        if series.dtype == pl.String:
            missing = missing | (series.fill_null("") == "").to_numpy()
        if missing.any():
            raise QDeployError(
                f"column {series.name!r}, {self.place(int(missing.argmax()))}: "
                "the value is missing; fill it in, or remove the row or the column"
            )


def labels_from_text(series: pl.Series, *, as_text: bool = False) -> NDArray[np.generic]:
    """Labels (n,) of text: integers, floats or booleans if all of them read so, else text.

    Args:
        series: text without spaces around it, nothing missing.
        as_text: keep the text whatever it looks like.
    """
    if not as_text:
        for dtype in (pl.Int64, pl.Float64):
            values = series.cast(dtype, strict=False)
            if not values.null_count():
                return values.to_numpy()
        if (truth := _booleans(series)) is not None:
            return truth.to_numpy()
    return np.array(series.to_list(), dtype=np.str_)


def _booleans(series: pl.Series) -> pl.Series | None:
    lowered = series.str.to_lowercase()
    return lowered == "true" if lowered.is_in(["true", "false"]).all() else None


def _clipped(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def read_delimited(path: Path, separator: str) -> TableSource:
    """Read a text table whose first line names the columns.

    Args:
        path: a file in UTF-8, with or without a byte-order mark.
        separator: the character between two fields.

    Raises:
        QDeployError: the file is empty, ragged, in another encoding or separated otherwise.
    """
    records = _records(path, separator)
    first = next(records, None)
    if first is None:
        raise QDeployError(f"{path.name}: the file is empty; the first line must name the columns")
    header = [name.strip() for name in first[1]]
    _check_header(path, header, separator)
    second = next(records, None)
    if second is None:
        raise QDeployError(f"{path.name}: there is a header but no row of data")
    try:
        frame = pl.read_csv(
            path,
            has_header=False,
            skip_lines=second[0] - 1,
            separator=separator,
            schema=dict.fromkeys(header, pl.String),
            glob=False,
        )
        regular = frame.height > 0 and not any(frame.null_count().row(0))
    except READ_FAULTS:
        regular = False
    if not regular:
        frame = _careful_frame(path, separator, header)
    return TableSource(path, frame, separator)


def _check_header(path: Path, header: list[str], separator: str) -> None:
    if len(header) == 1:
        for other, name in SEPARATORS.items():
            if other in header[0]:
                raise QDeployError(
                    f"{path.name}: the header {_clipped(header[0])} seems to be separated by "
                    f"{name}, not by {SEPARATORS[separator]}; "
                    + (
                        "name the file .tsv"
                        if other == "\t"
                        else "name the file .csv"
                        if other == ","
                        else "save it with commas"
                    )
                )
    if "" in header:
        raise QDeployError(
            f"{path.name}: column {header.index('') + 1} has no name in the header; name it, or "
            "remove it if it only numbers the rows"
        )
    doubled = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if doubled:
        raise QDeployError(
            f"{path.name}: the header has more than one column {doubled[0]!r}; rename all but one"
        )
    numbered = [str(i) for i in range(len(header))], [str(i + 1) for i in range(len(header))]
    numeric = pl.Series(header).cast(pl.Float64, strict=False).null_count() == 0
    if numeric and header not in numbered:
        raise QDeployError(
            f"{path.name}: the first line holds numbers; put a line with the column names before it"
        )


def _records(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line number (1-based) and fields of every record, blank lines left out.

    Raises:
        QDeployError: the text is not UTF-8, or its quotes do not close.
    """
    before = 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        try:
            for fields in reader:
                if any(field.strip() for field in fields) or len(fields) > 1:
                    yield before + 1, fields
                before = reader.line_num
        except UnicodeDecodeError:
            raise QDeployError(_encoding_fault(path)) from None
        except csv.Error as fault:
            raise QDeployError(
                f"{path.name}, line {before + 1}: the fields cannot be told apart ({fault}); "
                "check the quotes"
            ) from None


def _encoding_fault(path: Path) -> str:
    number = 1
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                return f"{path.name}: the file is in UTF-16; save it as UTF-8"
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                break
    return f"{path.name}, line {number}: the text is not UTF-8; save the file as UTF-8"


def _careful_frame(path: Path, separator: str, header: list[str]) -> pl.DataFrame:
    """The table read record by record: blank lines skipped, empty fields kept as empty text."""
    schema = dict.fromkeys(header, pl.String)
    chunks = []
    rows: list[list[str]] = []
    for number, (line, fields) in enumerate(_records(path, separator)):
        if number == 0:
            continue
        if len(fields) != len(header):
            raise QDeployError(
                f"{path.name}, row {number} (line {line} of the file): has {len(fields)} fields "
                f"but the header names {len(header)} columns; check the separators"
            )
        rows.append(fields)
        if len(rows) == CHUNK_ROWS:
            chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
            rows = []
    chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return pl.concat(chunks)


def read_parquet(path: Path) -> TableSource:
    """Read a Parquet file.

    Raises:
        QDeployError: it is damaged, or has no rows.
    """
    try:
        frame = pl.read_parquet(path, glob=False)
    except READ_FAULTS as fault:
        reason = str(fault).partition("\n")[0]
        raise QDeployError(f"{path.name}: not a readable Parquet file ({reason})") from None
    if not frame.height:
        raise QDeployError(f"{path.name}: the table has no row of data")
    return TableSource(path, frame)

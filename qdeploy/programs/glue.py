"""What a benchmark program calls, and the header that tells its C source so."""

import re
from dataclasses import dataclass
from typing import Literal

from qdeploy import __version__
from qdeploy.firmware.interface import ModelInterface

__all__ = ["Glue", "agreement_source", "bench_configuration", "run_configuration"]

_BLOCK_BYTES = 1 << 16
"""Inputs or scores that the run program holds: what a pipe of Linux holds."""
_SCORE_BYTES = {"int32": 4, "int64": 8}


@dataclass(frozen=True)
class Glue:
    """A compiled function to be timed.

    Attributes:
        entry: prefix NAME of a model's functions, or the name of the C function.
        kind: "model": ``int NAME_predict(const T *x, S *scores)`` and ``int
            NAME_predict_batch(const T *x, size_t n, S *scores)``, 0 on success; "rows":
            ``void ENTRY(const T *x, S *scores)`` for exactly `rows` rows.
        row_bytes: of one row of inputs.
        score_bytes: of the scores of one row.
        rows: rows a call of the kind "rows"; 0 for a model, which takes any number.
        value_type: T in C.
        score_type: S in C.
    """

    entry: str
    kind: Literal["model", "rows"]
    row_bytes: int
    score_bytes: int
    rows: int = 0
    value_type: str = "void"
    score_type: str = "void"

    def __post_init__(self) -> None:
        if (self.kind == "rows") != (self.rows > 0):
            raise ValueError("a function for rows has their number, and a model has none")
        if min(self.row_bytes, self.score_bytes) <= 0:
            raise ValueError("rows and their scores take bytes")

    @classmethod
    def of_model(cls, interface: ModelInterface) -> "Glue":
        """The functions of a compiled model."""
        return cls(
            interface.name,
            "model",
            interface.inputs,
            interface.outputs * _SCORE_BYTES[interface.score_type],
            value_type="int8_t",
            score_type=f"{interface.score_type}_t",
        )


def bench_configuration(glue: Glue, program: str) -> str:
    """``configuration.h`` of bench.c.

    Args:
        glue: what is called.
        program: name of the program, for its messages.
    """
    x, scores = f"const {glue.value_type} *x", f"{glue.score_type} *scores"
    if glue.kind == "model":
        one, many = f"{glue.entry}_predict", f"{glue.entry}_predict_batch"
        prototypes = [f"int {one}({x}, {scores});", f"int {many}({x}, size_t n, {scores});"]
        calls = (f"{one}(x, scores)", f"{many}(x, rows, scores)")
    else:
        prototypes = [f"void {glue.entry}({x}, {scores});"]
        call = f"{glue.entry}(x, scores), 0)"
        calls = (f"({call}", f"((void)(rows), {call}")
    return _header(
        program,
        [
            f"#define PROGRAM_FIXED_ROWS {glue.rows}",
            f"#define PROGRAM_ROW_BYTES {glue.row_bytes}",
            f"#define PROGRAM_SCORE_BYTES {glue.score_bytes}",
            f'#define PROGRAM_ROW_FACTS "{_count(glue.row_bytes, "byte")}"',
            *prototypes,
            f"#define PROGRAM_CALL_ONE(x, scores) {calls[0]}",
            f"#define PROGRAM_CALL_MANY(x, rows, scores) {calls[1]}",
        ],
    )


def run_configuration(interface: ModelInterface, program: str) -> str:
    """``configuration.h`` of run.c.

    Args:
        interface: how the model is called.
        program: name of the program, for its messages.
    """
    size = _SCORE_BYTES[interface.score_type]
    widest = max(interface.inputs, interface.outputs * size)
    score = f"{interface.score_type}_t"
    inputs = _count(interface.inputs, "int8 value")
    scores = f"{_count(interface.outputs, f'{interface.score_type} score')}, little-endian"
    predict = f"{interface.name}_predict_batch"
    return _header(
        program,
        [
            f'#define PROGRAM_VERSION "{__version__}"',
            f'#define PROGRAM_FACTS "{inputs} in, {scores}, out"',
            f'#define PROGRAM_INPUT_FACTS "{inputs}"',
            f'#define PROGRAM_SCORE_FACTS "{scores}"',
            f"#define PROGRAM_INPUTS {interface.inputs}",
            f"#define PROGRAM_OUTPUTS {interface.outputs}",
            f"#define PROGRAM_ROWS {max(1, _BLOCK_BYTES // widest)}",
            f"typedef {score} program_score;",
            # Not the model's header, whose macros may be called as those here.
            f"int {predict}(const int8_t *x, size_t n, program_score *scores);",
            f"#define PROGRAM_PREDICT_BATCH {predict}",
        ],
    )


def agreement_source(header: str, interface: ModelInterface) -> str:
    """C that compiles only where a model's header declares what the programs call."""
    score = f"{interface.score_type}_t *"
    types = {
        f"{interface.name}_predict": f"int (*)(const int8_t *, {score})",
        f"{interface.name}_predict_batch": f"int (*)(const int8_t *, size_t, {score})",
    }
    checks = [
        f'_Static_assert(_Generic(&{name}, {kind}: 1, default: 0), "{header} declares another");'
        for name, kind in types.items()
    ]
    return "\n".join([f'#include "{header}"', *checks]) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _header(program: str, lines: list[str]) -> str:
    name = re.sub(r"[^\w.+-]", "_", program, flags=re.ASCII)
    return "\n".join(
        [
            "#include <stddef.h>",
            "#include <stdint.h>",
            "",
            f'#define PROGRAM_NAME "{name}"',
            *lines,
            "",
        ]
    )

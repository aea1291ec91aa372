"""Candidates of a plan as code: one function each, in files that any toolchain can build."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdeploy.compiler.library import EntryFunction, candidates_source
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.plan import Candidate

__all__ = ["WrittenCandidates", "entry_symbol", "write_candidates"]


@dataclass(frozen=True)
class WrittenCandidates:
    """Files to compile and link.

    Attributes:
        source: C file with the functions and their constants.
        kernels: object with the kernels that they call.
        symbols: the functions, in the order of the candidates; each is called as ``NAME_predict``
            or, for batches, as ``NAME_predict_batch``.
    """

    source: Path
    kernels: Path
    symbols: tuple[str, ...]


def entry_symbol(number: int) -> str:
    """C name of the function of a candidate."""
    return f"candidate_{number}"


def write_candidates(
    found: Sequence[Candidate], processor: Processor, folder: Path
) -> WrittenCandidates:
    """Write the candidates of one network into a folder.

    Args:
        found: the candidates.
        processor: what TVM's LLVM compiles for.
        folder: where the files go.
    """
    functions = [
        EntryFunction(
            symbol=entry_symbol(number),
            kernel_symbol=f"kernel_{number}",
            kernel=candidate.kernel,
            tile=candidate.tile,
            rows=candidate.use == "batch",
        )
        for number, candidate in enumerate(found)
    ]
    kernels = folder / "kernels.o"
    lower_to_object(
        {
            function.kernel_symbol: candidate.function(function.kernel_symbol)
            for function, candidate in zip(functions, found, strict=True)
        },
        processor,
        kernels,
    )
    source = folder / "candidates.c"
    score = f"{found[0].kernel.network.score_dtype}_t"
    source.write_text(candidates_source(score, functions), encoding="ascii")
    return WrittenCandidates(source, kernels, tuple(function.symbol for function in functions))

"""TVM functions to plain objects or C, without TVM's runtime and calling convention.

TVM's own pipeline ends in MakePackedAPI, which needs its runtime. Here that pass is left out and
buffers become typed pointers, so the function is `void f(const int8_t *x, …, int64_t rows)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import PointerType, StringImm
from tvm.s_tir import transform as s_tir
from tvm.target import codegen
from tvm.tirx import transform as tirx_pass

from qdeploy import __version__
from qdeploy.errors import QDeployError

__all__ = ["Processor", "lower_to_c", "lower_to_object", "versions"]

_PLAIN_TYPES = {"n": "int64_t"}


def versions() -> dict[str, str]:
    """Versions of qdeploy and of what generates its code."""
    return {
        "qdeploy": __version__,
        "tvm": str(tvm.__version__),
        "llvm": str(codegen.llvm_version_major()),
    }


@dataclass(frozen=True)
class Processor:
    """What LLVM compiles for.

    Attributes:
        triple: LLVM target triple.
        cpu: LLVM processor name.
        attributes: features to add ("+name") or to leave out ("-name").
        vector_bits: width of a vector; None leaves it to TVM, which warns where it has to guess.
    """

    triple: str
    cpu: str
    attributes: tuple[str, ...] = ()
    vector_bits: int | None = None

    @property
    def architecture(self) -> str:
        """First part of the triple."""
        return self.triple.split("-")[0]

    @property
    def target(self) -> Any:
        """TVM's target, which is also its own host."""
        description: dict[str, Any] = {
            "kind": "llvm",
            "mtriple": self.triple,
            "mcpu": self.cpu,
        }
        if self.attributes:
            description["mattr"] = list(self.attributes)
        if self.vector_bits is not None:
            description["vector-width"] = self.vector_bits
        target = tvm.target.Target(description)
        return target.with_host(target)

    @cached_property
    def features(self) -> frozenset[str]:
        """LLVM feature names that generated code may use.

        Raises:
            QDeployError: TVM's LLVM does not know the processor.
        """
        if not codegen.llvm_is_valid_cpu(self.cpu, self.triple):
            raise QDeployError(
                f"TVM's LLVM knows no processor {self.cpu!r} for {self.triple}; "
                "correct the target's cpu or triple"
            )
        known = {str(name) for name in codegen.llvm_get_cpu_features(self.target)}
        for attribute in self.attributes:
            name = attribute[1:]
            known = known | {name} if attribute.startswith("+") else known - {name}
        return frozenset(known)


def _passes(target: Any) -> Sequence[Any]:
    # Common subexpressions are left to LLVM and the C compiler, which know their registers.
    return (
        tirx_pass.BindTarget(target),
        s_tir.CanonicalizeLoop(),
        s_tir.LowerInitBlock(),
        s_tir.PlanAndUpdateBufferAllocationLocation(),
        s_tir.ConvertBlocksToOpaque(),
        s_tir.CompactBufferAllocation(),
        s_tir.LowerMatchBuffer(),
        tirx_pass.StmtSimplify(),
        s_tir.LowerOpaqueBlock(),
        tirx_pass.FlattenBuffer(),
        tirx_pass.NarrowDataType(32),
        s_tir.LoopPartition(),
        tirx_pass.VectorizeLoop(True),
        tirx_pass.UnrollLoop(),
        s_tir.RenormalizeSplitPattern(),
        tirx_pass.StmtSimplify(),
        tirx_pass.RemoveNoOp(),
        tirx_pass.VerifyMemory(),
        tirx_pass.LowerTVMBuiltin(),
        tirx_pass.LowerIntrin(),
    )


def _with_pointers(function: Any) -> Any:
    """Buffer parameters become typed pointers; symbolic sizes become trailing parameters."""
    pointers = {}
    for parameter in function.params:
        name = str(parameter)
        pointers[name] = tirx.Var(name, PointerType(parameter.ty.dtype))
    sizes = {
        str(size): size
        for parameter in function.params
        for size in parameter.ty.shape
        if isinstance(size, tirx.Var)
    }

    def rebind(statement: Any) -> Any:
        data = str(getattr(statement, "data", ""))
        if isinstance(statement, tirx.DeclBuffer) and data.endswith(".data"):
            return tirx.DeclBuffer(statement.buffer, data=pointers[data.removesuffix(".data")])
        return statement

    statements = function.body.seq if isinstance(function.body, tirx.SeqStmt) else [function.body]
    body = tirx.SeqStmt([rebind(statement) for statement in statements])
    return tirx.PrimFunc(
        [*pointers.values(), *sizes.values()], body, function.ret_type, function.attrs
    )


def _build(functions: Mapping[str, Any], target: Any) -> Any:
    module = tvm.IRModule(dict(functions))
    for lowering in _passes(target):
        module = lowering(module)
    module = tvm.IRModule(
        {name: _with_pointers(function) for name, function in module.functions.items()}
    )
    return tvm.get_global_func(f"target.build.{target.kind.name}")(module, target)


def _with_definitions(function: Any, definitions: str) -> Any:
    """The function with LLVM text linked to it, whose functions it may call."""
    body = tirx.AttrStmt(
        tirx.const(0, "int32"), "pragma_import_llvm", StringImm(definitions), function.body
    )
    return tirx.PrimFunc(function.params, body, function.ret_type, function.attrs)


def lower_to_object(
    functions: Mapping[str, Any], processor: Processor, path: Path, definitions: str = ""
) -> None:
    """Compile functions to one relocatable object.

    Args:
        functions: TVM functions by symbol.
        processor: what to compile for.
        path: the object file to write.
        definitions: LLVM text of the functions that they call.
    """
    if definitions:
        functions = {
            symbol: _with_definitions(function, definitions)
            for symbol, function in functions.items()
        }
    _build(functions, processor.target).write_to_file(str(path), "o")


def lower_to_c(functions: Mapping[str, Any]) -> str:
    """Freestanding C99 of functions that use scalars only."""
    target = tvm.target.Target({"kind": "c"})
    source = _build(functions, target.with_host(target)).inspect_source()
    dropped = ("#", "//", 'extern "C"', "void* __tvm_ffi__library_ctx")
    lines = [
        line
        for line in source.splitlines()
        # Prototypes of called functions, one a call: their definitions stand in front.
        if not line.startswith(dropped) and not (line.startswith("TVM_DLL") and line.endswith(");"))
    ]
    return "#include <stdint.h>\n" + "\n".join(lines).replace("TVM_DLL ", "") + "\n"

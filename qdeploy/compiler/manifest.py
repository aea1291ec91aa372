"""What an artifact folder says of itself, and the checks when one is opened."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdeploy.errors import QDeployError

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "CertificateSummary",
    "ChoiceTable",
    "Manifest",
    "Memory",
    "PlanTable",
    "digest",
    "read_manifest",
]

FORMAT_VERSION: Literal[1] = 1
MANIFEST = "manifest.json"

Count = Annotated[int, Field(ge=0)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Memory(_Table):
    """Bytes that the C library needs.

    Attributes:
        code: machine instructions.
        constants: read-only data.
        scratch: stack that the larger of the two functions needs for working memory.
        writable: static writable data.
    """

    code: Count
    constants: Count
    scratch: Count
    writable: Count


class ChoiceTable(_Table):
    """One form for one use, as `qdeploy.compiler.plan.Choice`."""

    form: str
    tile: Annotated[int, Field(ge=1)]
    accumulators: dict[str, str]
    operations: dict[str, float]
    cycles: float
    weight_bytes: Count
    scratch_bytes: Count


class PlanTable(_Table):
    """The plan, as `qdeploy.compiler.plan.Plan`."""

    instruction_set: str
    single: ChoiceTable
    batch: ChoiceTable
    rejected: dict[str, str]


class CertificateSummary(_Table):
    """The certificate in figures; the proof itself is in the model file."""

    objective: float
    bound: float
    gap: float
    method: str
    loss: str
    penalty: float


class Manifest(_Table):
    """All that an artifact folder says of itself.

    Attributes:
        format: version of this layout.
        name: name of the model, and prefix of the C names.
        target: name of the target.
        triple: LLVM triple of the code.
        processor: LLVM processor of the code.
        versions: of qdeploy, TVM, LLVM and the C compiler.
        files: SHA-256 of every other file.
        inputs: int8 inputs of a sample.
        outputs: scores of a sample.
        neurons: neurons of the quadratic layer.
        score_type: C type of a score without the _t.
        scale: real value of one unit of a score.
        memory: bytes.
        plan: forms, widths, counted operations.
        verified: samples on which every implementation gave equal bits.
        certificate: figures of the certificate, if there is one.
    """

    format: Literal[1]
    name: str
    target: str
    triple: str
    processor: str
    versions: dict[str, str]
    files: dict[FileName, Digest]
    inputs: Annotated[int, Field(ge=1)]
    outputs: Annotated[int, Field(ge=1)]
    neurons: Annotated[int, Field(ge=1)]
    score_type: Literal["int32", "int64"]
    scale: float
    memory: Memory
    plan: PlanTable
    verified: Count
    certificate: CertificateSummary | None


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact folder, after checking every file against it.

    Raises:
        QDeployError: no artifact folder, one of another format, or a damaged one.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise QDeployError(
            f"{folder} is no artifact folder: it has no readable {MANIFEST}; "
            "make one with: qdeploy compile MODEL -o FOLDER"
        ) from None
    except UnicodeDecodeError:
        raise QDeployError(f"{path} is damaged: it is not UTF-8 text; compile again") from None
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        if where == "format":
            raise QDeployError(
                f"{path}: this qdeploy reads artifact format {FORMAT_VERSION}; compile again"
            ) from None
        raise QDeployError(
            f"{path} is damaged or not an artifact's manifest: {where}: {first['msg']}; "
            "compile again"
        ) from None
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise QDeployError(f"{folder} is damaged: {name} is missing; compile again")
        if digest(file) != expected:
            raise QDeployError(
                f"{folder} is damaged: {name} is not the file that was compiled; compile again"
            )
    return manifest

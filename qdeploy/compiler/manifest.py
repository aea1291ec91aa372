"""What an artifact folder says of itself, and the checks when one is opened."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdeploy.errors import QDeployError
from qdeploy.model import Model

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "CertificateSummary",
    "Count",
    "Manifest",
    "Table",
    "common_fields",
    "digest",
    "digests",
    "read_manifest",
]

FORMAT_VERSION: Literal[2] = 2
MANIFEST = "manifest.json"

Count = Annotated[int, Field(ge=0)]
FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Table(BaseModel):
    """A part of a manifest: no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CertificateSummary(Table):
    """The certificate in figures; the proof itself is in the model file."""

    objective: float
    bound: float
    gap: float
    method: str
    loss: str
    penalty: float


class Manifest(Table):
    """What every artifact folder says of itself; families add what is theirs.

    Attributes:
        format: version of this layout.
        family: of the target.
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
        verified: samples on which every implementation gave equal bits.
        certificate: figures of the certificate, if there is one.
    """

    format: Literal[2]
    family: str
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
    verified: Count
    certificate: CertificateSummary | None


def common_fields(model: Model, verified: int) -> dict[str, Any]:
    """The fields of a manifest that are the model's."""
    network, certificate = model.network, model.certificate
    summary = None
    if certificate is not None:
        summary = CertificateSummary(
            objective=certificate.objective,
            bound=certificate.bound,
            gap=certificate.gap,
            method=certificate.method,
            loss=certificate.loss,
            penalty=certificate.penalty,
        )
    return {
        "format": FORMAT_VERSION,
        "name": model.name,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "neurons": network.layers[0].width,
        "score_type": network.score_dtype,
        "scale": model.scale,
        "verified": verified,
        "certificate": summary,
    }


class _Family(BaseModel):
    """The two keys that tell how to read the others."""

    format: Literal[2]
    family: str


ManifestT = TypeVar("ManifestT", bound=Manifest)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def read_manifest(folder: Path, kinds: Mapping[str, type[ManifestT]]) -> ManifestT:
    """The manifest of an artifact folder, after checking every file against it.

    Args:
        folder: the artifact folder.
        kinds: the type of the manifest, by family.

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
        family = _Family.model_validate_json(text)
        if family.family not in kinds:
            raise QDeployError(
                f"{path}: family {family.family!r} is not known to this qdeploy; compile again"
            )
        manifest = kinds[family.family].model_validate_json(text)
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

"""What rides in metadata_props: all of a model that the integer graph does not say.

Four JSON texts under versioned keys (docs/file-formats.md). Reading trusts nothing: sizes are
limited before anything is decoded, types are checked strictly, nothing is executed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import numpy as np
from pydantic import Field, StrictBool, StrictStr, ValidationError

from qdeploy.data.dataset import Label
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Head, Model, Numbers
from qdeploy.network import QuantizedNetwork
from qdeploy.onnx.certificate_record import CertificateRecord, certificate_record, read_certificate
from qdeploy.onnx.graph import shown
from qdeploy.onnx.packing import pack, unpack
from qdeploy.onnx.records import Packed, Record

__all__ = ["PREFIX", "Metadata", "decode", "encode"]

PREFIX = "qdeploy."
FORMAT = "1"
FORMAT_KEY, MODEL_KEY, CERTIFICATE_KEY, PROVENANCE_KEY = (
    PREFIX + part for part in ("format", "model", "certificate", "provenance")
)

MAX_CHARACTERS = {
    FORMAT_KEY: 16,
    MODEL_KEY: 16 * 2**20,
    CERTIFICATE_KEY: 64 * 2**20,
    PROVENANCE_KEY: 2**20,
}
EXACT_IN_JSON = 2**53
"""Integers up to here survive readers that hold JSON numbers as doubles."""

Decimal = Annotated[str, Field(pattern=r"^-?[0-9]{1,400}$")]


class _LongInteger(Record):
    integer: Decimal


SmallInteger = Annotated[int, Field(ge=-EXACT_IN_JSON, le=EXACT_IN_JSON)]
StoredLabel = StrictBool | SmallInteger | float | StrictStr | _LongInteger


class _ClassesRecord(Record):
    kind: Literal["classes"] = "classes"
    labels: Annotated[tuple[StoredLabel, ...], Field(min_length=2)]


class _NumbersRecord(Record):
    kind: Literal["numbers"] = "numbers"
    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class _QuantizerRecord(Record):
    feature_names: tuple[str, ...]
    kept: Packed
    offset: Packed
    scale: Packed
    zero_point: int


class _ModelRecord(Record):
    name: str
    network: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scale: float
    head: Annotated[_ClassesRecord | _NumbersRecord, Field(discriminator="kind")]
    quantizer: _QuantizerRecord | None


@dataclass(frozen=True, eq=False)
class Metadata:
    """The texts of one file, checked as far as they can be without the graph."""

    record: _ModelRecord
    proof: CertificateRecord | None
    provenance: dict[str, Any]

    def complete(self, network: QuantizedNetwork) -> Model:
        """The model that the metadata and the graph's network make together.

        Raises:
            QDeployError: the two disagree, or an array is not what it should be.
        """
        record = self.record
        if record.network != _digest(network):
            raise QDeployError(
                "the weights in the graph are not those that the metadata was written for; the "
                "file was damaged or edited (without its qdeploy.* metadata it loads as a bare "
                "network)"
            )
        return Model(
            name=record.name,
            network=network,
            scale=record.scale,
            head=_read_head(record.head, network.outputs),
            quantizer=_read_quantizer(record.quantizer, network.inputs),
            certificate=read_certificate(self.proof, network),
            provenance=self.provenance,
        )


def encode(model: Model) -> dict[str, str]:
    """The metadata of a model, by key.

    Raises:
        QDeployError: something cannot be written: provenance that is not JSON, a number that is
            not finite, arrays of the wrong length, or more than the size limits.
    """
    try:
        provenance = json.dumps(
            dict(model.provenance), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        texts = {
            FORMAT_KEY: FORMAT,
            MODEL_KEY: _model_record(model).model_dump_json(),
            CERTIFICATE_KEY: (
                "null"
                if model.certificate is None
                else certificate_record(model.certificate).model_dump_json(exclude_unset=True)
            ),
            PROVENANCE_KEY: provenance,
        }
    except (TypeError, ValueError, RecursionError) as error:
        raise QDeployError(
            f"model {model.name!r} holds something that its file cannot carry: {_brief(error)}"
        ) from error
    for key, text in texts.items():
        if len(text) > MAX_CHARACTERS[key]:
            raise QDeployError(
                f"model {model.name!r}: {key} needs {len(text)} characters, more than the "
                f"{MAX_CHARACTERS[key]} that a file may hold; drop it or train on fewer rows"
            )
    _read(texts).complete(model.network)
    return texts


def decode(properties: Mapping[str, str]) -> Metadata | None:
    """Check the metadata of a file.

    Args:
        properties: metadata_props; keys of other tools are ignored.

    Returns:
        The metadata, or None in a file that no qdeploy wrote.

    Raises:
        QDeployError: the metadata is incomplete, too large, of another format or ill-formed.
    """
    texts = {key: text for key, text in properties.items() if key.startswith(PREFIX)}
    return _read(texts) if texts else None


def _read(texts: Mapping[str, str]) -> Metadata:
    version = texts.get(FORMAT_KEY)
    if version is not None and version != FORMAT:
        raise QDeployError(
            f"metadata {FORMAT_KEY} is {version[:20]!r}; this version of qdeploy reads {FORMAT!r}"
        )
    if texts.keys() != MAX_CHARACTERS.keys():
        raise QDeployError(
            f"the file holds the metadata {', '.join(map(shown, sorted(texts)))[:200]} where "
            f"qdeploy writes {', '.join(MAX_CHARACTERS)}; it was damaged or edited"
        )
    for key, text in texts.items():
        if len(text) > MAX_CHARACTERS[key]:
            raise QDeployError(
                f"metadata {key} has {len(text)} characters; {MAX_CHARACTERS[key]} are allowed"
            )
    record = _validated(_ModelRecord, MODEL_KEY, texts[MODEL_KEY])
    proof = None
    if texts[CERTIFICATE_KEY] != "null":
        proof = _validated(CertificateRecord, CERTIFICATE_KEY, texts[CERTIFICATE_KEY])
    return Metadata(record, proof, _read_provenance(texts[PROVENANCE_KEY]))


RecordType = TypeVar("RecordType", bound=Record)


def _validated(record: type[RecordType], key: str, text: str) -> RecordType:
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        raise QDeployError(f"metadata {key} is not valid: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    """The first complaint, on one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return " ".join(str(error).split())[:200] or type(error).__name__


def _digest(network: QuantizedNetwork) -> str:
    """SHA-256 of the layers' kinds, shapes and values, whatever types they are stored in."""
    digest = hashlib.sha256()
    for layer in network.layers:
        digest.update(layer.kind.encode())
        for field in fields(layer):
            array = getattr(layer, field.name)
            digest.update(f" {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return digest.hexdigest()


def _model_record(model: Model) -> _ModelRecord:
    head: _ClassesRecord | _NumbersRecord
    if isinstance(model.head, Classes):
        head = _ClassesRecord(labels=tuple(_stored_label(label) for label in model.head.labels))
    else:
        head = _NumbersRecord(
            names=tuple(model.head.names),
            mean=tuple(float(value) for value in model.head.mean),
            deviation=tuple(float(value) for value in model.head.deviation),
        )
    quantizer = model.quantizer
    return _ModelRecord(
        name=model.name,
        network=_digest(model.network),
        scale=float(model.scale),
        head=head,
        quantizer=None
        if quantizer is None
        else _QuantizerRecord(
            feature_names=tuple(quantizer.feature_names),
            kept=pack(quantizer.kept, "<i8"),
            offset=pack(quantizer.offset, "<f4"),
            scale=pack(quantizer.scale, "<f4"),
            zero_point=int(quantizer.zero_point),
        ),
    )


def _stored_label(label: Any) -> StoredLabel:
    plain = label.item() if isinstance(label, np.generic) else label
    if isinstance(plain, int) and abs(plain) > EXACT_IN_JSON:
        return _LongInteger(integer=str(plain))
    return plain


def _read_head(record: _ClassesRecord | _NumbersRecord, outputs: int) -> Head:
    if isinstance(record, _NumbersRecord):
        return Numbers(record.names, record.mean, record.deviation)
    labels: tuple[Label, ...] = tuple(
        int(label.integer) if isinstance(label, _LongInteger) else label for label in record.labels
    )
    return Classes(labels, outputs)


def _read_quantizer(record: _QuantizerRecord | None, inputs: int) -> InputQuantizer | None:
    if record is None:
        return None
    return InputQuantizer(
        feature_names=record.feature_names,
        kept=unpack(record.kept, "<i8", inputs, "quantizer.kept"),
        offset=unpack(record.offset, "<f4", inputs, "quantizer.offset"),
        scale=unpack(record.scale, "<f4", inputs, "quantizer.scale"),
        zero_point=record.zero_point,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("an object holds a key twice")
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _read_provenance(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise QDeployError(f"metadata {PROVENANCE_KEY} is not JSON: {_brief(error)}") from error
    if not isinstance(value, dict):
        raise QDeployError(f"metadata {PROVENANCE_KEY} must be a JSON object")
    return value

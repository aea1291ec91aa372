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
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from qdeploy.activation import LARGEST_LINEAR, Activation
from qdeploy.certificate import Certificate, OutputCertificate, ProofMethod, SharedProof, SideProof
from qdeploy.cut_proof import CutProof
from qdeploy.data.dataset import Label
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Head, Model, Numbers
from qdeploy.network import QuantizedNetwork
from qdeploy.onnx.graph import shown
from qdeploy.onnx.packing import pack, unpack

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
MAX_ARRAY_BYTES = 512 * 2**20
"""All the unpacked arrays of one text together: small texts can unpack to a thousand times more."""

EXACT_IN_JSON = 2**53
"""Integers up to here survive readers that hold JSON numbers as doubles."""

Packed = Annotated[str, Field(max_length=64 * 2**20, pattern=r"^[A-Za-z0-9+/=]*$")]
Decimal = Annotated[str, Field(pattern=r"^-?[0-9]{1,400}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _LongInteger(_Record):
    integer: Decimal


SmallInteger = Annotated[int, Field(ge=-EXACT_IN_JSON, le=EXACT_IN_JSON)]
StoredLabel = StrictBool | SmallInteger | float | StrictStr | _LongInteger


class _ClassesRecord(_Record):
    kind: Literal["classes"] = "classes"
    labels: Annotated[tuple[StoredLabel, ...], Field(min_length=2)]


class _NumbersRecord(_Record):
    kind: Literal["numbers"] = "numbers"
    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class _QuantizerRecord(_Record):
    feature_names: tuple[str, ...]
    kept: Packed
    offset: Packed
    scale: Packed
    zero_point: int


class _ModelRecord(_Record):
    name: str
    network: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scale: float
    head: Annotated[_ClassesRecord | _NumbersRecord, Field(discriminator="kind")]
    quantizer: _QuantizerRecord | None


class _TreeRecord(_Record):
    leaves: Annotated[int, Field(ge=1, le=20_000)]
    cut_count: Annotated[int, Field(ge=0, le=1_000_000)]
    cut_width: Annotated[int, Field(ge=1, le=63)]
    cuts: Packed
    weights: Packed
    fixed: Packed
    diagonals: Packed

    def array_bytes(self, inputs: int) -> int:
        """Size of the unpacked arrays, for d = inputs."""
        each_leaf = 8 * self.cut_count + 9 * inputs
        return 2 * self.cut_count * self.cut_width + self.leaves * each_leaf


class _SideRecord(_Record):
    shift: Annotated[str, Field(pattern=r"^[0-9]{1,400}$")]
    largest: Annotated[str, Field(pattern=r"^-?[0-9]{1,400}$")]
    multipliers: Packed | None
    tree: _TreeRecord | None = None


class _ActivationRecord(_Record):
    square: Literal[0, 1]
    linear: Annotated[int, Field(ge=-LARGEST_LINEAR, le=LARGEST_LINEAR)]
    unit: Annotated[float, Field(gt=0)]


class _SharedRecord(_Record):
    left: Packed
    right: Packed


class _OutputRecord(_Record):
    objective: float
    bound: float
    norm_bound: Annotated[str, Field(pattern=r"^[0-9]{1,400}$")]
    residual: Packed
    multipliers: Packed | None
    # Left out of the file where there is none, which files before this field had not either.
    tree: _TreeRecord | None = None
    sides: tuple[_SideRecord, _SideRecord] | None = None


class _CertificateRecord(_Record):
    method: ProofMethod
    loss: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    beta: Annotated[float, Field(ge=0)]
    penalty: Annotated[float, Field(ge=0)]
    input_step: Annotated[float, Field(gt=0)]
    constant: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    data_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    samples: Annotated[int, Field(ge=1, le=2**31)]
    outputs: Annotated[tuple[_OutputRecord, ...], Field(min_length=1)]
    activation: _ActivationRecord | None = None
    shared: _SharedRecord | None = None
    weights: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = "binary"
    penalty_kind: Literal["count", "size"] = "count"


@dataclass(frozen=True, eq=False)
class Metadata:
    """The texts of one file, checked as far as they can be without the graph."""

    record: _ModelRecord
    proof: _CertificateRecord | None
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
            certificate=_read_certificate(self.proof, network),
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
                else _certificate_record(model.certificate).model_dump_json(exclude_unset=True)
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
        proof = _validated(_CertificateRecord, CERTIFICATE_KEY, texts[CERTIFICATE_KEY])
    return Metadata(record, proof, _read_provenance(texts[PROVENANCE_KEY]))


RecordType = TypeVar("RecordType", bound=_Record)


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


def _certificate_record(certificate: Certificate) -> _CertificateRecord:
    return _CertificateRecord(
        method=certificate.method,
        loss=certificate.loss,
        beta=float(certificate.beta),
        penalty=float(certificate.penalty),
        input_step=float(certificate.input_step),
        constant=int(certificate.constant),
        data_digest=certificate.data_digest,
        samples=max((proof.residual.size for proof in certificate.outputs), default=0),
        outputs=tuple(
            _OutputRecord(
                objective=float(proof.objective),
                bound=float(proof.bound),
                norm_bound=str(int(proof.norm_bound)),
                residual=pack(proof.residual, "<i4"),
                multipliers=None if proof.multipliers is None else pack(proof.multipliers, "<i8"),
                **_optional(proof),
            )
            for proof in certificate.outputs
        ),
        **_activation_record(certificate.activation),
        **_shared_record(certificate.shared),
        **_alphabet(certificate),
    )


def _optional(proof: OutputCertificate) -> dict[str, Any]:
    """The parts of a proof that a file leaves out where there are none."""
    parts: dict[str, Any] = {}
    if proof.tree is not None:
        parts["tree"] = _tree_record(proof.tree)
    if proof.sides is not None:
        parts["sides"] = tuple(map(_side, proof.sides))
    return parts


def _activation_record(activation: Activation | None) -> dict[str, Any]:
    """Left out of the file for products of two sums."""
    if activation is None:
        return {}
    return {
        "activation": _ActivationRecord(
            square=1 if activation.square else 0,
            linear=int(activation.linear),
            unit=float(activation.unit),
        )
    }


def _alphabet(certificate: Certificate) -> dict[str, Any]:
    """Alphabet and penalty, left out of the file where they are the usual ones."""
    parts = {"weights": certificate.weights, "penalty_kind": certificate.penalty_kind}
    usual = {"weights": "binary", "penalty_kind": "count"}
    return {name: value for name, value in parts.items() if value != usual[name]}


def _shared_record(shared: SharedProof | None) -> dict[str, Any]:
    """Left out of the file where every output has its own proof."""
    if shared is None:
        return {}
    right = pack(shared.right.ravel(), "<i8")
    return {"shared": _SharedRecord(left=pack(shared.left, "<i8"), right=right)}


def _read_shared(record: _SharedRecord | None, inputs: int, outputs: int) -> SharedProof | None:
    if record is None:
        return None
    shape = (inputs, outputs, outputs)
    right = unpack(record.right, "<i8", inputs * outputs**2, "shared.right").reshape(shape)
    left = unpack(record.left, "<i8", inputs, "shared.left")
    return SharedProof(left.astype(np.int64), right.astype(np.int64))


def _side(side: SideProof) -> _SideRecord:
    return _SideRecord(
        shift=str(int(side.shift)),
        largest=str(int(side.largest)),
        multipliers=None if side.multipliers is None else pack(side.multipliers, "<i8"),
        **({} if side.tree is None else {"tree": _tree_record(side.tree)}),
    )


def _read_side(record: _SideRecord, inputs: int, name: str) -> SideProof:
    return SideProof(
        shift=int(record.shift),
        largest=int(record.largest),
        multipliers=_read_multipliers(record.multipliers, inputs, name),
        tree=_read_tree(record.tree, inputs, f"{name}.tree"),
    )


def _read_sides(
    records: tuple[_SideRecord, _SideRecord] | None, inputs: int, name: str
) -> tuple[SideProof, SideProof] | None:
    if records is None:
        return None
    above, below = records
    return _read_side(above, inputs, f"{name}.0"), _read_side(below, inputs, f"{name}.1")


def _read_multipliers(packed: str | None, inputs: int, name: str) -> np.ndarray | None:
    if packed is None:
        return None
    return unpack(packed, "<i8", inputs, f"{name}.multipliers").astype(np.int64)


def _tree_record(tree: CutProof) -> _TreeRecord:
    return _TreeRecord(
        leaves=len(tree.fixed),
        cut_count=len(tree.cuts),
        cut_width=tree.cuts.shape[1],
        cuts=pack(tree.cuts.ravel(), "<i2"),
        weights=pack(tree.weights.ravel(), "<i8"),
        fixed=pack(tree.fixed.ravel(), "i1"),
        diagonals=pack(tree.diagonals.ravel(), "<i8"),
    )


def _read_tree(record: _TreeRecord | None, inputs: int, name: str) -> CutProof | None:
    if record is None:
        return None
    leaves, count, width = record.leaves, record.cut_count, record.cut_width

    def table(field: str, kind: str, rows: int, columns: int) -> np.ndarray:
        packed = getattr(record, field)
        return unpack(packed, kind, rows * columns, f"{name}.{field}").reshape(rows, columns)

    return CutProof(
        cuts=table("cuts", "<i2", count, width).astype(np.int16),
        weights=table("weights", "<i8", leaves, count).astype(np.int64),
        fixed=table("fixed", "i1", leaves, inputs).astype(np.int8),
        diagonals=table("diagonals", "<i8", leaves, inputs).astype(np.int64),
    )


def _read_certificate(
    record: _CertificateRecord | None, network: QuantizedNetwork
) -> Certificate | None:
    if record is None:
        return None
    if len(record.outputs) != network.outputs:
        raise QDeployError(
            f"the certificate proves {len(record.outputs)} outputs but the network has "
            f"{network.outputs}"
        )
    weights = network.inputs + 1
    activation = None
    if record.activation is not None:
        activation = Activation(**record.activation.model_dump())
        weights = activation.form_size(weights)
    proofs = [part for proof in record.outputs for part in (proof, *(proof.sides or ()))]
    trees = sum(part.tree.array_bytes(weights) for part in proofs if part.tree)
    each = 4 * record.samples * len(record.outputs) + 8 * weights * len(proofs)
    each += 8 * weights * (1 + len(record.outputs) ** 2) if record.shared else 0
    if each + trees > MAX_ARRAY_BYTES:
        raise QDeployError(
            f"the certificate claims {record.samples} training rows and proofs of {trees} bytes, "
            "more than a file may hold"
        )
    return Certificate(
        method=record.method,
        loss=record.loss,
        beta=record.beta,
        penalty=record.penalty,
        input_step=record.input_step,
        constant=record.constant,
        data_digest=record.data_digest,
        outputs=tuple(
            OutputCertificate(
                objective=proof.objective,
                bound=proof.bound,
                norm_bound=int(proof.norm_bound),
                residual=unpack(
                    proof.residual, "<i4", record.samples, f"outputs.{index}.residual"
                ).astype(np.int32),
                multipliers=_read_multipliers(proof.multipliers, weights, f"outputs.{index}"),
                tree=_read_tree(proof.tree, weights, f"outputs.{index}.tree"),
                sides=_read_sides(proof.sides, weights, f"outputs.{index}.sides"),
            )
            for index, proof in enumerate(record.outputs)
        ),
        activation=activation,
        shared=_read_shared(record.shared, weights, len(record.outputs)),
        weights=record.weights,
        penalty_kind=record.penalty_kind,
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

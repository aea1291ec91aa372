"""The certificate as a text of metadata_props: its record, written and read.

Arrays are packed; their sizes are limited before any is unpacked.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from qdeploy.activation import LARGEST_LINEAR, Activation
from qdeploy.certificate import Certificate, OutputCertificate, ProofMethod, SharedProof, SideProof
from qdeploy.cut_proof import CutProof
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork
from qdeploy.onnx.packing import pack, unpack
from qdeploy.onnx.records import Packed, Record

__all__ = ["CertificateRecord", "certificate_record", "read_certificate"]

MAX_ARRAY_BYTES = 512 * 2**20
"""All the unpacked arrays of one text together: small texts can unpack to a thousand times more."""


class _TreeRecord(Record):
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


class _SideRecord(Record):
    shift: Annotated[str, Field(pattern=r"^[0-9]{1,400}$")]
    largest: Annotated[str, Field(pattern=r"^-?[0-9]{1,400}$")]
    multipliers: Packed | None
    tree: _TreeRecord | None = None


class _ActivationRecord(Record):
    square: Literal[0, 1]
    linear: Annotated[int, Field(ge=-LARGEST_LINEAR, le=LARGEST_LINEAR)]
    unit: Annotated[float, Field(gt=0)]


class _SharedRecord(Record):
    left: Packed
    right: Packed


class _OutputRecord(Record):
    objective: float
    bound: float
    norm_bound: Annotated[str, Field(pattern=r"^[0-9]{1,400}$")]
    residual: Packed
    multipliers: Packed | None
    # Left out of the file where there is none, which files before this field had not either.
    tree: _TreeRecord | None = None
    sides: tuple[_SideRecord, _SideRecord] | None = None


class CertificateRecord(Record):
    """Fields of a certificate; those with a default are left out of files that do not need them."""

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


def certificate_record(certificate: Certificate) -> CertificateRecord:
    """The record of a certificate."""
    return CertificateRecord(
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


def read_certificate(
    record: CertificateRecord | None, network: QuantizedNetwork
) -> Certificate | None:
    """The certificate of a record, for the network of the same file.

    Raises:
        QDeployError: it is for another number of outputs, or an array has another size than it
            should, or all together would be too large.
    """
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

"""Everything else that is compiled for microcontrollers: the same models, in the same C."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from qdeploy.benchmark.peers import Context
from qdeploy.benchmark.peers_arm import ARM_PEERS, ArmSubject, CompiledPeer
from qdeploy.benchmark.peers_mcu import MCU_PEERS, McuPeer, McuSubject
from qdeploy.benchmark.peers_mcu.fitting import identifier
from qdeploy.targets import ArmCore

if TYPE_CHECKING:
    from qdeploy.remote import Place

_OWN = ("tvm-default",)
"""Peers that have another kind of code here."""

BATCHES = """\
#include <stddef.h>
#include <stdint.h>

void {entry}(const {x} *x, {s} *scores);
int {prefix}_predict(const {x} *x, {s} *scores);
int {prefix}_predict_batch(const {x} *x, size_t rows, {s} *scores);

int {prefix}_predict(const {x} *x, {s} *scores)
{{
    {entry}(x, scores);
    return 0;
}}

int {prefix}_predict_batch(const {x} *x, size_t rows, {s} *scores)
{{
    for (size_t i = 0; i < rows; i++) {{
        {entry}(x + i * {inputs}, scores + i * {outputs});
    }}
    return 0;
}}
"""


class _Learned(CompiledPeer):
    """A peer of microcontrollers; batches are a loop over rows.

    Args:
        peer: which one.
    """

    def __init__(self, peer: McuPeer) -> None:
        self.name = peer.name
        self._peer = peer

    def obstacle(self, context: Context, place: "Place | None") -> str | None:
        """That of the peer."""
        return self._peer.obstacle(context)

    def prepare(
        self, context: Context, core: ArmCore, batches: Sequence[int], folder: Path
    ) -> ArmSubject:
        subject = self._peer.prepare(context)
        prefix = f"{identifier(self.name)}_rows"
        given = {each.name: getattr(subject, each.name) for each in fields(subject)}
        given["sources"] = {**subject.sources, f"{prefix}.c": _batches(subject, prefix)}
        return ArmSubject(**given, prefix=prefix)


def _batches(subject: McuSubject, prefix: str) -> str:
    x, s = (_ctype(dtype.name) for dtype in (subject.input_dtype, subject.output_dtype))
    return BATCHES.format(
        entry=subject.entry,
        prefix=prefix,
        x=x,
        s=s,
        inputs=subject.inputs,
        outputs=subject.outputs,
    )


def _ctype(dtype: str) -> str:
    return {"float32": "float", "float64": "double"}.get(dtype, f"{dtype}_t")


for _peer in MCU_PEERS.values():
    if _peer.name not in _OWN:
        ARM_PEERS.register(_peer.name)(_Learned(_peer))

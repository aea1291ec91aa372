"""What would be needed to do better, in sentences, from what limited this run."""

from collections.abc import Sequence

from qdeploy.certificate import Certificate
from qdeploy.training.output import TrainedOutput, exact_bound
from qdeploy.training.selection import Selection

__all__ = ["CLOSED", "ZERO_IS_OPTIMAL", "advice_for", "compact_advice"]

CLOSED = 0.005
"""A gap below this is called closed."""
ZERO_IS_OPTIMAL = "the zero network is optimal at this beta; a smaller beta lets the network learn"


def advice_for(
    certificate: Certificate,
    outputs: Sequence[TrainedOutput],
    dimension: int,
    budget: int | None,
    gap: float | None,
    selection: Selection | None,
) -> tuple[str, ...]:
    """Sentences on what limits the result, the most important first.

    Args:
        certificate: the proof.
        outputs: the trained outputs, before any budget was applied.
        dimension: d, the constant input included.
        budget: most neurons that were allowed, or None.
        gap: the gap that was asked for, or None.
        selection: the cross-validation behind β, or None.
    """
    sentences = []
    free = sum(output.neurons.solution.objective for output in outputs)
    cost = certificate.objective / free - 1 if free > 0 else 0.0
    if budget is not None and cost > CLOSED:
        found = sum(len(output.neurons.left) for output in outputs)
        sentences.append(
            f"the budget of {budget} neurons raises the objective by {cost:.1%}; without it "
            f"{found} neurons were found"
        )
    open_gap = certificate.gap > (CLOSED if gap is None else gap)
    if open_gap and not all(output.complete for output in outputs):
        sentences.append(
            "training stopped before it ran out of helpful neurons; a longer time limit or a "
            "smaller target gap lets it go on"
        )
    if open_gap and certificate.method != "enumeration" and not exact_bound(dimension):
        sentences.append(
            f"with {dimension} inputs (the constant one included) the bound is semidefinite "
            f"({certificate.method}), which is loose by some per cent however good the network is; "
            "with at most 32 it is exact"
        )
        sentences.append("a larger beta gives fewer neurons and a tighter proof")
    if open_gap and certificate.method == "enumeration" and cost > CLOSED and budget is None:
        sentences.append(
            f"rounding the readout to integers costs {cost:.1%}; more readout bits would regain it"
        )
    if selection is not None and selection.rows is not None:
        sentences.append(
            f"beta was chosen on a sample of {selection.rows} rows, the price of a neuron against "
            "the mean loss of a row as there; a smaller one, given by hand, may predict better"
        )
    if selection is not None and selection.beta <= selection.betas[-1]:
        sentences.append(
            "cross-validation chose the smallest beta of its path; a smaller one, given by hand, "
            "may predict better, with a looser proof"
        )
    if certificate.gap <= CLOSED and not any(len(output.neurons.left) for output in outputs):
        sentences.append(ZERO_IS_OPTIMAL)
    elif certificate.gap <= CLOSED:
        sentences.append(
            "nothing in training: the proof leaves no room; other inputs, another beta or another "
            "loss may predict better"
        )
    return tuple(sentences)


def compact_advice(certificate: Certificate, width: int, complete: bool) -> tuple[str, ...]:
    """Sentences on what limits a network of given width.

    Args:
        certificate: the proof against any width.
        width: neurons in use.
        complete: whether every start was tried.
    """
    sentences = []
    if not complete:
        sentences.append(
            "the search was cut short; a longer time limit tries every start, thoroughly"
        )
    if certificate.gap > CLOSED:
        sentences.append(
            f"more neurons than {width}: up to {certificate.gap:.1%} of the objective is what "
            "width, a better search or a tighter bound could still take off, at most"
        )
    sentences.append("a proof that leaves little room comes from the certified mode")
    return tuple(sentences)

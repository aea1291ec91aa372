"""The arena: arrays share a place only where they are never in use together."""

from hypothesis import given
from hypothesis import strategies as st

from qdeploy.compiler.kernel import Scratch
from qdeploy.compiler.mcu.memory import plan_arena

lifetimes = st.one_of(
    st.none(), st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda p: tuple(sorted(p)))
)
arrays = st.lists(
    st.tuples(st.sampled_from(["int8", "int16", "int32", "int64"]), st.integers(1, 99), lifetimes),
    max_size=8,
).map(lambda rows: [Scratch(f"a{k}", *row) for k, row in enumerate(rows)])


def meet(one, other):
    if one.stages is None or other.stages is None:
        return True
    return one.stages[0] <= other.stages[1] and other.stages[0] <= one.stages[1]


@given(arrays)
def test_arrays_of_a_slot_never_meet(scratch):
    plan = plan_arena(scratch)
    placed = [item for slot in plan.slots for item in slot]
    assert sorted(item.name for item in placed) == sorted(item.name for item in scratch)
    for slot in plan.slots:
        for k, item in enumerate(slot):
            assert not any(meet(item, other) for other in slot[k + 1 :])
    assert plan.bytes % 8 == 0
    assert plan.bytes <= sum(-(-item.bytes // 8) * 8 for item in scratch)


def test_what_is_used_one_after_the_other_shares():
    early = Scratch("early", "int8", 64, (0, 1))
    late = Scratch("late", "int32", 20, (2, 3))
    always = Scratch("always", "int16", 10)
    plan = plan_arena([early, late, always])
    assert plan.bytes == 80 + 24
    assert {frozenset(item.name for item in slot) for slot in plan.slots} == {
        frozenset({"early", "late"}),
        frozenset({"always"}),
    }

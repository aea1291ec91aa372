"""AArch64 instructions by class of the pipeline model, and what their text says too little of.

What is not listed is refused: vectors of variable length, cryptography, atomics and checksums are
not, since no kernel of qdeploy has a use for them.
"""

from qdeploy.targets.arm_cores import ArmExtension

__all__ = [
    "ACCUMULATORS",
    "FLAG_READERS",
    "FLAG_WRITERS",
    "INTEGER",
    "NEEDS",
    "NO_TARGET",
    "TARGET_READERS",
    "VECTOR",
]


def _by_name(classes: dict[str, str]) -> dict[str, str]:
    return {name: kind for kind, names in classes.items() for name in names.split()}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _both(names: str) -> str:
    """Names of instructions and of those that work on upper halves."""
    return " ".join(f"{name} {name}2" for name in names.split())


INTEGER = _by_name(
    {
        "alu": "adc adcs add adds adr adrp and ands asr bic bics ccmn ccmp cinc cinv cls clz cmn "
        "cmp cneg csel cset csetm csinc csinv csneg eon eor extr lsl lsr mov movk movn movz mvn "
        "neg negs ngc ngcs orn orr rbit rev rev16 rev32 ror sbc sbcs sbfiz sbfx sub subs sxtb "
        "sxth sxtw tst ubfiz ubfx uxtb uxth uxtw",
        "alu_shift": "bfc bfi bfxil",
        "multiply": "madd mneg msub mul smaddl smnegl smsubl smull umaddl umnegl umsubl umull",
        "multiply_wide": "smulh umulh",
        "divide": "sdiv udiv",
        "branch": "b bl cbnz cbz tbnz tbz",
        "indirect": "blr br ret",
        "load": "ldar ldarb ldarh ldaxr ldaxrb ldaxrh ldr ldrb ldrh ldrsb ldrsh ldrsw ldur ldurb "
        "ldurh ldursb ldursh ldursw ldxr ldxrb ldxrh",
        "load_pair": "ldnp ldp ldpsw",
        "store": "stlr stlrb stlrh stlxr stlxrb stlxrh str strb strh stur sturb sturh stxr stxrb "
        "stxrh",
        "store_pair": "stnp stp",
        "system": "autiasp bti dmb dsb hint isb mrs msr nop paciasp prfm prfum yield",
    }
)
"""Class of each instruction whose operands are integer registers."""

VECTOR = _by_name(
    {
        "vector_load": "ldr ldur ld1",
        "vector_load_pair": "ldnp ldp",
        "vector_load_many": "ld1r ld2 ld2r ld3 ld3r ld4 ld4r",
        "vector_store": "str stur st1",
        "vector_store_pair": "stnp stp",
        "vector_store_many": "st2 st3 st4",
        "vector_alu": "abs add addp and bic bif bit bsl cls clz cmeq cmge cmgt cmhi cmhs cmle cmlt "
        "cmtst cnt eor mov movi mvn mvni neg not orn orr rbit sabd saddlp shadd shsub smax smaxp "
        "smin sminp sqabs sqadd sqneg sqsub srhadd sub suqadd uabd uaddlp uhadd uhsub umax umaxp "
        "umin uminp uqadd uqsub urhadd usqadd fmov "
        + _both(
            "sabdl saddl saddw ssubl ssubw uabdl uaddl uaddw usubl usubw addhn raddhn subhn rsubhn"
        ),
        "vector_shift": "shl sli sqrshl sqshl sqshlu sri srshl srshr sshl sshr uqrshl uqshl urshl "
        "urshr ushl ushr "
        + _both(
            "rshrn shll shrn sqrshrn sqrshrun sqshrn sqshrun sqxtn sqxtun sshll sxtl uqrshrn "
            "uqshrn uqxtn ushll uxtl xtn"
        ),
        "vector_accumulate": "saba sadalp srsra ssra uaba uadalp ursra usra "
        + _both("sabal uabal"),
        "vector_reduce": "addv fmaxnmv fmaxv fminnmv fminv saddlv smaxv sminv uaddlv umaxv uminv",
        "vector_multiply": "mul pmul sqdmulh sqrdmulh",
        "vector_multiply_long": _both("pmull smull sqdmull umull"),
        "vector_multiply_add": "mla mls sqrdmlah sqrdmlsh",
        "vector_multiply_add_long": _both("smlal smlsl sqdmlal sqdmlsl umlal umlsl"),
        "vector_dot": "sdot sudot udot usdot",
        "vector_matrix": "smmla ummla usmmla",
        "vector_permute": "dup ext ins rev16 rev32 rev64 trn1 trn2 uzp1 uzp2 zip1 zip2",
        "vector_table": "tbl tbx",
        "from_vector": "smov umov",
        "float_add": "fabd fabs facge facgt fadd faddp fccmp fccmpe fcmeq fcmge fcmgt fcmle fcmlt "
        "fcmp fcmpe fcsel fmax fmaxnm fmaxnmp fmaxp fmin fminnm fminnmp fminp fneg fsub",
        "float_multiply": "fmul fmulx fnmul frecpe frecps frecpx frsqrte frsqrts",
        "float_multiply_add": "fmadd fmla fmls fmsub fnmadd fnmsub",
        "float_divide": "fdiv fsqrt",
        "float_convert": "fcvt fcvtas fcvtau fcvtms fcvtmu fcvtns fcvtnu fcvtps fcvtpu fcvtzs "
        "fcvtzu frinta frinti frintm frintn frintp frintx frintz scvtf ucvtf urecpe ursqrte "
        + _both("fcvtl fcvtn fcvtxn"),
    }
)
"""Class of each instruction with an operand in a vector register, scalars among them."""

NEEDS: dict[str, ArmExtension] = {
    **dict.fromkeys(("sdot", "udot"), "dotprod"),
    **dict.fromkeys(("sudot", "usdot", "smmla", "ummla", "usmmla"), "i8mm"),
    # Part of Armv8.1-A; all cores with dot products have that.
    **dict.fromkeys(("sqrdmlah", "sqrdmlsh"), "dotprod"),
}
"""Extension that an instruction belongs to."""

TARGET_READERS = _names(
    "bfc bfi bfxil bif bit bsl fmla fmls ins mla mls movk saba sadalp sdot sli smmla "
    "sqrdmlah sqrdmlsh sri srsra ssra sudot suqadd tbx uaba uadalp udot ummla ursra usdot "
    "usmmla usqadd usra addhn2 raddhn2 subhn2 rsubhn2 rshrn2 shrn2 sqrshrn2 sqrshrun2 sqshrn2 "
    "sqshrun2 sqxtn2 sqxtun2 uqrshrn2 uqshrn2 uqxtn2 xtn2 fcvtn2 fcvtxn2 "
    + _both("sabal smlal smlsl sqdmlal sqdmlsl uabal umlal umlsl")
)
"""Instructions that read what they write."""

ACCUMULATORS = frozenset(
    (
        "vector_accumulate",
        "vector_multiply_add",
        "vector_multiply_add_long",
        "vector_dot",
        "vector_matrix",
    )
)
"""Classes whose target takes part last, so that a chain of them can run faster than its latency."""

FLAG_WRITERS = _names(
    "adcs adds ands bics ccmn ccmp cmn cmp fccmp fccmpe fcmp fcmpe negs ngcs sbcs subs tst"
)
"""Instructions that set the condition flags."""

FLAG_READERS = _names(
    "adc adcs ccmn ccmp cinc cinv cneg csel cset csetm csinc csinv csneg fccmp fccmpe fcsel ngc "
    "ngcs sbc sbcs"
)
"""Instructions that use them, besides branches with a condition."""

NO_TARGET = _names(
    "ccmn ccmp cmn cmp fccmp fccmpe fcmp fcmpe tst b bl blr br cbnz cbz ret tbnz tbz prfm prfum msr"
)
"""Instructions that are no stores and whose first operand is not written."""

/*
 * Dot products of one int8 vector with the rows of an int8 matrix, four rows at a time.
 *
 * The scheme is that of CMSIS-NN's fully connected layers: with the DSP extension (DENSE_WIDE),
 * SXTB16 widens bytes to pairs of 16 bits and SMLAD multiplies and adds two pairs at once; rows are
 * interleaved in flash by words, so that one pointer serves the four of them. Other cores take the
 * plain loop, with rows interleaved by bytes. ARMv6-M loads signed bytes only with an index in a
 * register: there weights are stored plus 128 (DENSE_OFFSET) and 128·Σx is taken off.
 *
 * Vectors and rows are aligned to 4 bytes and padded with zeros to `count` elements, a multiple of
 * DENSE_GROUP.
 */
#ifndef DENSE_INT8_H
#define DENSE_INT8_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP)
#define DENSE_WIDE 1
#define DENSE_OFFSET 0
#define DENSE_GROUP 4
#else
#define DENSE_WIDE 0
#define DENSE_GROUP 2
#if defined(__ARM_ARCH_6M__)
#define DENSE_OFFSET 1
#else
#define DENSE_OFFSET 0
#endif
#endif

#if DENSE_OFFSET
typedef uint8_t dense_weight;
#else
typedef int8_t dense_weight;
#endif

#define DENSE_PADDED(n) (((n) + DENSE_GROUP - 1) / DENSE_GROUP * DENSE_GROUP)

#define DENSE_INLINE static inline __attribute__((always_inline))
#if DENSE_OFFSET
/* Inlined with constant counts, Clang keeps the many indices in registers and spills the sums. */
#define DENSE_KERNEL static __attribute__((noinline, unused))
/* Eight registers hold the sums only if one column is finished before the next is begun. */
#define DENSE_IN_ORDER(a, b, c, d) __asm__("" : "+l"(a), "+l"(b), "+l"(c), "+l"(d))
#else
#define DENSE_KERNEL DENSE_INLINE
#define DENSE_IN_ORDER(a, b, c, d) (void)0
#endif

#if DENSE_WIDE

typedef uint32_t __attribute__((may_alias)) dense_word;

DENSE_INLINE uint32_t dense_even(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

DENSE_INLINE uint32_t dense_odd(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

DENSE_INLINE int32_t dense_smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* A copy of n elements, padded with zeros. */
DENSE_INLINE void dense_pad(const int8_t *x, int8_t *out, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        *(dense_word *)(void *)(out + i) = *(const dense_word *)(const void *)(x + i);
    }
    for (; i < n; i++) {
        out[i] = x[i];
    }
    for (; i < DENSE_PADDED(n); i++) {
        out[i] = 0;
    }
}

DENSE_INLINE int32_t dense_excess(const int8_t *x, int32_t count)
{
    (void)x;
    (void)count;
    return 0;
}

/* sums[r] += row r · x for four rows. */
DENSE_INLINE void dense_rows4(const int8_t *x, const dense_weight *weights, int32_t count,
                              int32_t *sums)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const dense_word *xs = (const dense_word *)(const void *)x;
    const dense_word *w = (const dense_word *)(const void *)weights;
    const dense_word *end = xs + count / 4;
    do {
        const uint32_t xe = dense_even(xs[0]), xo = dense_odd(xs[0]);
        const uint32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
        s0 = dense_smlad(dense_even(w0), xe, s0);
        s0 = dense_smlad(dense_odd(w0), xo, s0);
        s1 = dense_smlad(dense_even(w1), xe, s1);
        s1 = dense_smlad(dense_odd(w1), xo, s1);
        s2 = dense_smlad(dense_even(w2), xe, s2);
        s2 = dense_smlad(dense_odd(w2), xo, s2);
        s3 = dense_smlad(dense_even(w3), xe, s3);
        s3 = dense_smlad(dense_odd(w3), xo, s3);
        xs += 1;
        w += 4;
#if defined(__clang__)
        /* Else it overlaps two turns of the loop and spills: a tenth more instructions. */
        __asm__("" : "+r"(xs), "+r"(w), "+r"(s0), "+r"(s1), "+r"(s2), "+r"(s3));
#endif
    } while (xs != end);
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* sum + one row · x. */
DENSE_INLINE int32_t dense_row(const int8_t *x, const dense_weight *weights, int32_t count,
                               int32_t sum)
{
    const dense_word *xs = (const dense_word *)(const void *)x;
    const dense_word *w = (const dense_word *)(const void *)weights;
    const dense_word *end = xs + count / 4;
    do {
        const uint32_t a = *xs++, b = *w++;
        sum = dense_smlad(dense_even(a), dense_even(b), sum);
        sum = dense_smlad(dense_odd(a), dense_odd(b), sum);
    } while (xs != end);
    return sum;
}

#else

/* A copy of n elements, padded with zeros. */
DENSE_INLINE void dense_pad(const int8_t *x, int8_t *out, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = x[i];
    }
    for (int32_t i = n; i < DENSE_PADDED(n); i++) {
        out[i] = 0;
    }
}

/* What stored weights add to every sum: 128·Σx, or nothing. */
DENSE_KERNEL int32_t dense_excess(const int8_t *x, int32_t count)
{
#if DENSE_OFFSET
    int32_t total = 0;
    for (int32_t i = 0; i < count; i++) {
        total += x[i];
    }
    return 128 * total;
#else
    (void)x;
    (void)count;
    return 0;
#endif
}

/* sums[r] += row r · x for four rows. */
DENSE_KERNEL void dense_rows4(const int8_t *x, const dense_weight *weights, int32_t count,
                              int32_t *sums)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    const int8_t *end = x + count;
    do {
        for (int k = 0; k < DENSE_GROUP; k++) {
            const int32_t value = x[k];
            s0 += value * weights[4 * k];
            s1 += value * weights[4 * k + 1];
            s2 += value * weights[4 * k + 2];
            s3 += value * weights[4 * k + 3];
            DENSE_IN_ORDER(s0, s1, s2, s3);
        }
        x += DENSE_GROUP;
        weights += 4 * DENSE_GROUP;
    } while (x != end);
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* sum + one row · x. */
DENSE_KERNEL int32_t dense_row(const int8_t *x, const dense_weight *weights, int32_t count,
                               int32_t sum)
{
    const int8_t *end = x + count;
    do {
        for (int k = 0; k < DENSE_GROUP; k++) {
            sum += x[k] * weights[k];
        }
        x += DENSE_GROUP;
        weights += DENSE_GROUP;
    } while (x != end);
    return sum;
}

#endif

/*
 * sum · multiplier / 2^(32 + shift), rounded half up, plus the zero point, saturated to int8. The
 * rounding constant is a multiple of 2^32, so the upper word of the product (SMMUL) is enough.
 */
DENSE_INLINE int8_t dense_requantize(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero)
{
#if DENSE_WIDE
    int32_t upper;
    __asm__("smmul %0, %1, %2" : "=r"(upper) : "r"(sum), "r"(multiplier));
#else
    const int32_t upper = (int32_t)(((int64_t)sum * multiplier) >> 32);
#endif
    const int32_t value = ((upper + (1 << (shift - 1))) >> shift) + zero;
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

#endif

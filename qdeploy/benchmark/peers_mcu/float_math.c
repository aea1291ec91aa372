/*
 * The single-precision functions that generated C calls, small and without a C library. The
 * polynomials are those of the Cephes library (S. Moshier, expf.c and logf.c), good to about 2 ulp.
 * Results below the normal range are flushed to zero.
 */
#include <stdint.h>

#include "math.h"

static float from_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } both;
    both.bits = bits;
    return both.value;
}

static uint32_t to_bits(float value)
{
    union {
        uint32_t bits;
        float value;
    } both;
    both.value = value;
    return both.bits;
}

/* 2^k · e^r with |r| at most ln(2)/2; ln(2) is subtracted in two parts. */
float expf(float x)
{
    if (!(x > -87.3f)) {
        return x == x ? 0.0f : x;
    }
    if (x > 88.7f) {
        return INFINITY;
    }
    const float halves = x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f);
    const int32_t k = (int32_t)halves;
    const float r = x - (float)k * 0.693359375f - (float)k * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    /* In two steps: 2^128 is no float, while 2^128 · p may be less than the largest. */
    const int32_t half = k / 2;
    p *= from_bits((uint32_t)(127 + half) << 23);
    return p * from_bits((uint32_t)(127 + k - half) << 23);
}

/* ln(m) + e·ln(2) with m between sqrt(1/2) and sqrt(2). */
float logf(float x)
{
    if (!(x > 0.0f)) {
        return x == 0.0f ? -INFINITY : NAN;
    }
    if (x == INFINITY) {
        return x;
    }
    int32_t e = (int32_t)(to_bits(x) >> 23) - 126;
    float m = from_bits((to_bits(x) & 0x7fffffu) | 0x3f000000u);
    if (m < 0.70710678f) {
        e -= 1;
        m += m;
    }
    m -= 1.0f;
    const float z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return p * m * z + (float)e * -2.12194440e-4f - 0.5f * z + m + (float)e * 0.693359375f;
}

float tanhf(float x)
{
    return 1.0f - 2.0f / (expf(2.0f * x) + 1.0f);
}

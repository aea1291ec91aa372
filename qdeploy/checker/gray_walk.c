/* Largest ||G u||_1 over sign vectors u, by walking a Gray code: one sign flips a step.
 *
 * The caller fixes some signs of u and passes the sums G u for that choice with every free sign
 * +1. The walk visits the 2^free choices of the free signs and returns the largest 1-norm met.
 *
 * No int64 overflow: the caller has checked that  2 * sum |G_ij| < 2^63.  Whatever u is,
 * |sums[i]| <= sum_j |G_ij|, the 1-norm is at most sum_ij |G_ij|, a table entry is at most
 * 2 |G_ij|, and every value that a sum ever takes is (G u)_i for some sign vector u.
 *
 * WIDTH, a compile-time constant, is the number of sums, padded with zeros.
 */
#include <stdint.h>

static int64_t one_norm(const int64_t *sums)
{
    int64_t norm = 0;
    for (int i = 0; i < WIDTH; ++i)
        norm += sums[i] < 0 ? -sums[i] : sums[i];
    return norm;
}

/* table: for each free sign k, row 2k is -2 G[k] and row 2k+1 is +2 G[k], WIDTH entries each. */
int64_t largest_norm(const int64_t *table, const int64_t *start, int32_t free)
{
    _Alignas(64) int64_t sums[WIDTH];
    for (int i = 0; i < WIDTH; ++i)
        sums[i] = start[i];
    int64_t largest = one_norm(sums);

    for (uint64_t step = 1; step < (uint64_t)1 << free; ++step) {
        /* Step number 2^k (2j+1) flips sign k: to -1 when j is even, back to +1 when odd. */
        int k = __builtin_ctzll(step);
        int back = (int)(step >> k >> 1) & 1;
        const int64_t *change = table + (2 * k + back) * (int64_t)WIDTH;
        for (int i = 0; i < WIDTH; ++i)
            sums[i] += change[i];
        int64_t norm = one_norm(sums);
        if (norm > largest)
            largest = norm;
    }
    return largest;
}

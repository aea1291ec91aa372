/* Largest ||G u||_1 over sign vectors u in {+1,-1}^d with u_0 = +1, by visiting every one of them.
 *
 * Coordinates 1..LOW are low, those after them high. A call takes a range of the high patterns and
 * walks it in Gray code, adding one row of G a step to base, the part of G u that the high
 * coordinates and u_0 fix. The low part comes from a table T: for LANES patterns at a time
 * |base_j + T_j| and |base_j - T_j| are summed over j, the latter being the patterns with all low
 * signs reversed. That is six vector additions and magnitudes for 2 * LANES patterns and each j.
 *
 * The caller makes sure that the absolute entries of G sum to less than 2^31; then no sum here can
 * overflow. C11 with the vector extension of GCC and Clang: right on any machine, fast where there
 * are vectors of 32-bit integers.
 */
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define LANES 16
#define LOW 6
#elif defined __AVX2__
#define LANES 8
#define LOW 5
#else
#define LANES 4
#define LOW 4
#endif

/* Vectors of patterns in the table; 2 * GROUPS * LANES = 2^LOW. */
#define GROUPS 2
#define LARGEST 32
/* High patterns between two looks at the running maximum. */
#define STRIDE 256

typedef int32_t lanes __attribute__((vector_size(LANES * 4)));

typedef struct {
  lanes table[LARGEST][GROUPS];
  int32_t rows[LARGEST][LARGEST];
  int dimension;
} problem;

/* This order of the two operations is the one that compilers turn into a single instruction. */
static inline lanes magnitude(lanes x) {
  const lanes sign = x >> 31;
  return (x + sign) ^ sign;
}

static inline lanes larger(lanes a, lanes b) {
  const lanes mask = a > b;
  return (a & mask) | (b & ~mask);
}

static inline void evaluate(const problem *p, const int32_t *base, lanes values[2 * GROUPS]) {
  lanes plus[GROUPS] = {{0}}, minus[GROUPS] = {{0}};
  for (int j = 0; j < p->dimension; j++) {
    const lanes fixed = base[j] - (lanes){0};
    for (int g = 0; g < GROUPS; g++) {
      plus[g] += magnitude(fixed + p->table[j][g]);
      minus[g] += magnitude(fixed - p->table[j][g]);
    }
  }
  for (int g = 0; g < GROUPS; g++) {
    values[g] = plus[g];
    values[GROUPS + g] = minus[g];
  }
}

static inline uint64_t gray(uint64_t index) { return index ^ (index >> 1); }

/* From the base of pattern index - 1 to that of pattern index. */
static inline void advance(const problem *p, uint64_t index, int32_t *base) {
  const int bit = __builtin_ctzll(index);
  const int32_t sign = (gray(index) >> bit) & 1 ? -1 : 1;
  const int32_t *row = p->rows[1 + LOW + bit];
  /* Twice the row itself might not fit 32 bits; base without this coordinate, halfway, does. */
  for (int j = 0; j < LARGEST; j++) base[j] = base[j] + sign * row[j] + sign * row[j];
}

static void prepare(problem *p, const int32_t *matrix, int dimension) {
  memset(p, 0, sizeof *p);
  p->dimension = dimension;
  for (int i = 0; i < dimension; i++)
    memcpy(p->rows[i], matrix + (long)i * dimension, (size_t)dimension * sizeof *matrix);
  for (int j = 0; j < dimension; j++)
    for (int c = 0; c < GROUPS * LANES; c++) {
      int32_t sum = p->rows[LOW][j];
      for (int b = 0; b < LOW - 1; b++)
        sum += (c >> b) & 1 ? -p->rows[1 + b][j] : p->rows[1 + b][j];
      p->table[j][c / LANES][c % LANES] = sum;
    }
}

/* Low bits (1 means -1) of the first pattern of this base whose value is `wanted`, or -1. */
static int find(const problem *p, const int32_t *base, int32_t wanted) {
  lanes values[2 * GROUPS];
  evaluate(p, base, values);
  for (int g = 0; g < 2 * GROUPS; g++)
    for (int c = 0; c < LANES; c++)
      if (values[g][c] == wanted) {
        const int low = (g % GROUPS) * LANES + c;
        return g < GROUPS ? low : ~low & ((1 << LOW) - 1);
      }
  return -1;
}

int32_t qdeploy_low_coordinates(void) { return LOW; }

/* Patterns of the high coordinates from `first` to `last` - 1; there are 2^(dimension - 1 - LOW).
 * Gives the largest value and its pattern: bit i - 1 is set where u_i = -1. */
void qdeploy_enumerate(const int32_t *matrix, int32_t dimension, uint64_t first, uint64_t last,
                       int32_t *best, uint64_t *pattern) {
  problem p;
  prepare(&p, matrix, dimension);
  int32_t base[LARGEST];
  memcpy(base, p.rows[0], sizeof base);
  for (int b = 0; b < dimension - 1 - LOW; b++)
    for (int j = 0; j < LARGEST; j++)
      base[j] += (gray(first) >> b) & 1 ? -p.rows[1 + LOW + b][j] : p.rows[1 + LOW + b][j];

  *best = -1;
  *pattern = 0;
  for (uint64_t start = first; start < last; start += STRIDE) {
    const uint64_t stop = last - start < STRIDE ? last : start + STRIDE;
    int32_t again[LARGEST];
    memcpy(again, base, sizeof again);
    lanes peak = {0}, values[2 * GROUPS];
    for (uint64_t index = start; index < stop; index++) {
      evaluate(&p, base, values);
      for (int g = 0; g < 2 * GROUPS; g++) peak = larger(values[g], peak);
      if (index + 1 < last) advance(&p, index + 1, base);
    }
    int32_t top = 0;
    for (int c = 0; c < LANES; c++) top = peak[c] > top ? peak[c] : top;
    if (top <= *best) continue;
    /* Rare: go over the stride again to see where the new maximum was. */
    *best = top;
    for (uint64_t index = start; index < stop; index++) {
      const int low = find(&p, again, top);
      if (low >= 0) {
        *pattern = gray(index) << LOW | (uint64_t)low;
        break;
      }
      if (index + 1 < stop) advance(&p, index + 1, again);
    }
  }
}

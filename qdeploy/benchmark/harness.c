/* Times calls without an interpreter in between.
 *
 * A step is one inference: `int step(void *state, size_t input)`, 0 on success. The loop below knows
 * nothing else about it, so every implementation pays the same overhead, which step_empty measures.
 * Nothing is subtracted from any sample.
 */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Programs that run by themselves take Linux's CLOCK_MONOTONIC_RAW, which no NTP daemon bends. */
#ifndef HARNESS_CLOCK
#define HARNESS_CLOCK CLOCK_MONOTONIC
#endif

static double now(void) {
    struct timespec moment;
    clock_gettime(HARNESS_CLOCK, &moment);
    return (double)moment.tv_sec + 1e-9 * (double)moment.tv_nsec;
}

/* Seconds that one reading of the clock takes, averaged over `readings`. */
double harness_clock_cost(size_t readings) {
    const double start = now();
    double last = start;
    for (size_t i = 0; i < readings; ++i) last = now();
    return (last - start) / (double)readings;
}

/* Runs for at least `warm_seconds`, then fills seconds[g] with the mean seconds a call of group g.
 * Inputs are taken in turn. Returns 0, or the first status that was not. */
int harness_measure(step_function step, void *state, size_t inputs, double warm_seconds,
                    size_t calls, size_t groups, double *seconds) {
    size_t input = 0;
    const double warm_until = now() + warm_seconds;
    while (now() < warm_until) {
        for (size_t i = 0; i < calls; ++i) {
            const int status = step(state, input);
            if (status) return status;
            if (++input == inputs) input = 0;
        }
    }
    for (size_t g = 0; g < groups; ++g) {
        int failed = 0;
        const double start = now();
        for (size_t i = 0; i < calls; ++i) {
            failed |= step(state, input);
            if (++input == inputs) input = 0;
        }
        seconds[g] = (now() - start) / (double)calls;
        if (failed) return failed;
    }
    return 0;
}

/* The cost of the loop itself. */
int step_empty(void *state, size_t input) {
    (void)state;
    (void)input;
    return 0;
}

/* NAME_predict of a compiled model. */
struct predict_state {
    int (*predict)(const int8_t *x, void *scores);
    const int8_t *inputs;
    size_t stride;
    void *scores;
};

int step_predict(void *state, size_t input) {
    const struct predict_state *s = state;
    return s->predict(s->inputs + input * s->stride, s->scores);
}

/* NAME_predict_batch of a compiled model; one input is a whole batch. */
struct batch_state {
    int (*predict)(const int8_t *x, size_t count, void *scores);
    const int8_t *inputs;
    size_t stride;
    void *scores;
    size_t count;
};

int step_batch(void *state, size_t input) {
    const struct batch_state *s = state;
    return s->predict(s->inputs + input * s->stride, s->count, s->scores);
}

/* OrtApi::Run of onnxruntime with tensors made beforehand; it gives no status object on success. */
struct session_state {
    void *(*run)(void *session, const void *options, const char *const *input_names,
                 const void *const *inputs, size_t input_count, const char *const *output_names,
                 size_t output_count, void **outputs);
    void (*release_status)(void *status);
    void *session;
    const char *input_name;
    const char *output_name;
    void *const *inputs;
    void *output;
};

int step_session(void *state, size_t input) {
    struct session_state *s = state;
    const void *value = s->inputs[input];
    void *status =
        s->run(s->session, NULL, &s->input_name, &value, 1, &s->output_name, 1, &s->output);
    if (!status) return 0;
    s->release_status(status);
    return 1;
}

/* The timing loop of harness.c, for programs that are linked with it. */
#ifndef QDEPLOY_HARNESS_H
#define QDEPLOY_HARNESS_H

#include <stddef.h>

typedef int (*step_function)(void *state, size_t input);

double harness_clock_cost(size_t readings);
int harness_measure(step_function step, void *state, size_t inputs, double warm_seconds,
                    size_t calls, size_t groups, double *seconds);
int step_empty(void *state, size_t input);

#endif

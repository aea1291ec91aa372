/* NAME-bench: times calls of a compiled function where it runs, and prints one JSON object.
 *
 * The loop is that of harness.c. What is called is in configuration.h: a model's two functions, or
 * one function for a fixed number of rows. Nothing is subtracted from any time.
 */
#define _POSIX_C_SOURCE 200809L
#include "configuration.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

enum { SUCCESS = 0, FAILURE = 1, MISUSE = 2 };

/* Every call's inputs begin at a multiple of this, as allocators of runtimes give them. */
enum { ALIGNMENT = 64, SLAB_BYTES = 1 << 18 };

static const char help[] =
    "usage: " PROGRAM_NAME " --inputs FILE [--batch N] [--calls C] [--groups G] [--warm S]\n"
    "\n"
    "Times calls of N rows each and prints one JSON object: seconds a call of each group of\n"
    "calls, cost of the clock and of the loop, peak resident set, checksum of the scores.\n"
    "\n"
    "  --inputs FILE  rows of " PROGRAM_ROW_FACTS ", a multiple of N rows, taken in turn;\n"
    "                 - is the standard input\n"
    "  --batch N      rows a call (1)\n"
    "  --calls C      calls a group, timed together (1)\n"
    "  --groups G     groups (1)\n"
    "  --warm S       seconds to run before (0)\n"
    "  --help         print this\n";

struct options {
    const char *inputs;
    size_t batch, calls, groups;
    double warm;
};

/* Inputs of every call, and room for the scores of one. */
struct calls {
    unsigned char **inputs;
    size_t count;
    size_t rows;
    void *scores;
};

__attribute__((format(printf, 2, 3))) static int complain(int status, const char *format, ...) {
    va_list arguments;
    fputs(PROGRAM_NAME ": ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

static int step_one(void *state, size_t input) {
    const struct calls *calls = state;
    return PROGRAM_CALL_ONE((const void *)calls->inputs[input], calls->scores);
}

static int step_many(void *state, size_t input) {
    const struct calls *calls = state;
    return PROGRAM_CALL_MANY((const void *)calls->inputs[input], calls->rows, calls->scores);
}

static int read_count(const char *option, const char *text, size_t *value) {
    char *end;
    errno = 0;
    const unsigned long number = strtoul(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || number == 0 || number > 1000000000ul) {
        return complain(MISUSE, "%s takes a number from 1 to 1000000000, not %s", option, text);
    }
    *value = number;
    return SUCCESS;
}

static int read_seconds(const char *option, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= 0 && *value <= 1e6)) {
        return complain(MISUSE, "%s takes seconds from 0 to 1000000, not %s", option, text);
    }
    return SUCCESS;
}

static int read_options(int count, char **arguments, struct options *options) {
    for (int i = 1; i < count; i += 2) {
        const char *name = arguments[i], *text = arguments[i + 1];
        int status = SUCCESS;
        if (i + 1 == count) return complain(MISUSE, "%s lacks its value; see --help", name);
        if (!strcmp(name, "--inputs")) {
            options->inputs = text;
        } else if (!strcmp(name, "--batch")) {
            status = read_count(name, text, &options->batch);
        } else if (!strcmp(name, "--calls")) {
            status = read_count(name, text, &options->calls);
        } else if (!strcmp(name, "--groups")) {
            status = read_count(name, text, &options->groups);
        } else if (!strcmp(name, "--warm")) {
            status = read_seconds(name, text, &options->warm);
        } else {
            return complain(MISUSE, "there is no option %s; see --help", name);
        }
        if (status) return status;
    }
    if (!options->inputs) return complain(MISUSE, "--inputs is missing; see --help");
    if (PROGRAM_FIXED_ROWS && options->batch != PROGRAM_FIXED_ROWS) {
        return complain(MISUSE, "--batch must be %d, for which this was compiled",
                        PROGRAM_FIXED_ROWS);
    }
    return SUCCESS;
}

/* Reads until the buffer is full or the file ends: bytes read, or -1. */
static ssize_t fill(int descriptor, unsigned char *to, size_t size) {
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(descriptor, to + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static void *aligned(size_t size) {
    void *memory = NULL;
    return posix_memalign(&memory, ALIGNMENT, size) ? NULL : memory;
}

static int no_memory(void) { return complain(FAILURE, "there is not enough memory"); }

/* Slabs of many inputs each: one copy of the data, whatever their number. Never freed: the process
 * ends with them. */
static int read_calls(int descriptor, const char *name, size_t rows, struct calls *calls) {
    const size_t size = rows * PROGRAM_ROW_BYTES;
    const size_t stride = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const size_t in_slab = stride < SLAB_BYTES ? SLAB_BYTES / stride : 1;
    size_t room = 0;
    unsigned char *slab = NULL;
    for (;;) {
        const size_t place = calls->count % in_slab;
        if (place == 0 && !(slab = aligned(in_slab * stride))) return no_memory();
        const ssize_t got = fill(descriptor, slab + place * stride, size);
        if (got < 0) return complain(FAILURE, "cannot read %s: %s", name, strerror(errno));
        if (got == 0) break;
        if ((size_t)got < size) {
            return complain(FAILURE, "%s does not hold whole calls of %zu rows of %d bytes", name,
                            rows, PROGRAM_ROW_BYTES);
        }
        if (calls->count == room) {
            room = room ? 2 * room : 1024;
            unsigned char **grown = realloc(calls->inputs, room * sizeof *grown);
            if (!grown) return no_memory();
            calls->inputs = grown;
        }
        calls->inputs[calls->count++] = slab + place * stride;
    }
    if (!calls->count) return complain(FAILURE, "%s holds no rows", name);
    return SUCCESS;
}

/* The kernel's own peak of this program. getrusage's also counts the process that started it, so it
 * is the second choice. */
static long peak_kibibytes(const char **source) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long peak = 0;
    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "VmHWM: %ld kB", &peak) == 1) break;
    }
    if (status) fclose(status);
    *source = "VmHWM";
    if (peak > 0) return peak;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    *source = "getrusage";
    return usage.ru_maxrss;
}

/* 64-bit FNV-1a. Source: draft-eastlake-fnv, section 2 (the algorithm) and 5 (its constants). */
static uint64_t add_to_checksum(uint64_t sum, const unsigned char *data, size_t count) {
    for (size_t i = 0; i < count; ++i) sum = (sum ^ data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static int checksum(step_function step, struct calls *calls, uint64_t *sum) {
    *sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < calls->count; ++i) {
        const int status = step(calls, i);
        if (status) return status;
        *sum = add_to_checksum(*sum, calls->scores, calls->rows * PROGRAM_SCORE_BYTES);
    }
    return 0;
}

static double smallest(const double *values, size_t count) {
    double found = values[0];
    for (size_t i = 1; i < count; ++i) found = values[i] < found ? values[i] : found;
    return found;
}

static double clock_cost(void) {
    double costs[5];
    for (size_t i = 0; i < 5; ++i) costs[i] = harness_clock_cost(10000);
    return smallest(costs, 5);
}

static double loop_cost(void) {
    double costs[5];
    harness_measure(step_empty, NULL, 2, 0, 10000, 5, costs);
    return smallest(costs, 5);
}

static int print_result(const struct options *options, const struct calls *calls, uint64_t sum,
                        const double *seconds) {
    const char *source;
    const long peak = peak_kibibytes(&source);
    printf("{\"name\": \"%s\", \"batch\": %zu, \"inputs\": %zu, \"calls\": %zu, \"groups\": %zu,\n",
           PROGRAM_NAME, options->batch, calls->count, options->calls, options->groups);
    printf(" \"clock_cost\": %.9e, \"loop_cost\": %.9e,\n", clock_cost(), loop_cost());
    printf(" \"peak_resident_kibibytes\": %ld, \"peak_resident_source\": \"%s\",\n", peak, source);
    printf(" \"checksum\": \"%016llx\",\n \"seconds\": [", (unsigned long long)sum);
    for (size_t g = 0; g < options->groups; ++g) printf(g ? ", %.9e" : "%.9e", seconds[g]);
    printf("]}\n");
    if (fflush(stdout)) {
        return complain(FAILURE, "cannot write to standard output: %s", strerror(errno));
    }
    return SUCCESS;
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "--help")) {
        return fputs(help, stdout) < 0 || fflush(stdout) ? FAILURE : SUCCESS;
    }
    struct options options = {NULL, 1, 1, 1, 0};
    int status = read_options(count, arguments, &options);
    if (status) return status;
    const int standard = !strcmp(options.inputs, "-");
    const char *name = standard ? "standard input" : options.inputs;
    const int descriptor = standard ? STDIN_FILENO : open(name, O_RDONLY);
    if (descriptor < 0) return complain(FAILURE, "cannot read %s: %s", name, strerror(errno));

    struct calls calls = {NULL, 0, options.batch, NULL};
    status = read_calls(descriptor, name, options.batch, &calls);
    if (status) return status;
    double *seconds = calloc(options.groups, sizeof *seconds);
    calls.scores = aligned(options.batch * PROGRAM_SCORE_BYTES);
    if (!seconds || !calls.scores) return no_memory();

    const step_function step = options.batch == 1 ? step_one : step_many;
    uint64_t sum;
    status = checksum(step, &calls, &sum);
    if (!status) {
        status = harness_measure(step, &calls, calls.count, options.warm, options.calls,
                                 options.groups, seconds);
    }
    if (status) return complain(FAILURE, "a call failed with status %d", status);
    return print_result(&options, &calls, sum, seconds);
}

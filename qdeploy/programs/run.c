/* NAME-run: rows of int8 inputs become rows of scores.
 *
 * Whole rows are answered as soon as they have arrived, so it can sit in a pipe as well as turn
 * files of any size into files; memory is that of one block. What varies is in configuration.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "configuration.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "scores are written as they lie in memory, which must be little-endian"
#endif

enum { SUCCESS = 0, FAILURE = 1, MISUSE = 2 };

struct end {
    int descriptor;
    const char *name;
};

static int8_t inputs[PROGRAM_ROWS * PROGRAM_INPUTS];
static program_score scores[PROGRAM_ROWS * PROGRAM_OUTPUTS];

static const char facts[] = PROGRAM_NAME
    ": " PROGRAM_FACTS "; made by qdeploy " PROGRAM_VERSION "\n";

static const char help[] =
    "usage: " PROGRAM_NAME " [INPUT [OUTPUT]]\n"
    "\n"
    "Reads rows of int8 values from INPUT and writes the scores of every row to OUTPUT.\n"
    "Nothing separates rows or values. Without a name, or with -, these are the standard\n"
    "input and output; an OUTPUT that could not be finished is removed.\n"
    "\n"
    "  a row of inputs  " PROGRAM_INPUT_FACTS "\n"
    "  a row of scores  " PROGRAM_SCORE_FACTS "\n"
    "\n"
    "  --help     print this\n"
    "  --version  print what the model takes and gives, in one line\n";

__attribute__((format(printf, 2, 3))) static int complain(int status, const char *format, ...) {
    va_list arguments;
    fputs(PROGRAM_NAME ": ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

static int write_all(const struct end *output, const char *data, size_t count) {
    while (count) {
        const ssize_t done = write(output->descriptor, data, count);
        if (done < 0) {
            if (errno == EINTR) continue;
            return complain(FAILURE, "cannot write to %s: %s", output->name, strerror(errno));
        }
        data += done;
        count -= (size_t)done;
    }
    return SUCCESS;
}

static int stream(const struct end *input, const struct end *output) {
    const size_t row_bytes = PROGRAM_INPUTS;
    char *const bytes = (char *)inputs;
    unsigned long long finished = 0;
    size_t held = 0;
    for (;;) {
        const ssize_t got = read(input->descriptor, bytes + held, sizeof inputs - held);
        if (got < 0) {
            if (errno == EINTR) continue;
            return complain(FAILURE, "cannot read %s: %s", input->name, strerror(errno));
        }
        if (got == 0) break;
        held += (size_t)got;
        const size_t rows = held / row_bytes;
        if (rows == 0) continue;
        const int status = PROGRAM_PREDICT_BATCH(inputs, rows, scores);
        if (status) return complain(FAILURE, "the model failed with status %d", status);
        const size_t bytes_out = rows * PROGRAM_OUTPUTS * sizeof scores[0];
        if (write_all(output, (const char *)scores, bytes_out)) return FAILURE;
        finished += rows;
        held -= rows * row_bytes;
        memmove(bytes, bytes + rows * row_bytes, held);
    }
    if (held) {
        return complain(FAILURE, "%s ends within row %llu, after %zu of its %zu bytes",
                        input->name, finished + 1, held, row_bytes);
    }
    return SUCCESS;
}

static int is_named(const char *argument) { return argument && strcmp(argument, "-") != 0; }

static int same_file(int first, int second) {
    struct stat a, b;
    return !fstat(first, &a) && !fstat(second, &b) && S_ISREG(a.st_mode) && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* An output that is left behind unfinished would pass for a finished one. */
static void discard(const struct end *output) {
    struct stat facts_of_it;
    if (!fstat(output->descriptor, &facts_of_it) && S_ISREG(facts_of_it.st_mode)) {
        unlink(output->name);
    }
}

static int to_file(const struct end *input, const char *name) {
    /* Emptied only when it is known not to be the input. */
    const struct end output = {open(name, O_WRONLY | O_CREAT, 0666), name};
    if (output.descriptor < 0) return complain(FAILURE, "cannot write %s: %s", name, strerror(errno));
    if (same_file(input->descriptor, output.descriptor)) {
        return complain(FAILURE, "%s is the input, too; name another file for the scores", name);
    }
    struct stat found;
    const int regular = !fstat(output.descriptor, &found) && S_ISREG(found.st_mode);
    int status = SUCCESS;
    if (regular && ftruncate(output.descriptor, 0)) {
        status = complain(FAILURE, "cannot write %s: %s", name, strerror(errno));
    }
    if (!status) status = stream(input, &output);
    if (status) discard(&output);
    /* Some file systems tell only now that they are full. */
    if (close(output.descriptor) && !status) {
        status = complain(FAILURE, "cannot write %s: %s", name, strerror(errno));
        if (regular) unlink(name);
    }
    return status;
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "--help")) {
        const struct end output = {STDOUT_FILENO, "standard output"};
        return write_all(&output, help, sizeof help - 1);
    }
    if (count > 1 && !strcmp(arguments[1], "--version")) {
        const struct end output = {STDOUT_FILENO, "standard output"};
        return write_all(&output, facts, sizeof facts - 1);
    }
    for (int i = 1; i < count; ++i) {
        if (arguments[i][0] == '-' && arguments[i][1]) {
            return complain(MISUSE, "there is no option %s; see --help", arguments[i]);
        }
    }
    if (count > 3) return complain(MISUSE, "more than two files are named; see --help");
    /* A reader that is gone is an error of writing like any other, and told like it. */
    signal(SIGPIPE, SIG_IGN);
    struct end input = {STDIN_FILENO, "standard input"};
    if (count > 1 && is_named(arguments[1])) {
        input.name = arguments[1];
        input.descriptor = open(input.name, O_RDONLY);
        if (input.descriptor < 0) {
            return complain(FAILURE, "cannot read %s: %s", input.name, strerror(errno));
        }
    }
    if (count > 2 && is_named(arguments[2])) return to_file(&input, arguments[2]);
    const struct end output = {STDOUT_FILENO, "standard output"};
    return stream(&input, &output);
}

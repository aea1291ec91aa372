/* The serial protocol of MLPerf Tiny (EEMBC), apart from hardware.

   A command is text that ends in '%'. Its reply is lines that end in CR LF, the last "m-ready".
   What is not a command, or cannot be done, is answered by a line "e-[reason]" and changes
   nothing: a device never needs a reset. The official runner of MLCommons drives it unmodified;
   docs/firmware.md lists the commands. Inputs are the model's int8 values as bytes, results are
   its integer scores in full.

   Compiled for the host, too, where the tests feed it with noise. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "protocol.h"

/* Longest command without '%'. The longest of the official runner has 65 characters. */
#define COMMAND_SIZE 80u

static char command[COMMAND_SIZE + 1];
static size_t length; /* characters of the command so far, also those that found no room */

/* Kernels may read whole words. */
static int8_t input[MODEL_INPUTS] __attribute__((aligned(8)));
static model_score scores[MODEL_OUTPUTS] __attribute__((aligned(8)));
static size_t loaded; /* bytes of the input that are there */
static bool loading;  /* between "db load" and the last byte */
static bool inferred; /* scores are there */

/* ---- Output ---- */

static void put(const char *text)
{
    while (*text) {
        uart_write(*text++);
    }
}

static void put_unsigned(uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count) {
        uart_write(digits[--count]);
    }
}

static void put_signed(int64_t value)
{
    if (value < 0) {
        uart_write('-');
    }
    /* In unsigned arithmetic: the smallest value has no positive counterpart. */
    put_unsigned(value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    uart_write(digits[byte >> 4]);
    uart_write(digits[byte & 15]);
}

static void end_line(void)
{
    put("\r\n");
}

static void put_number_line(const char *text, uint64_t number)
{
    put(text);
    put_unsigned(number);
    end_line();
}

static void refuse(const char *reason)
{
    put("e-[");
    put(reason);
    put("]\r\n");
}

static void timestamp(void)
{
#if BOARD_ENERGY
    board_pulse();
#else
    put_number_line("m-lap-us-", timer_microseconds());
#endif
}

/* ---- Parsing ---- */

/* Cut the next word off a text; NULL when there is none. */
static char *next_word(char **text)
{
    char *start = *text;
    while (*start == ' ') {
        start++;
    }
    char *end = start;
    while (*end && *end != ' ') {
        end++;
    }
    *text = *end ? end + 1 : end;
    *end = '\0';
    return end == start ? NULL : start;
}

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* A decimal number below 2^31, or -1. */
static int32_t parse_number(const char *text)
{
    int32_t value = 0;
    if (!*text) {
        return -1;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (INT32_MAX - 9) / 10) {
            return -1;
        }
        value = 10 * value + (*text - '0');
    }
    return value;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

/* ---- Commands: each takes what follows its name ---- */

static void name(char *rest)
{
    (void)rest;
    put("m-name-dut-[" BOARD_NAME "]\r\n");
}

static void profile(char *rest)
{
    (void)rest;
    put("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n");
    put("m-model-[" MODEL_NAME "]\r\n");
}

static void timestamp_command(char *rest)
{
    (void)rest;
    timestamp();
}

static void clock(char *rest)
{
    (void)rest;
    put_number_line("m-clock-hz-", BOARD_CLOCK_HERTZ);
}

static void load(char *rest)
{
    const char *word = next_word(&rest);
    if (!word) {
        refuse("Command 'db load' requires the # of bytes");
    } else if (parse_number(word) != MODEL_INPUTS) {
        put("e-[Command 'db load' must be ");
        put_unsigned(MODEL_INPUTS);
        put(" bytes]\r\n");
    } else {
        loaded = 0;
        loading = true;
        put("m-[Expecting ");
        put_unsigned(MODEL_INPUTS);
        put(" bytes]\r\n");
    }
}

static void print(char *rest)
{
    const char *word = next_word(&rest);
    const int32_t count = word ? parse_number(word) : (int32_t)loaded;
    word = word ? next_word(&rest) : NULL;
    const int32_t offset = word ? parse_number(word) : 0;
    if (count <= 0 || offset < 0 || (size_t)count > loaded ||
        (size_t)offset > loaded - (size_t)count) {
        refuse(loaded ? "Command 'db print' must stay within the input" : "No input loaded");
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        put(i % 8 ? "-" : "m-buffer-");
        put_hex((uint8_t)input[offset + i]);
        if (i % 8 == 7 || i == count - 1) {
            end_line();
        }
    }
}

/* Bytes of input as hex digits: all of a command's are taken, or none. */
static void add_bytes(const char *digits)
{
    size_t count = 0;
    for (; digits[count]; count++) {
        if (hex_digit(digits[count]) < 0) {
            refuse("Invalid hex digit");
            return;
        }
    }
    if (count % 2) {
        refuse("Insufficient number of hex digits");
    } else if (!loading) {
        refuse("Command 'db load' must come first");
    } else if (count / 2 > MODEL_INPUTS - loaded) {
        put("e-[Too many bytes: ");
        put_unsigned(MODEL_INPUTS - loaded);
        put(" are missing]\r\n");
    } else {
        for (size_t i = 0; i < count; i += 2) {
            const int byte = hex_digit(digits[i]) << 4 | hex_digit(digits[i + 1]);
            input[loaded++] = (int8_t)(byte < 128 ? byte : byte - 256);
        }
        if (loaded == MODEL_INPUTS) {
            loading = false;
            put("m-load-done\r\n");
        }
    }
}

static void buffer(char *rest)
{
    const char *word = next_word(&rest);
    if (!word) {
        refuse("Command 'db' requires a subcommand");
    } else if (equal(word, "load")) {
        load(rest);
    } else if (equal(word, "print")) {
        print(rest);
    } else if (next_word(&rest)) {
        refuse("Command 'db' takes hex digits without blanks");
    } else {
        add_bytes(word);
    }
}

static void results(char *rest)
{
    (void)rest;
    if (!inferred) {
        refuse("No results yet");
        return;
    }
    put("m-results-[");
    for (size_t i = 0; i < MODEL_OUTPUTS; i++) {
        if (i) {
            uart_write(',');
        }
        put_signed(scores[i]);
    }
    put("]\r\n");
}

static void infer(char *rest)
{
    const char *word = next_word(&rest);
    const int32_t iterations = word ? parse_number(word) : 1;
    word = word ? next_word(&rest) : NULL;
    const int32_t warmups = word ? parse_number(word) : 10;
    if (iterations <= 0) {
        refuse("Inference iterations must be >0");
        return;
    }
    if (warmups < 0) {
        refuse("Inference warmup must be >=0");
        return;
    }
    if (loaded != MODEL_INPUTS) {
        put("e-[Input incomplete: ");
        put_unsigned(MODEL_INPUTS - loaded);
        put(" bytes are missing]\r\n");
        return;
    }

    int failed = 0;
    put_number_line("m-warmup-start-", (uint64_t)warmups);
    for (int32_t i = 0; i < warmups; i++) {
        failed |= MODEL_PREDICT(input, scores);
    }
    put("m-warmup-done\r\n");
    put_number_line("m-infer-start-", (uint64_t)iterations);
#if BOARD_ENERGY
    board_pulse();
    for (int32_t i = 0; i < iterations; i++) {
        failed |= MODEL_PREDICT(input, scores);
    }
    board_pulse();
#else
    /* Both stamps are sent afterwards: sending the first would count as inference otherwise. */
    const uint64_t start = timer_microseconds();
    for (int32_t i = 0; i < iterations; i++) {
        failed |= MODEL_PREDICT(input, scores);
    }
    const uint64_t end = timer_microseconds();
    put_number_line("m-lap-us-", start);
    put_number_line("m-lap-us-", end);
#endif
    inferred = !failed;
    if (failed) {
        refuse("Inference failed");
        return;
    }
    put("m-infer-done\r\n");
    results(rest);
}

static void help(char *rest)
{
    (void)rest;
    put("ULPMark for tinyML Firmware V0.0.1\r\n"
        "\r\n"
        "help                  : Print this information\r\n"
        "name                  : Print the name of the device\r\n"
        "profile               : Print the versions of firmware and model\r\n"
        "timestamp             : Print the time in microseconds, or pulse the pin\r\n"
        "clock                 : Print the clock of the time stamps in hertz\r\n"
        "db load N             : Expect the N bytes of an input\r\n"
        "db HH[HH]*            : Load bytes, as hex digits, until there are N\r\n"
        "db print [N] [OFFSET] : Print bytes of the input\r\n"
        "infer [N=1] [W=10]    : Run N inferences after W to warm up\r\n"
        "results               : Print the scores of the last inference\r\n");
}

static const struct {
    const char *name;
    void (*run)(char *rest);
} commands[] = {
    {"name", name},       {"profile", profile}, {"timestamp", timestamp_command},
    {"clock", clock},     {"db", buffer},       {"infer", infer},
    {"results", results}, {"help", help},
};

static void run(char *text)
{
    const char *word = next_word(&text);
    for (size_t i = 0; word && i < sizeof commands / sizeof *commands; i++) {
        if (equal(word, commands[i].name)) {
            commands[i].run(text);
            return;
        }
    }
    put("e-[Unknown command: ");
    put(word ? word : "");
    put("]\r\n");
}

void protocol_start(void)
{
#if BOARD_ENERGY
    put("m-timestamp-mode-energy\r\n");
#else
    put("m-timestamp-mode-performance\r\n");
#endif
    timestamp();
    put("m-init-done\r\n");
    put("m-ready\r\n");
}

void protocol_receive(char character)
{
    if (character == '\r' || character == '\n') {
        return; /* of a terminal */
    }
    if (character != '%') {
        if (length < COMMAND_SIZE) {
            /* What is not printable makes a command unknown, and must not be sent back. */
            command[length] = character >= ' ' && character <= '~' ? character : '?';
        }
        if (length <= COMMAND_SIZE) {
            length++;
        }
        return;
    }
    if (length > COMMAND_SIZE) {
        refuse("Command too long");
    } else {
        command[length] = '\0';
#if BOARD_SEMIHOSTING
        if (equal(command, "exit")) {
            put("m-ready\r\n");
            semihosting_exit(0);
        }
#endif
        run(command);
    }
    length = 0;
    put("m-ready\r\n");
}

/*
 * A plugin of QEMU (interface version 1): instructions that a program has executed at each of its
 * marks, all threads together, as lines of text in the file of `out=FILE`. A mark is a system call
 * of a number that Linux does not have. QEMU's header is declared here, because distributions do
 * not ship it.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef void on_block(plugin_id, void *block);
typedef void on_run(unsigned thread, void *data);
typedef void on_call(plugin_id, unsigned thread, int64_t number, uint64_t, uint64_t, uint64_t,
                     uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_block *);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_call *);
extern void qemu_plugin_register_vcpu_tb_exec_cb(void *block, on_run *, int registers, void *data);
extern size_t qemu_plugin_tb_n_insns(const void *block);

enum { NO_REGISTERS = 0, MARK = 0x5144, THREADS = 256 };

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int qemu_plugin_version = 1;

static uint64_t instructions[THREADS]; /* each thread adds to its own */
static FILE *output;

static void run(unsigned thread, void *data)
{
    if (thread >= THREADS) {
        fprintf(stderr, "counter: more than %d threads\n", THREADS);
        exit(1);
    }
    instructions[thread] += (uintptr_t)data;
}

static void translated(plugin_id id, void *block)
{
    (void)id;
    uintptr_t count = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, run, NO_REGISTERS, (void *)count);
}

static void called(plugin_id id, unsigned thread, int64_t number, uint64_t a, uint64_t b,
                   uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)thread, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == MARK) {
        uint64_t total = 0;
        for (int i = 0; i < THREADS; i++) {
            total += instructions[i];
        }
        fprintf(output, "%" PRIu64 "\n", total);
        fflush(output);
    }
}

VISIBLE int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments)
{
    (void)info;
    if (count != 1 || strncmp(arguments[0], "out=", 4) != 0) {
        fprintf(stderr, "counter: give out=FILE\n");
        return 1;
    }
    output = fopen(arguments[0] + 4, "w");
    if (output == NULL) {
        perror("counter");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}

/*
 * One model by several implementations in one process, each called as a program in C would call it:
 * the library of the artifact, OrtApi::Run of onnxruntime, the virtual machine of TVM. A mark,
 * which the plugin of QEMU notes, stands before, between and behind CALLS and 2 CALLS inferences
 * of each. The first pass over the rows, before the first mark, gives the scores.
 *
 *   paths CALLS ROWS INPUTS OUTPUTS SCORE_BITS INPUTS_FILE SCORES_FILE
 *         own LIBRARY SYMBOL | onnxruntime LIBRARY MODEL INPUT OUTPUT
 *         | tvm FFI_LIBRARY RUNTIME_LIBRARY MODULE | empty
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARK = 0x5144 };

static long calls, rows, inputs, outputs, score_bits;
static int8_t *x;
static uint8_t *scores; /* of all rows; a step writes those of its own */

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail ? detail : "failed");
    exit(1);
}

static void *open_library(const char *path, int more)
{
    void *library = dlopen(path, RTLD_NOW | more);
    if (library == NULL) {
        fail("dlopen", dlerror());
    }
    return library;
}

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fail("dlsym", name);
    }
    return found;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path, "cannot be read");
    }
    *size = (size_t)ftell(file);
    rewind(file);
    void *data = aligned_alloc(64, (*size / 64 + 1) * 64);
    if (data == NULL || fread(data, 1, *size, file) != *size) {
        fail(path, "cannot be read");
    }
    fclose(file);
    return data;
}

static uint8_t *scores_of(long row)
{
    return scores + row * outputs * (score_bits / 8);
}

/* Nothing: what the loop itself takes. */

static void empty_step(long row)
{
    (void)row;
}

/* The artifact. */

static int (*own_predict)(const int8_t *, void *);

static void own_step(long row)
{
    own_predict(x + row * inputs, scores_of(row));
}

static void own_open(char **arguments)
{
    own_predict = (int (*)(const int8_t *, void *))symbol(open_library(arguments[0], 0),
                                                         arguments[1]);
}

/* onnxruntime; the places in its table of functions are those of version 1, which stay. */

typedef struct {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} OrtBase;
typedef void *Status;

static void *const *ort;
static void *ort_session;
static void **ort_inputs, **ort_outputs;
static const char *ort_input_name, *ort_output_name;
static Status (*ort_run)(void *, const void *, const char *const *, const void *const *, size_t,
                         const char *const *, size_t, void **);

static void ort_check(Status status)
{
    if (status != NULL) {
        fail("onnxruntime", ((const char *(*)(Status))ort[2])(status));
    }
}

static void *ort_tensor(void *memory, void *data, size_t bytes, long width, int kind)
{
    int64_t shape[2] = {1, width};
    void *tensor = NULL;
    ort_check(((Status(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))ort[49])(
        memory, data, bytes, shape, 2, kind, &tensor));
    return tensor;
}

static void ort_step(long row)
{
    ort_check(ort_run(ort_session, NULL, &ort_input_name, (const void *const *)&ort_inputs[row], 1,
                      &ort_output_name, 1, &ort_outputs[row]));
}

static void ort_open(char **arguments)
{
    enum { WARNINGS = 2, ARENA = 1, DEFAULT_MEMORY = 0, INT8 = 3, INT32 = 6, INT64 = 7 };
    void *library = open_library(arguments[0], 0);
    const OrtBase *base = ((const OrtBase *(*)(void))symbol(library, "OrtGetApiBase"))();
    ort = base->get_api(1);
    void *environment = NULL, *options = NULL, *memory = NULL;
    ort_check(((Status(*)(int, const char *, void **))ort[3])(WARNINGS, "paths", &environment));
    ort_check(((Status(*)(void **))ort[10])(&options));
    ort_check(((Status(*)(void *, int))ort[24])(options, 1));
    ort_check(((Status(*)(void *, int))ort[25])(options, 1));
    size_t size = 0;
    void *model = read_file(arguments[1], &size);
    ort_check(((Status(*)(void *, const void *, size_t, void *, void **))ort[8])(
        environment, model, size, options, &ort_session));
    ort_check(((Status(*)(int, int, void **))ort[69])(ARENA, DEFAULT_MEMORY, &memory));
    ort_input_name = arguments[2];
    ort_output_name = arguments[3];
    *(void **)&ort_run = ort[9];
    ort_inputs = calloc((size_t)rows, sizeof *ort_inputs);
    ort_outputs = calloc((size_t)rows, sizeof *ort_outputs);
    for (long row = 0; row < rows; row++) {
        ort_inputs[row] = ort_tensor(memory, x + row * inputs, (size_t)inputs, inputs, INT8);
        ort_outputs[row] =
            ort_tensor(memory, scores_of(row), (size_t)(outputs * (score_bits / 8)), outputs,
                       score_bits == 64 ? INT64 : INT32);
    }
}

/* TVM: the stable C interface of its libraries (tvm/ffi/c_api.h and dlpack.h), declared here. */

typedef struct {
    int32_t type;
    uint32_t padding;
    union {
        int64_t integer;
        const char *text;
        void *object;
    } value;
} Any;
typedef struct {
    const char *data;
    size_t size;
} Bytes;
typedef struct {
    int32_t type, id;
} Device;
typedef struct {
    void *data;
    Device device;
    int32_t dimensions;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides;
    uint64_t offset;
} Tensor;
typedef struct Managed {
    Tensor tensor;
    void *context;
    void (*deleter)(struct Managed *);
} Managed;

enum { NONE = 0, INTEGER = 1, BOOLEAN = 2, RAW_STRING = 8, OBJECTS = 64, FUNCTION = 68,
       TENSOR = 70, MODULE = 73 };
enum { HEAD_BYTES = 24 }; /* of an object, before its contents */

static int (*tvm_call)(void *, Any *, int32_t, Any *);
static int (*tvm_release)(void *);
static int (*tvm_global)(const Bytes *, void **);
static void (*tvm_error)(void **);
static void *tvm_main;
static void **tvm_inputs;

static void tvm_check(int status)
{
    if (status != 0) {
        void *error = NULL;
        tvm_error(&error);
        const Bytes *texts = (const Bytes *)((const char *)error + HEAD_BYTES);
        fail("TVM", error == NULL ? NULL : texts[1].data);
    }
}

static Any tvm_called(void *function, Any *arguments, int count)
{
    Any result = {NONE, 0, {0}};
    tvm_check(tvm_call(function, arguments, count, &result));
    return result;
}

static void *tvm_named(const char *name)
{
    Bytes bytes = {name, strlen(name)};
    void *function = NULL;
    tvm_check(tvm_global(&bytes, &function));
    if (function == NULL) {
        fail("TVM has no function", name);
    }
    return function;
}

static void *tvm_member(Any module, const char *name)
{
    Any arguments[3] = {module, {RAW_STRING, 0, {.text = name}}, {BOOLEAN, 0, {.integer = 0}}};
    Any result = tvm_called(tvm_named("ffi.ModuleGetFunction"), arguments, 3);
    if (result.type != FUNCTION) {
        fail("the module has no function", name);
    }
    return result.value.object;
}

static Any tvm_run(long row)
{
    Any argument = {TENSOR, 0, {.object = tvm_inputs[row]}};
    Any result = {NONE, 0, {0}};
    tvm_check(tvm_call(tvm_main, &argument, 1, &result));
    return result;
}

static void tvm_step(long row)
{
    tvm_release(tvm_run(row).value.object);
}

static void tvm_scores(void)
{
    for (long row = 0; row < rows; row++) {
        Any result = tvm_run(row);
        if (result.type != TENSOR) {
            fail("TVM", "the result is no tensor");
        }
        const Tensor *tensor = (const Tensor *)((const char *)result.value.object + HEAD_BYTES);
        memcpy(scores_of(row), (const char *)tensor->data + tensor->offset,
               (size_t)(outputs * (score_bits / 8)));
        tvm_release(result.value.object);
    }
}

static void tvm_open(char **arguments)
{
    enum { CPU = 1, POOLED = 2, INT = 0 };
    void *library = open_library(arguments[0], RTLD_GLOBAL);
    open_library(arguments[1], RTLD_GLOBAL);
    *(void **)&tvm_call = symbol(library, "TVMFFIFunctionCall");
    *(void **)&tvm_release = symbol(library, "TVMFFIObjectDecRef");
    *(void **)&tvm_global = symbol(library, "TVMFFIFunctionGetGlobal");
    *(void **)&tvm_error = symbol(library, "TVMFFIErrorMoveFromRaised");
    int (*wrap)(Managed *, int32_t, int32_t, void **);
    *(void **)&wrap = symbol(library, "TVMFFITensorFromDLPack");
    Any path = {RAW_STRING, 0, {.text = arguments[2]}};
    Any module = tvm_called(tvm_named("ffi.ModuleLoadFromFile"), &path, 1);
    Any machine = tvm_called(tvm_member(module, "vm_load_executable"), NULL, 0);
    Any settings[3] = {{INTEGER, 0, {.integer = CPU}},
                       {INTEGER, 0, {.integer = 0}},
                       {INTEGER, 0, {.integer = POOLED}}};
    tvm_called(tvm_member(machine, "vm_initialization"), settings, 3);
    tvm_main = tvm_member(machine, "main");
    tvm_inputs = calloc((size_t)rows, sizeof *tvm_inputs);
    for (long row = 0; row < rows; row++) {
        int64_t *shape = malloc(2 * sizeof *shape);
        Managed *managed = calloc(1, sizeof *managed);
        shape[0] = 1;
        shape[1] = inputs;
        managed->tensor = (Tensor){.data = x + row * inputs,
                                   .device = {CPU, 0},
                                   .dimensions = 2,
                                   .dtype = {INT, 8, 1},
                                   .shape = shape};
        tvm_check(wrap(managed, 0, 0, &tvm_inputs[row]));
    }
}

/* The count. */

static void loop(void (*step)(long), long count)
{
    long row = 0;
    for (long i = 0; i < count; i++) {
        step(row);
        row = row + 1 == rows ? 0 : row + 1;
    }
}

static void mark(void)
{
    syscall(MARK);
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        int arguments;
        void (*open)(char **);
        void (*step)(long);
        void (*first)(void);
    } paths[] = {
        {"empty", 0, NULL, empty_step, NULL},
        {"own", 2, own_open, own_step, NULL},
        {"onnxruntime", 4, ort_open, ort_step, NULL},
        {"tvm", 3, tvm_open, tvm_step, tvm_scores},
    };
    if (count < 9) {
        fail("paths", "too few arguments");
    }
    calls = atol(arguments[1]);
    rows = atol(arguments[2]);
    inputs = atol(arguments[3]);
    outputs = atol(arguments[4]);
    score_bits = atol(arguments[5]);
    size_t size = 0;
    x = read_file(arguments[6], &size);
    if (size != (size_t)(rows * inputs)) {
        fail(arguments[6], "is of another size");
    }
    size_t score_bytes = (size_t)(rows * outputs * (score_bits / 8));
    scores = aligned_alloc(64, (score_bytes / 64 + 1) * 64);
    FILE *file = fopen(arguments[7], "wb");
    if (scores == NULL || file == NULL) {
        fail(arguments[7], "cannot be written");
    }
    for (int i = 8; i < count;) {
        size_t k = 0;
        while (k < sizeof paths / sizeof *paths && strcmp(paths[k].name, arguments[i]) != 0) {
            k++;
        }
        if (k == sizeof paths / sizeof *paths || i + paths[k].arguments >= count) {
            fail("paths: no such path", arguments[i]);
        }
        memset(scores, 0, score_bytes);
        if (paths[k].open != NULL) {
            paths[k].open(arguments + i + 1);
        }
        loop(paths[k].step, rows);
        if (paths[k].first != NULL) {
            paths[k].first();
        }
        fwrite(scores, 1, score_bytes, file);
        mark();
        loop(paths[k].step, calls);
        mark();
        loop(paths[k].step, 2 * calls);
        mark();
        i += 1 + paths[k].arguments;
    }
    return fclose(file) != 0;
}

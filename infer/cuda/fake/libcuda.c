// A driver library that needs no GPU, for tests: device memory is malloc, a kernel is the same hanja.cu compiled as C,
// a stream is a list. It computes the true answer, so that a whole pipeline can run over it.
//
// What it plays is chosen by HANJA_FAKE_CUDA, a list of words with commas between them; see src/lib.rs, which also says
// what the trace (HANJA_FAKE_CUDA_TRACE) holds. Not thread-safe beyond one lock around every call.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hanja.cu"

_Static_assert(sizeof(struct Geometry) == 152, "as GEOMETRY_WORDS in src/conversion.rs");
_Static_assert(sizeof(struct Candidate) == 32, "as CANDIDATE_WORDS in src/candidates.rs");

typedef unsigned int code;
#define EXPORT __attribute__((visibility("default")))
enum {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, INVALID_HANDLE = 400,
    NOT_FOUND = 500, NOT_READY = 600, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_INVALIDATED = 901
};

#include "streams.h"

// The library ----------------------------------------------------------------------------------------------------

EXPORT code cuInit(unsigned flags) {
    ENTER("cuInit");
    return leave(flags ? INVALID_VALUE : mode("no-device") ? NO_DEVICE : OK);
}

EXPORT code cuDriverGetVersion(int *version) {
    ENTER("cuDriverGetVersion");
#ifdef FAKE_10_2
    *version = 10020;
#else
    *version = 12060;
#endif
    *version = number("driver", *version);
    return leave(OK);
}

EXPORT code cuDeviceGetCount(int *count) {
    ENTER("cuDeviceGetCount");
    *count = 1;
    return leave(OK);
}

EXPORT code cuDeviceGet(int *device, int ordinal) {
    ENTER("cuDeviceGet");
    *device = 0;
    return leave(ordinal ? INVALID_VALUE : OK);
}

EXPORT code cuDeviceGetName(char *name, int len, int device) {
    ENTER("cuDeviceGetName");
    (void)device;
    snprintf(name, (size_t)len, "Fake GPU");
    return leave(OK);
}

EXPORT code cuDeviceGetAttribute(int *value, unsigned attribute, int device) {
    ENTER("cuDeviceGetAttribute");
    (void)device;
#ifdef FAKE_10_2
    if (attribute > 110) // newer than 10.2: memory pools (115), read-only registration (113)
        return leave(INVALID_VALUE);
#endif
    switch (attribute) {
    case 18: *value = !mode("discrete"); break;
    case 19: *value = !mode("no-map"); break;
    case 75: *value = number("capability", 72) / 10; break;
    case 76: *value = number("capability", 72) % 10; break;
    case 99: *value = !mode("no-register"); break;
    case 113: *value = !mode("no-read-only"); break;
    case 115: *value = 1; break;
    default: return leave(INVALID_VALUE);
    }
    return leave(OK);
}

EXPORT code cuDevicePrimaryCtxRetain(void **out, int device) {
    ENTER("cuDevicePrimaryCtxRetain");
    (void)device;
    *out = &context;
    return leave(OK);
}

#ifndef FAKE_10_2
EXPORT code cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    fprintf(stderr, "fake libcuda: the primary context was given back\n");
    abort();
}
#endif

EXPORT code cuCtxSetCurrent(void *c) {
    ENTER("cuCtxSetCurrent");
    if (c && c != &context)
        return leave(INVALID_CONTEXT);
    current = c;
    return leave(OK);
}

EXPORT code cuGetErrorString(code c, const char **text) {
    // Not traced and never lost: the real one needs no device either.
    static const struct { code c; const char *text; } texts[] = {
        {INVALID_VALUE, "invalid argument"},   {OUT_OF_MEMORY, "out of memory"},
        {NO_DEVICE, "no CUDA-capable device is detected"}, {INVALID_CONTEXT, "invalid device context"},
        {LAUNCH_FAILED, "unspecified launch failure"},     {NOT_SUPPORTED, "operation not supported"},
        {CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"},
    };
    size_t i;
    *text = NULL;
    for (i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].c == c)
            *text = texts[i].text;
    return *text ? OK : INVALID_VALUE;
}

EXPORT code cuModuleLoadDataEx(void **module, const void *image, unsigned n, unsigned *options, void **values) {
    unsigned i;
    ENTER_WITH_CONTEXT("cuModuleLoadDataEx");
    if (mode("no-kernels")) {
        for (i = 0; i < n; i++)
            if (options[i] == 5)
                snprintf(values[i], 64, "ptxas: unsupported .version");
        return leave(222);
    }
    if (!strstr(image, ".version 6.5") || !strstr(image, ".entry letterbox") || !strstr(image, ".entry filter"))
        return leave(INVALID_VALUE);
    *module = malloc(1);
    return leave(OK);
}

EXPORT code cuModuleGetFunction(void **function, void *module, const char *name) {
    ENTER_WITH_CONTEXT("cuModuleGetFunction");
    (void)module;
    *function = (void *)(uintptr_t)(!strcmp(name, "letterbox") ? 1 : !strcmp(name, "filter") ? 2 : 0);
    return leave(*function ? OK : NOT_FOUND);
}

EXPORT code cuModuleUnload(void *module) {
    ENTER_WITH_CONTEXT("cuModuleUnload");
    free(module);
    return leave(OK);
}

EXPORT code cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                           unsigned shared, struct stream *s, void **arguments, void **extra) {
    static const unsigned char sizes[3][8] = {{0}, {8, 8, 8, 8, 4}, {8, 4, 4, 4, 4, 4, 8}};
    struct op op = {.kind = LAUNCH, .kernel = (int)(uintptr_t)f, .grid = {gx, gy}, .block = {bx, by}};
    int i;
    ENTER_WITH_CONTEXT("cuLaunchKernel");
    if (op.kernel < 1 || op.kernel > 2 || gz != 1 || bz != 1 || shared || extra || !gx || !gy || bx * by > 1024)
        return leave(INVALID_VALUE);
    for (i = 0; i < 8; i++)
        if (sizes[op.kernel][i])
            memcpy(&op.arguments[i], arguments[i], sizes[op.kernel][i]);
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuLaunchHostFunc(struct stream *s, void (*call)(void *), void *data) {
    struct op op = {.kind = HOST_CALL, .call = call, .data = data};
    ENTER("cuLaunchHostFunc");
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuStreamCreate(struct stream **s, unsigned flags) {
    ENTER_WITH_CONTEXT("cuStreamCreate");
    if (flags > 1)
        return leave(INVALID_VALUE);
    *s = calloc(1, sizeof **s);
    return leave(*s ? OK : OUT_OF_MEMORY);
}

EXPORT code cuStreamDestroy_v2(struct stream *s) {
    ENTER_WITH_CONTEXT("cuStreamDestroy_v2");
    drain(s, queued(s)); // not freed: events know it
    return leave(OK);
}

EXPORT code cuStreamSynchronize(struct stream *s) {
    ENTER("cuStreamSynchronize");
    drain(s, queued(s));
    return leave(OK);
}

EXPORT code cuStreamWaitEvent(struct stream *s, struct event *e, unsigned flags) {
    struct op op = {.kind = WAIT, .other = e->stream, .after = e->after};
    ENTER("cuStreamWaitEvent");
    if (flags)
        return leave(INVALID_VALUE);
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuEventCreate(struct event **e, unsigned flags) {
    ENTER_WITH_CONTEXT("cuEventCreate");
    if (flags > 3)
        return leave(INVALID_VALUE);
    *e = calloc(1, sizeof **e);
    return leave(*e ? OK : OUT_OF_MEMORY);
}

EXPORT code cuEventDestroy_v2(struct event *e) {
    ENTER_WITH_CONTEXT("cuEventDestroy_v2");
    free(e);
    return leave(OK);
}

EXPORT code cuEventRecord(struct event *e, struct stream *s) {
    ENTER("cuEventRecord");
    e->stream = s;
    e->after = queued(s);
    e->not_ready = number("late", 0);
    return leave(OK);
}

EXPORT code cuEventQuery(struct event *e) {
    ENTER("cuEventQuery");
    if (e->not_ready > 0) {
        e->not_ready--;
        return leave(NOT_READY);
    }
    if (e->stream && e->stream->done < e->after)
        return leave(NOT_READY);
    return leave(OK);
}

EXPORT code cuEventSynchronize(struct event *e) {
    ENTER("cuEventSynchronize");
    e->not_ready = 0;
    if (e->stream)
        drain(e->stream, e->after);
    return leave(OK);
}

EXPORT code cuMemAlloc_v2(u64 *address, size_t len) {
    void *p = NULL;
    ENTER_WITH_CONTEXT("cuMemAlloc_v2");
    // Filled with what would be noticed: real memory is not zeroed either.
    if (!len || posix_memalign(&p, 256, len))
        return leave(OUT_OF_MEMORY);
    memset(p, 0xc5, len);
    *address = (u64)(uintptr_t)p;
    return leave(OK);
}

EXPORT code cuMemFree_v2(u64 address) {
    ENTER_WITH_CONTEXT("cuMemFree_v2");
    free((void *)(uintptr_t)address);
    return leave(OK);
}

EXPORT code cuMemHostAlloc(void **out, size_t len, unsigned flags) {
    ENTER_WITH_CONTEXT("cuMemHostAlloc");
    if (flags > 7 || (flags & 2 && mode("no-map")))
        return leave(INVALID_VALUE);
    if (posix_memalign(out, 4096, len))
        return leave(OUT_OF_MEMORY);
    return leave(OK);
}

EXPORT code cuMemFreeHost(void *p) {
    ENTER_WITH_CONTEXT("cuMemFreeHost");
    free(p);
    return leave(OK);
}

EXPORT code cuMemHostGetDevicePointer_v2(u64 *address, void *p, unsigned flags) {
    ENTER_WITH_CONTEXT("cuMemHostGetDevicePointer_v2");
    *address = (u64)(uintptr_t)p;
    return leave(flags ? INVALID_VALUE : OK);
}

EXPORT code cuMemHostRegister_v2(void *p, size_t len, unsigned flags) {
    ENTER_WITH_CONTEXT("cuMemHostRegister_v2");
    if (mode("refuse-register"))
        return leave(NOT_SUPPORTED);
    if (!p || !len || (flags & 8 && mode("no-read-only")))
        return leave(INVALID_VALUE);
    return leave(OK);
}

// Looks whether the memory is still there.
EXPORT code cuMemHostUnregister(void *p) {
    ENTER_WITH_CONTEXT("cuMemHostUnregister");
    (void)*(volatile char *)p;
    return leave(OK);
}

EXPORT code cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t len, struct stream *s) {
    struct op op = {.kind = TO_DEVICE, .to = (char *)(uintptr_t)to, .from = from, .len = len};
    ENTER_WITH_CONTEXT("cuMemcpyHtoDAsync_v2");
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t len, struct stream *s) {
    struct op op = {.kind = TO_HOST, .to = to, .from = (const char *)(uintptr_t)from, .len = len};
    ENTER_WITH_CONTEXT("cuMemcpyDtoHAsync_v2");
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuMemsetD32Async(u64 to, unsigned value, size_t n, struct stream *s) {
    struct op op = {.kind = FILL, .to = (char *)(uintptr_t)to, .value = value, .len = n};
    ENTER_WITH_CONTEXT("cuMemsetD32Async");
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuStreamBeginCapture_v2(struct stream *s, unsigned how) {
    ENTER("cuStreamBeginCapture_v2");
    if (how > 2 || s->capture)
        return leave(INVALID_VALUE);
    s->capture = calloc(1, sizeof *s->capture);
    return leave(s->capture ? OK : OUT_OF_MEMORY);
}

EXPORT code cuStreamEndCapture(struct stream *s, struct graph **out) {
    struct graph *g;
    pthread_mutex_lock(&lock);
    *out = NULL;
    code entered = enter("cuStreamEndCapture");
    if (!s->capture)
        return leave(entered ? entered : INVALID_VALUE);
    g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->list = *s->capture;
    free(s->capture);
    s->capture = NULL;
    if (entered || mode("no-capture")) {
        free(g->list.ops);
        free(g);
        return leave(entered ? entered : CAPTURE_INVALIDATED);
    }
    *out = g;
    return leave(OK);
}

EXPORT code cuGraphDestroy(struct graph *g) {
    ENTER("cuGraphDestroy");
    free(g->list.ops);
    free(g);
    return leave(OK);
}

#ifndef FAKE_10_2
static void copy_graph(struct graph *to, const struct graph *from) {
    size_t i;
    to->list.count = 0;
    for (i = 0; i < from->list.count; i++)
        add(&to->list, &from->list.ops[i]);
}

EXPORT code cuGraphInstantiateWithFlags(struct graph **out, struct graph *g, unsigned long long flags) {
    ENTER_WITH_CONTEXT("cuGraphInstantiateWithFlags");
    *out = calloc(1, sizeof **out);
    if (!*out || flags)
        return leave(OUT_OF_MEMORY);
    copy_graph(*out, g);
    return leave(OK);
}
#endif

EXPORT code cuGraphLaunch(struct graph *g, struct stream *s) {
    struct op op = {.kind = GRAPH, .graph = g};
    ENTER_WITH_CONTEXT("cuGraphLaunch");
    queue(s, &op);
    return leave(OK);
}

EXPORT code cuGraphExecDestroy(struct graph *g) {
    ENTER_WITH_CONTEXT("cuGraphExecDestroy");
    free(g->list.ops);
    free(g);
    return leave(OK);
}

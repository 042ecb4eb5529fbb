// What the fake driver plays, and its streams: lists of work, done at once or as late as possible. Part of libcuda.c.

// What to play ---------------------------------------------------------------------------------------------------

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread void *current;
static char context; // only its address counts
static FILE *trace;
static int lost_code, calls;

static const char *wanted; // the words of this call

// The words, read anew for every call if they are in a file.
static const char *words(void) {
    static char text[512];
    const char *given = getenv("HANJA_FAKE_CUDA");
    FILE *file;
    size_t len;
    if (!given || given[0] != '@')
        return given;
    file = fopen(given + 1, "r");
    len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[len] = 0;
    if (file)
        fclose(file);
    return text;
}

// The word itself, or what follows `name:`.
static const char *mode(const char *name) {
    static char found[128];
    const char *at = wanted;
    size_t len = strlen(name);
    while (at && *at) {
        size_t word = strcspn(at, ",");
        if (word >= len && !strncmp(at, name, len) && (word == len || at[len] == ':')) {
            size_t rest = word > len ? word - len - 1 : 0;
            if (rest >= sizeof found)
                abort();
            memcpy(found, at + word - rest, rest);
            found[rest] = 0;
            return found;
        }
        at += word + (at[word] == ',');
    }
    return NULL;
}

static int number(const char *name, int otherwise) {
    const char *value = mode(name);
    return value ? atoi(value) : otherwise;
}

// Every function begins here: counts, writes the trace, plays failures. `fail:NAME:NTH[:CODE]`, `lost:NTH`.
static code enter(const char *name) {
    static struct { const char *name; int count; } counts[64];
    const char *failure;
    int i = 0, nth = 0, at = 0, with = INVALID_VALUE;
    char target[64];
    if (!trace && getenv("HANJA_FAKE_CUDA_TRACE"))
        trace = fopen(getenv("HANJA_FAKE_CUDA_TRACE"), "a");
    if (trace) {
        fprintf(trace, "%s\n", name);
        fflush(trace);
    }
    wanted = words();
    calls++;
    while (i < 63 && counts[i].name && strcmp(counts[i].name, name))
        i++;
    counts[i].name = name;
    nth = ++counts[i].count;
    if (mode("lost") && calls >= number("lost", 0))
        lost_code = LAUNCH_FAILED;
    if (lost_code)
        return (code)lost_code;
    failure = mode("fail");
    if (failure && sscanf(failure, "%63[^:]:%d:%d", target, &at, &with) >= 2 && !strcmp(target, name) && nth == at)
        return (code)with;
    return OK;
}

#define ENTER(name)                      \
    code entered;                        \
    pthread_mutex_lock(&lock);           \
    entered = enter(name);               \
    if (entered)                         \
        return leave(entered)
#define ENTER_WITH_CONTEXT(name) \
    ENTER(name);                 \
    if (current != &context)     \
        return leave(INVALID_CONTEXT)

static code leave(code c) {
    pthread_mutex_unlock(&lock);
    return c;
}

// Streams --------------------------------------------------------------------------------------------------------

struct event {
    struct stream *stream; // where it was last recorded
    uint64_t after;        // fired when the stream has done so many
    int not_ready;         // queries still to be put off
};

enum kind { TO_DEVICE, TO_HOST, FILL, LAUNCH, WAIT, HOST_CALL, GRAPH };
struct op {
    enum kind kind;
    char *to;
    const char *from;
    size_t len;
    u32 value;
    int kernel;
    u32 grid[2], block[2];
    u64 arguments[8];
    struct stream *other;
    uint64_t after;
    void (*call)(void *);
    void *data;
    struct graph *graph;
};

struct list {
    struct op *ops;
    size_t count, room;
};

struct stream {
    struct list list;
    uint64_t before; // how many are no longer in the list
    uint64_t done;
    struct list *capture;
};

struct graph {
    struct list list;
};

static void add(struct list *l, const struct op *op) {
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->ops = realloc(l->ops, l->room * sizeof *l->ops);
        if (!l->ops)
            abort();
    }
    l->ops[l->count++] = *op;
}

static void run(const struct op *op);

static void drain(struct stream *s, uint64_t until) {
    while (s->done < until && s->done - s->before < s->list.count) {
        struct op op = s->list.ops[s->done - s->before];
        s->done++;
        run(&op);
    }
    if (s->done - s->before == s->list.count) {
        s->before = s->done;
        s->list.count = 0;
    }
}

static uint64_t queued(const struct stream *s) {
    return s->before + s->list.count;
}

static void launch(const struct op *op) {
    u32 bx, by;
    for (by = 0; by < op->grid[1] * op->block[1]; by++)
        for (bx = 0; bx < op->grid[0] * op->block[0]; bx++) {
            const u64 *a = op->arguments;
            twin_x = bx;
            twin_y = by;
            if (op->kernel == 1)
                letterbox((const u8 *)a[0], (const struct Geometry *)a[1], (const u32 *)a[2], (void *)a[3], (u32)a[4]);
            else
                filter((const void *)a[0], (u32)a[1], (u32)a[2], (u32)a[3], of_bits((u32)a[4]), (u32)a[5],
                       (struct Found *)a[6]);
        }
}

static void run(const struct op *op) {
    size_t i;
    switch (op->kind) {
    case TO_DEVICE:
    case TO_HOST:
        memcpy(op->to, op->from, op->len);
        break;
    case FILL:
        for (i = 0; i < op->len; i++)
            ((u32 *)op->to)[i] = op->value;
        break;
    case LAUNCH:
        launch(op);
        break;
    case WAIT:
        if (op->other)
            drain(op->other, op->after);
        break;
    case HOST_CALL:
        op->call(op->data);
        break;
    case GRAPH:
        for (i = 0; i < op->graph->list.count; i++)
            run(&op->graph->list.ops[i]);
        break;
    }
}

// Queued; done at once unless `lazy`: then as late as possible, which shows what does not wait but should.
static void queue(struct stream *s, const struct op *op) {
    if (s->capture) {
        add(s->capture, op);
        return;
    }
    add(&s->list, op);
    if (!mode("lazy"))
        drain(s, queued(s));
}

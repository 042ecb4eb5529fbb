/* hanja_tap: frames, detections and statistics of a running hanja pipeline, for C11 and C++11.
 *
 *     hanja_tap *tap;
 *     hanja_tap_open(&tap, NULL, HANJA_STAGE_DEFAULT, HANJA_TOPIC_DETECTIONS, HANJA_TAP_IN_ORDER);
 *     while (hanja_tap_next(tap, 1000, &sample) == HANJA_TAP_OK)
 *         hanja_tap_copy(tap, buffer, sizeof buffer, &length);
 *     hanja_tap_close(tap);
 *
 * The guide is docs/tap.md, the layout of shared memory docs/abi.md. All times are nanoseconds of CLOCK_MONOTONIC;
 * 0 is "not (yet)".
 *
 * Threads: a tap may move between threads, but two calls with it must not overlap: the second gets HANJA_TAP_BUSY. Any
 * number of taps may be used at the same time. hanja_tap_close must be the last call. After fork() the child must not
 * use (nor close) its parent's taps.
 *
 * Signals do not interrupt hanja_tap_next: use a time-out and check your own flag.
 *
 * Failures inside the library are error codes. As bindings/c/install.sh builds it, that holds even for its own bugs
 * (HANJA_TAP_INTERNAL); built in the workspace's `release` profile (panic = "abort") a bug ends the process instead.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef HANJA_TAP_H
#define HANJA_TAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define HANJA_TAP_ASSERT(condition, text) static_assert(condition, text)
#else
#define HANJA_TAP_ASSERT(condition, text) _Static_assert(condition, text)
#endif
#define HANJA_TAP_AT(type, field, at) \
    HANJA_TAP_ASSERT(offsetof(type, field) == (at), #type "." #field " is not at " #at)
#define HANJA_TAP_SIZE(type, size) HANJA_TAP_ASSERT(sizeof(type) == (size), #type " is not " #size " bytes")

/* ------------------------------------------------------------------------------------------------ the functions */

typedef struct hanja_tap hanja_tap;

enum {
    HANJA_TAP_OK = 0,
    HANJA_TAP_TIMEOUT = 1,  /* attached, but nothing new within the time */
    HANJA_TAP_ABSENT = 2,   /* not attached within the time: hanja_tap_last_error() says why; call again */
    HANJA_TAP_TORN = 3,     /* the writer was faster than this copy, which is worthless: call hanja_tap_next again */
    HANJA_TAP_SMALL = 4,    /* the buffer is too small; the length needed has been stored, nothing copied */
    HANJA_TAP_ARGUMENT = 5, /* NULL where something is needed, a number out of range, calls in the wrong order */
    HANJA_TAP_RECORD = 6,   /* these bytes are not such a record, or one of another major version */
    HANJA_TAP_BUSY = 7,     /* another thread is in a call with this tap */
    HANJA_TAP_INTERNAL = 8  /* a bug in the library: close this tap, and please report it */
};

enum {
    HANJA_STAGE_DEFAULT = 0, /* the only one that has the topic; for HANJA_TOPIC_STATS a stage must be named */
    HANJA_STAGE_CAPTURE = 1,
    HANJA_STAGE_INFER = 2,
    HANJA_STAGE_RENDER = 3
};

enum {
    HANJA_TOPIC_FRAMES = 1,
    HANJA_TOPIC_DETECTIONS = 2,
    HANJA_TOPIC_STATS = 3,
    HANJA_TOPIC_TRUTH = 4,    /* what synth:?truth=1 drew, as detection records */
    HANJA_TOPIC_PRESENTED = 5 /* detection records again, with the times when render had them and showed them */
};

enum {
    HANJA_TAP_NEWEST = 0,  /* always the newest: a slow reader skips, and is never behind */
    HANJA_TAP_IN_ORDER = 1 /* one after the other, from the newest at the first attachment; see `lapped` */
};

/* Metadata of one frame, see docs/abi.md. */
typedef struct hanja_frame_meta {
    uint64_t generation;
    uint64_t seq; /* from 1, no gaps */
    uint64_t driver_seq;
    uint32_t fourcc; /* see HANJA_FOURCC_* */
    uint32_t width;
    uint32_t height;
    uint32_t stride; /* bytes per line of the first plane, 0 for MJPG */
    uint64_t bytes_used;
    uint32_t flags; /* HANJA_FRAME_* */
    uint32_t reserved0;
    uint64_t t_sensor;
    uint64_t t_dequeued;
    uint64_t t_published;
    uint64_t lost_total;
    uint64_t dropped_total;
    uint64_t t_new_number; /* since when driver_seq, t_sensor and the picture are the same; 0 before ABI 1.2 */
    uint64_t t_new_time;
    uint64_t t_new_picture;
    uint64_t reserved[17];
} hanja_frame_meta;

#define HANJA_FRAME_NO_SIGNAL 1u
#define HANJA_FRAME_DRIVER_ERROR 2u
#define HANJA_FRAME_SYNTHETIC 4u
#define HANJA_FRAME_HOST_TIME 8u      /* no usable time from the driver: t_sensor is when capture had the frame */
#define HANJA_FRAME_EXPOSURE_TIME 16u /* t_sensor is the beginning of the exposure */

#define HANJA_FOURCC_YUYV UINT32_C(0x56595559)
#define HANJA_FOURCC_NV12 UINT32_C(0x3231564e)
#define HANJA_FOURCC_YU12 UINT32_C(0x32315559)
#define HANJA_FOURCC_MJPG UINT32_C(0x47504a4d)
#define HANJA_FOURCC_GREY UINT32_C(0x59455247)
#define HANJA_FOURCC_RGB3 UINT32_C(0x33424752)

/* The description of a sample. Its payload stays in shared memory until hanja_tap_copy. */
typedef struct hanja_tap_sample {
    uint64_t generation;     /* changes when the stage restarts or its frames change size or format */
    uint64_t seq;            /* number in that generation, from 1 */
    uint64_t lapped;         /* in order: samples overwritten unread since the one before, torn ones included */
    uint64_t torn;           /* copies thrown away since hanja_tap_open because the writer was faster */
    uint64_t payload_length; /* bytes that hanja_tap_copy will copy */
    hanja_frame_meta frame;  /* all zero for topics other than frames */
} hanja_tap_sample;

/* Version of this library, for example "0.1.0". */
const char *hanja_tap_version(void);

/* Makes a tap of `topic` and stores it in `*tap` (NULL on failure). Does not wait and does not need a pipeline: the
 * first hanja_tap_next attaches. `runtime_dir` NULL is the directory that `hanja run` uses without --runtime-dir, and if
 * there is none, that of the service, /run/hanja. */
int hanja_tap_open(hanja_tap **tap, const char *runtime_dir, int stage, int topic, int order);

/* Waits until there is something newer than the last sample, for at most `timeout_ms` (0: does not wait;
 * negative: without end), and describes it in `*sample`. Restarts of the stage are waited out: compare `generation`. */
int hanja_tap_next(hanja_tap *tap, int timeout_ms, hanja_tap_sample *sample);

/* Copies the payload of the last sample into `buffer`, straight out of shared memory and once, and stores its length
 * in `*length` (may be NULL). Copy soon: HANJA_TAP_TORN means that it has been overwritten, whole or in part.
 * Statistics grow at their end from version to version: a buffer of sizeof(hanja_stage_stats) bytes or more gets as
 * much of them as fits (`*length` says how much), and HANJA_MAX_STATS bytes are always enough for all. */
int hanja_tap_copy(hanja_tap *tap, void *buffer, size_t capacity, size_t *length);

/* Ends a tap; does nothing with NULL. */
void hanja_tap_close(hanja_tap *tap);

/* The description of an error code; never NULL. */
const char *hanja_tap_strerror(int code);

/* Why this thread's last failed call failed, with names and remedy; "" if none has. Valid until this thread's next
 * call. */
const char *hanja_tap_last_error(void);

/* --------------------------------------------------------------------------------------------------- the records */

/* The times of a frame. render_acquired and presented are set in HANJA_TOPIC_PRESENTED only. */
typedef struct hanja_times {
    uint64_t sensor;
    uint64_t dequeued;
    uint64_t published;
    uint64_t acquired;
    uint64_t preprocessed;
    uint64_t submitted;
    uint64_t inferred;
    uint64_t postprocessed;
    uint64_t detections_published;
    uint64_t render_acquired;
    uint64_t presented;
    uint64_t reserved;
} hanja_times;

#define HANJA_MAX_DETECTIONS 300
#define HANJA_MAX_RECORD (256 + HANJA_MAX_DETECTIONS * 32)
#define HANJA_MAX_WORDS 385 /* with the terminator */
#define HANJA_HISTOGRAM_BUCKETS 192
#define HANJA_MAX_STATS (640 + 384 + 11 * 784) /* statistics with words and histograms; below HANJA_MAX_RECORD */

/* Head of a detection record. */
typedef struct hanja_detection_header {
    uint32_t magic; /* "HJDT" */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint16_t header_len;
    uint16_t detection_len;
    uint32_t count;
    uint64_t generation;
    uint64_t seq;
    uint64_t frame_generation;
    uint64_t frame_seq;
    uint64_t driver_seq;
    uint64_t model_id;
    uint16_t backend; /* 0 none, 1 rten, 2 onnxruntime, 3 tensorrt, 100 ground truth */
    uint16_t status;  /* 0 ok, 1 frame undecodable, 2 no signal */
    uint32_t frame_width;
    uint32_t frame_height;
    uint32_t candidates;
    uint32_t suppressed;
    uint32_t capped;
    uint64_t reserved0;
    hanja_times times;
    uint64_t inferred_total;
    uint64_t skipped_busy_total;
    uint64_t skipped_undecodable_total;
    uint64_t skipped_no_signal_total;
    uint64_t reserved[4];
} hanja_detection_header;

/* One found object; the box is in pixels of the frame. */
typedef struct hanja_detection {
    float x1;
    float y1;
    float x2;
    float y2;
    float score;
    uint16_t class_number;
    uint16_t flags;
    uint32_t track; /* 0: not tracked */
    uint32_t reserved;
} hanja_detection;

/* One latency over the last second, microseconds; every second, for all of them: hanja_tap_histogram. */
typedef struct hanja_metric {
    uint16_t id; /* see docs/abi.md */
    uint16_t reserved;
    uint32_t count;
    uint32_t p50_us;
    uint32_t p90_us;
    uint32_t p99_us;
    uint32_t max_us;
} hanja_metric;

/* One second of a stage. */
typedef struct hanja_stage_stats {
    uint32_t magic; /* "HJST" */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint16_t stage; /* HANJA_STAGE_* */
    uint16_t backend;
    uint32_t pid;
    uint64_t t_ns;
    uint64_t started_ns;
    uint64_t generation;
    uint64_t frames_total;
    uint32_t fps_milli;
    uint32_t rss_kib;
    uint64_t cpu_us;
    uint64_t lost_total;
    uint64_t dropped_total;
    uint64_t skipped_busy_total;
    uint64_t skipped_undecodable_total;
    uint64_t skipped_no_signal_total;
    uint64_t newest_ns;
    uint32_t readers;
    uint32_t words_len; /* bytes behind the record, see hanja_tap_words; since ABI 1.1, 0 before */
    /* Since ABI 1.2, 0 before: */
    uint32_t histograms_at;   /* see hanja_tap_histogram */
    uint16_t histogram_count;
    uint16_t histogram_len;
    uint32_t leases;          /* of readers, those that lease slots (stages) */
    uint32_t taps;            /* of readers, those that tap */
    uint64_t cpu_system_us;   /* the kernel's part of cpu_us */
    uint32_t rss_peak_kib;
    uint32_t queue_age_us;    /* longest wait of an input taken in the last second */
    uint64_t detections_total;
    char what[128]; /* UTF-8, zero-padded; not terminated if it fills all 128 bytes */
    hanja_metric metrics[12];
    /* Since ABI 1.2, 0 before: */
    uint64_t missed_total;     /* render: records overwritten before it read them */
    uint64_t presented_total;  /* render: pictures whose first byte left */
    uint64_t unbalanced_total; /* frames whose times or counts did not add up: a bug if not 0 */
    uint64_t reserved1[5];
} hanja_stage_stats;

/* How often each latency was measured since the stage's process started. Two of the same process are subtracted, those
 * of several processes added, count by count. */
typedef struct hanja_histogram {
    uint16_t id; /* as in hanja_metric */
    uint16_t reserved;
    uint32_t reserved1;
    uint64_t sum_ns; /* all latencies added up, nanoseconds */
    uint32_t counts[HANJA_HISTOGRAM_BUCKETS];
} hanja_histogram;

/* Checks and parses `length` bytes of a detection record. At most `capacity` detections are stored, and
 * header->count says how many there were; HANJA_MAX_DETECTIONS is always enough. */
int hanja_tap_detections(const void *record, size_t length, hanja_detection_header *header,
                         hanja_detection *detections, size_t capacity);

/* Checks `length` bytes of stage statistics and copies their head. Words and histograms may follow it: copy the payload
 * into HANJA_MAX_STATS bytes for all of it, or into sizeof(hanja_stage_stats) for the head alone. */
int hanja_tap_stats(const void *record, size_t length, hanja_stage_stats *stats);

/* The text behind `length` bytes of stage statistics, UTF-8 and terminated: for infer, its backend and why better ones
 * are not used; empty for the other stages and before ABI 1.1. HANJA_MAX_WORDS bytes are always enough; with a buffer that is
 * too small the result is HANJA_TAP_SMALL and nothing is written. */
int hanja_tap_words(const void *record, size_t length, char *words, size_t capacity);

/* The histogram of latency `id` (see docs/abi.md) behind `length` bytes of stage statistics. Without one (the stage does
 * not measure this, has not yet, or has an ABI before 1.2) *histogram is all zero except for its id. */
int hanja_tap_histogram(const void *record, size_t length, uint16_t id, hanja_histogram *histogram);

/* Where a bucket begins, microseconds; the next bucket's beginning is its end. UINT32_MAX for more than 192. */
uint32_t hanja_tap_bucket_us(uint32_t bucket);

/* The latency in microseconds that a share `q` (0 to 1) of those counted does not exceed; -1 if none was counted. */
double hanja_tap_quantile_us(const hanja_histogram *histogram, double q);

/* The numeral of a class of the shipped model, UTF-8; NULL for any other class. */
const char *hanja_tap_label(uint16_t class_number);

/* -------------------------------------------------- shared memory itself; the functions above need none of this */

/* Request and reply on STAGE-tap.sock. */
typedef struct hanja_request {
    uint32_t magic; /* "HJRQ" */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint16_t topic;
    uint16_t quota; /* leases wanted, 0 for a tap */
    uint32_t reserved0;
    uint64_t reserved[6];
} hanja_request;

typedef struct hanja_reply {
    uint32_t magic; /* "HJRP" */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint16_t status;
    uint16_t quota;
    uint32_t reserved0;
    uint64_t generation;
    uint64_t total_len;
    uint64_t reserved[4];
} hanja_reply;

/* First page of a ring. `newest` and `notify` are changed by the writer at any time: access them atomically. */
typedef struct hanja_ring_header {
    uint64_t magic; /* "HANJARNG" */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t header_len;
    uint32_t topic;
    uint32_t slots;
    uint64_t generation;
    uint64_t slot_stride;
    uint32_t meta_len;
    uint32_t meta_offset;
    uint64_t payload_offset;
    uint64_t payload_capacity;
    uint64_t total_len;
    uint64_t writer_pid;
    uint64_t reserved0[6];
    uint64_t newest;
    uint64_t reserved1[7];
    uint32_t notify;
    uint32_t reserved2;
    uint64_t reserved3[487];
} hanja_ring_header;

/* First line of a slot; the metadata follows. */
typedef struct hanja_ring_slot {
    uint64_t state; /* sequence number << 8, slot number << 1, bit 0: being written */
    uint64_t payload_len;
    uint64_t reserved[6];
} hanja_ring_slot;

/* ------------------------------------------------------- every number of docs/abi.md, checked by the compiler */

HANJA_TAP_SIZE(hanja_request, 64);
HANJA_TAP_AT(hanja_request, magic, 0);
HANJA_TAP_AT(hanja_request, abi_major, 4);
HANJA_TAP_AT(hanja_request, abi_minor, 6);
HANJA_TAP_AT(hanja_request, topic, 8);
HANJA_TAP_AT(hanja_request, quota, 10);
HANJA_TAP_AT(hanja_request, reserved0, 12);
HANJA_TAP_AT(hanja_request, reserved, 16);

HANJA_TAP_SIZE(hanja_reply, 64);
HANJA_TAP_AT(hanja_reply, magic, 0);
HANJA_TAP_AT(hanja_reply, abi_major, 4);
HANJA_TAP_AT(hanja_reply, abi_minor, 6);
HANJA_TAP_AT(hanja_reply, status, 8);
HANJA_TAP_AT(hanja_reply, quota, 10);
HANJA_TAP_AT(hanja_reply, reserved0, 12);
HANJA_TAP_AT(hanja_reply, generation, 16);
HANJA_TAP_AT(hanja_reply, total_len, 24);
HANJA_TAP_AT(hanja_reply, reserved, 32);

HANJA_TAP_SIZE(hanja_ring_header, 4096);
HANJA_TAP_AT(hanja_ring_header, magic, 0);
HANJA_TAP_AT(hanja_ring_header, abi_major, 8);
HANJA_TAP_AT(hanja_ring_header, abi_minor, 10);
HANJA_TAP_AT(hanja_ring_header, header_len, 12);
HANJA_TAP_AT(hanja_ring_header, topic, 16);
HANJA_TAP_AT(hanja_ring_header, slots, 20);
HANJA_TAP_AT(hanja_ring_header, generation, 24);
HANJA_TAP_AT(hanja_ring_header, slot_stride, 32);
HANJA_TAP_AT(hanja_ring_header, meta_len, 40);
HANJA_TAP_AT(hanja_ring_header, meta_offset, 44);
HANJA_TAP_AT(hanja_ring_header, payload_offset, 48);
HANJA_TAP_AT(hanja_ring_header, payload_capacity, 56);
HANJA_TAP_AT(hanja_ring_header, total_len, 64);
HANJA_TAP_AT(hanja_ring_header, writer_pid, 72);
HANJA_TAP_AT(hanja_ring_header, newest, 128);
HANJA_TAP_AT(hanja_ring_header, notify, 192);

HANJA_TAP_SIZE(hanja_ring_slot, 64);
HANJA_TAP_AT(hanja_ring_slot, state, 0);
HANJA_TAP_AT(hanja_ring_slot, payload_len, 8);

HANJA_TAP_SIZE(hanja_frame_meta, 256);
HANJA_TAP_AT(hanja_frame_meta, generation, 0);
HANJA_TAP_AT(hanja_frame_meta, seq, 8);
HANJA_TAP_AT(hanja_frame_meta, driver_seq, 16);
HANJA_TAP_AT(hanja_frame_meta, fourcc, 24);
HANJA_TAP_AT(hanja_frame_meta, width, 28);
HANJA_TAP_AT(hanja_frame_meta, height, 32);
HANJA_TAP_AT(hanja_frame_meta, stride, 36);
HANJA_TAP_AT(hanja_frame_meta, bytes_used, 40);
HANJA_TAP_AT(hanja_frame_meta, flags, 48);
HANJA_TAP_AT(hanja_frame_meta, reserved0, 52);
HANJA_TAP_AT(hanja_frame_meta, t_sensor, 56);
HANJA_TAP_AT(hanja_frame_meta, t_dequeued, 64);
HANJA_TAP_AT(hanja_frame_meta, t_published, 72);
HANJA_TAP_AT(hanja_frame_meta, lost_total, 80);
HANJA_TAP_AT(hanja_frame_meta, dropped_total, 88);
HANJA_TAP_AT(hanja_frame_meta, t_new_number, 96);
HANJA_TAP_AT(hanja_frame_meta, t_new_time, 104);
HANJA_TAP_AT(hanja_frame_meta, t_new_picture, 112);
HANJA_TAP_AT(hanja_frame_meta, reserved, 120);

HANJA_TAP_SIZE(hanja_tap_sample, 296);
HANJA_TAP_AT(hanja_tap_sample, generation, 0);
HANJA_TAP_AT(hanja_tap_sample, seq, 8);
HANJA_TAP_AT(hanja_tap_sample, lapped, 16);
HANJA_TAP_AT(hanja_tap_sample, torn, 24);
HANJA_TAP_AT(hanja_tap_sample, payload_length, 32);
HANJA_TAP_AT(hanja_tap_sample, frame, 40);

HANJA_TAP_SIZE(hanja_times, 96);
HANJA_TAP_AT(hanja_times, sensor, 0);
HANJA_TAP_AT(hanja_times, dequeued, 8);
HANJA_TAP_AT(hanja_times, published, 16);
HANJA_TAP_AT(hanja_times, acquired, 24);
HANJA_TAP_AT(hanja_times, preprocessed, 32);
HANJA_TAP_AT(hanja_times, submitted, 40);
HANJA_TAP_AT(hanja_times, inferred, 48);
HANJA_TAP_AT(hanja_times, postprocessed, 56);
HANJA_TAP_AT(hanja_times, detections_published, 64);
HANJA_TAP_AT(hanja_times, render_acquired, 72);
HANJA_TAP_AT(hanja_times, presented, 80);
HANJA_TAP_AT(hanja_times, reserved, 88);

HANJA_TAP_SIZE(hanja_detection_header, 256);
HANJA_TAP_AT(hanja_detection_header, magic, 0);
HANJA_TAP_AT(hanja_detection_header, abi_major, 4);
HANJA_TAP_AT(hanja_detection_header, abi_minor, 6);
HANJA_TAP_AT(hanja_detection_header, header_len, 8);
HANJA_TAP_AT(hanja_detection_header, detection_len, 10);
HANJA_TAP_AT(hanja_detection_header, count, 12);
HANJA_TAP_AT(hanja_detection_header, generation, 16);
HANJA_TAP_AT(hanja_detection_header, seq, 24);
HANJA_TAP_AT(hanja_detection_header, frame_generation, 32);
HANJA_TAP_AT(hanja_detection_header, frame_seq, 40);
HANJA_TAP_AT(hanja_detection_header, driver_seq, 48);
HANJA_TAP_AT(hanja_detection_header, model_id, 56);
HANJA_TAP_AT(hanja_detection_header, backend, 64);
HANJA_TAP_AT(hanja_detection_header, status, 66);
HANJA_TAP_AT(hanja_detection_header, frame_width, 68);
HANJA_TAP_AT(hanja_detection_header, frame_height, 72);
HANJA_TAP_AT(hanja_detection_header, candidates, 76);
HANJA_TAP_AT(hanja_detection_header, suppressed, 80);
HANJA_TAP_AT(hanja_detection_header, capped, 84);
HANJA_TAP_AT(hanja_detection_header, reserved0, 88);
HANJA_TAP_AT(hanja_detection_header, times, 96);
HANJA_TAP_AT(hanja_detection_header, inferred_total, 192);
HANJA_TAP_AT(hanja_detection_header, skipped_busy_total, 200);
HANJA_TAP_AT(hanja_detection_header, skipped_undecodable_total, 208);
HANJA_TAP_AT(hanja_detection_header, skipped_no_signal_total, 216);
HANJA_TAP_AT(hanja_detection_header, reserved, 224);

HANJA_TAP_SIZE(hanja_detection, 32);
HANJA_TAP_AT(hanja_detection, x1, 0);
HANJA_TAP_AT(hanja_detection, y1, 4);
HANJA_TAP_AT(hanja_detection, x2, 8);
HANJA_TAP_AT(hanja_detection, y2, 12);
HANJA_TAP_AT(hanja_detection, score, 16);
HANJA_TAP_AT(hanja_detection, class_number, 20);
HANJA_TAP_AT(hanja_detection, flags, 22);
HANJA_TAP_AT(hanja_detection, track, 24);
HANJA_TAP_AT(hanja_detection, reserved, 28);

HANJA_TAP_SIZE(hanja_metric, 24);
HANJA_TAP_AT(hanja_metric, id, 0);
HANJA_TAP_AT(hanja_metric, reserved, 2);
HANJA_TAP_AT(hanja_metric, count, 4);
HANJA_TAP_AT(hanja_metric, p50_us, 8);
HANJA_TAP_AT(hanja_metric, p90_us, 12);
HANJA_TAP_AT(hanja_metric, p99_us, 16);
HANJA_TAP_AT(hanja_metric, max_us, 20);

HANJA_TAP_SIZE(hanja_stage_stats, 640);
HANJA_TAP_AT(hanja_stage_stats, magic, 0);
HANJA_TAP_AT(hanja_stage_stats, abi_major, 4);
HANJA_TAP_AT(hanja_stage_stats, abi_minor, 6);
HANJA_TAP_AT(hanja_stage_stats, stage, 8);
HANJA_TAP_AT(hanja_stage_stats, backend, 10);
HANJA_TAP_AT(hanja_stage_stats, pid, 12);
HANJA_TAP_AT(hanja_stage_stats, t_ns, 16);
HANJA_TAP_AT(hanja_stage_stats, started_ns, 24);
HANJA_TAP_AT(hanja_stage_stats, generation, 32);
HANJA_TAP_AT(hanja_stage_stats, frames_total, 40);
HANJA_TAP_AT(hanja_stage_stats, fps_milli, 48);
HANJA_TAP_AT(hanja_stage_stats, rss_kib, 52);
HANJA_TAP_AT(hanja_stage_stats, cpu_us, 56);
HANJA_TAP_AT(hanja_stage_stats, lost_total, 64);
HANJA_TAP_AT(hanja_stage_stats, dropped_total, 72);
HANJA_TAP_AT(hanja_stage_stats, skipped_busy_total, 80);
HANJA_TAP_AT(hanja_stage_stats, skipped_undecodable_total, 88);
HANJA_TAP_AT(hanja_stage_stats, skipped_no_signal_total, 96);
HANJA_TAP_AT(hanja_stage_stats, newest_ns, 104);
HANJA_TAP_AT(hanja_stage_stats, readers, 112);
HANJA_TAP_AT(hanja_stage_stats, words_len, 116);
HANJA_TAP_AT(hanja_stage_stats, histograms_at, 120);
HANJA_TAP_AT(hanja_stage_stats, histogram_count, 124);
HANJA_TAP_AT(hanja_stage_stats, histogram_len, 126);
HANJA_TAP_AT(hanja_stage_stats, leases, 128);
HANJA_TAP_AT(hanja_stage_stats, taps, 132);
HANJA_TAP_AT(hanja_stage_stats, cpu_system_us, 136);
HANJA_TAP_AT(hanja_stage_stats, rss_peak_kib, 144);
HANJA_TAP_AT(hanja_stage_stats, queue_age_us, 148);
HANJA_TAP_AT(hanja_stage_stats, detections_total, 152);
HANJA_TAP_AT(hanja_stage_stats, what, 160);
HANJA_TAP_AT(hanja_stage_stats, metrics, 288);
HANJA_TAP_AT(hanja_stage_stats, missed_total, 576);
HANJA_TAP_AT(hanja_stage_stats, presented_total, 584);
HANJA_TAP_AT(hanja_stage_stats, unbalanced_total, 592);
HANJA_TAP_AT(hanja_stage_stats, reserved1, 600);

HANJA_TAP_SIZE(hanja_histogram, 784);
HANJA_TAP_AT(hanja_histogram, id, 0);
HANJA_TAP_AT(hanja_histogram, reserved, 2);
HANJA_TAP_AT(hanja_histogram, reserved1, 4);
HANJA_TAP_AT(hanja_histogram, sum_ns, 8);
HANJA_TAP_AT(hanja_histogram, counts, 16);

#ifdef __cplusplus
}
#endif
#endif

/* Every function of hanja_tap.h, used correctly and incorrectly.
 *
 *     api alone DIR              no pipeline in DIR: errors and their messages
 *     api live DIR               `hanja run --source synth:?size=320x240` in DIR
 *     api restart DIR PID        the same; PID is its capture stage, which is killed
 */
#define _POSIX_C_SOURCE 200809L
#include <hanja_tap.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition,          \
                    hanja_tap_last_error());                                                                 \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)
#define SAYS(word) CHECK(strstr(hanja_tap_last_error(), word) != NULL)

static hanja_tap *open_tap(const char *dir, int stage, int topic, int order)
{
    hanja_tap *tap = NULL;
    CHECK(hanja_tap_open(&tap, dir, stage, topic, order) == HANJA_TAP_OK && tap != NULL);
    return tap;
}

static void wait_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void wrong_arguments(void)
{
    hanja_tap *tap = (hanja_tap *)(void *)"rubbish";
    CHECK(hanja_tap_open(NULL, NULL, 0, HANJA_TOPIC_FRAMES, 0) == HANJA_TAP_ARGUMENT);
    SAYS("tap is NULL");
    CHECK(hanja_tap_open(&tap, NULL, 0, 9, 0) == HANJA_TAP_ARGUMENT && tap == NULL);
    SAYS("topic 9");
    CHECK(hanja_tap_open(&tap, NULL, 4, HANJA_TOPIC_STATS, 0) == HANJA_TAP_ARGUMENT);
    SAYS("stage 4");
    CHECK(hanja_tap_open(&tap, NULL, HANJA_STAGE_DEFAULT, HANJA_TOPIC_STATS, 0) == HANJA_TAP_ARGUMENT);
    SAYS("HANJA_STAGE_");
    CHECK(hanja_tap_open(&tap, NULL, 0, HANJA_TOPIC_FRAMES, 2) == HANJA_TAP_ARGUMENT);
    SAYS("order 2");
    hanja_tap_sample sample;
    CHECK(hanja_tap_next(NULL, 0, &sample) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_copy(NULL, &sample, sizeof sample, NULL) == HANJA_TAP_ARGUMENT);
    hanja_tap_close(NULL);
    for (int code = -1; code < 10; code++)
        CHECK(strlen(hanja_tap_strerror(code)) > 5);
    CHECK(strchr(hanja_tap_version(), '.') != NULL);
}

static void wrong_records(void)
{
    unsigned char rubbish[HANJA_MAX_RECORD] = {0};
    hanja_detection_header header;
    hanja_detection found[1];
    hanja_stage_stats stats;
    CHECK(hanja_tap_detections(NULL, 1, &header, found, 1) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_detections(rubbish, sizeof rubbish, NULL, found, 1) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_detections(rubbish, sizeof rubbish, &header, NULL, 1) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_detections(rubbish, SIZE_MAX, &header, NULL, 0) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_detections(rubbish, 255, &header, NULL, 0) == HANJA_TAP_RECORD);
    SAYS("255 bytes");
    CHECK(hanja_tap_detections(rubbish, sizeof rubbish, &header, NULL, 0) == HANJA_TAP_RECORD);
    SAYS("magic");
    CHECK(hanja_tap_stats(rubbish, sizeof rubbish, NULL) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_stats(rubbish, sizeof rubbish, &stats) == HANJA_TAP_RECORD);
    char words[HANJA_MAX_WORDS];
    CHECK(hanja_tap_words(NULL, 640, words, sizeof words) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_words(rubbish, sizeof rubbish, NULL, 0) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_words(rubbish, sizeof rubbish, words, sizeof words) == HANJA_TAP_RECORD);
    memcpy(rubbish, "HJST\1", 5); /* a record of version 1.0 has no words */
    CHECK(hanja_tap_words(rubbish, 640, words, 1) == HANJA_TAP_OK && words[0] == '\0');
    CHECK(hanja_tap_words(rubbish, 640, words, 0) == HANJA_TAP_SMALL);
    memset(rubbish + 116, 0xff, 4); /* a wrong length */
    memset(rubbish + 640, 0xff, 400);
    CHECK(hanja_tap_words(rubbish, 643, words, sizeof words) == HANJA_TAP_OK && strlen(words) == 9);
    CHECK(hanja_tap_words(rubbish, sizeof rubbish, words, sizeof words) == HANJA_TAP_OK);
    CHECK(strlen(words) == HANJA_MAX_WORDS - 1);
    hanja_histogram histogram; /* and none without the numbers that say where they are */
    CHECK(hanja_tap_histogram(rubbish, sizeof rubbish, 6, NULL) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_histogram(rubbish, sizeof rubbish, 99, &histogram) == HANJA_TAP_ARGUMENT);
    SAYS("latency 99");
    CHECK(hanja_tap_histogram(rubbish, sizeof rubbish, 6, &histogram) == HANJA_TAP_OK);
    CHECK(histogram.id == 6 && hanja_tap_quantile_us(&histogram, 0.5) < 0);
    CHECK(hanja_tap_quantile_us(NULL, 0.5) < 0);
    histogram.counts[100] = UINT32_MAX;
    double median = hanja_tap_quantile_us(&histogram, 0.5);
    CHECK(median > hanja_tap_bucket_us(100) && median < hanja_tap_bucket_us(101));
    CHECK(hanja_tap_bucket_us(7) == 7 && hanja_tap_bucket_us(16) == 16 && hanja_tap_bucket_us(17) == 18);
    CHECK(hanja_tap_bucket_us(192) == 67108864 && hanja_tap_bucket_us(193) == UINT32_MAX);
    CHECK(strcmp(hanja_tap_label(9), "十") == 0 && hanja_tap_label(10) == NULL);
}

static void alone(const char *dir)
{
    wrong_arguments();
    wrong_records();
    hanja_tap *tap = open_tap(dir, HANJA_STAGE_DEFAULT, HANJA_TOPIC_FRAMES, HANJA_TAP_NEWEST);
    hanja_tap_sample sample;
    CHECK(hanja_tap_next(tap, 0, NULL) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_copy(tap, &sample, sizeof sample, NULL) == HANJA_TAP_ARGUMENT);
    SAYS("hanja_tap_next first");
    CHECK(hanja_tap_next(tap, 30, &sample) == HANJA_TAP_ABSENT);
    SAYS(dir);
    SAYS("hanja run");
    hanja_tap_close(tap);
}

/* Copies the newest frame; returns its number. */
static void frames(const char *dir)
{
    static unsigned char pixels[2 * 320 * 240];
    hanja_tap *tap = open_tap(dir, HANJA_STAGE_DEFAULT, HANJA_TOPIC_FRAMES, HANJA_TAP_NEWEST);
    hanja_tap_sample sample;
    size_t length = 0;
    CHECK(hanja_tap_next(tap, 10000, &sample) == HANJA_TAP_OK);
    CHECK(sample.frame.width == 320 && sample.frame.height == 240);
    CHECK(sample.frame.fourcc == HANJA_FOURCC_YUYV && sample.frame.flags == HANJA_FRAME_SYNTHETIC);
    CHECK(sample.frame.seq == sample.seq && sample.frame.generation == sample.generation);
    CHECK(sample.payload_length == sizeof pixels && sample.frame.bytes_used == sizeof pixels);
    CHECK(hanja_tap_copy(tap, pixels, sizeof pixels - 1, &length) == HANJA_TAP_SMALL);
    CHECK(length == sizeof pixels && pixels[1] == 0);
    CHECK(hanja_tap_copy(tap, NULL, sizeof pixels, &length) == HANJA_TAP_ARGUMENT);
    CHECK(hanja_tap_copy(tap, pixels, sizeof pixels, &length) == HANJA_TAP_OK);
    for (size_t i = 0; i < sizeof pixels; i += 4) /* synth's paper: limited-range luma, fixed chroma */
        CHECK(pixels[i] >= 16 && pixels[i] <= 235 && pixels[i + 1] == 126 && pixels[i + 3] == 129);
    /* Too late: eight slots at 30 frames a second. */
    CHECK(hanja_tap_next(tap, 1000, &sample) == HANJA_TAP_OK && sample.torn == 0);
    wait_ms(1000);
    CHECK(hanja_tap_copy(tap, pixels, sizeof pixels, &length) == HANJA_TAP_TORN);
    CHECK(hanja_tap_copy(tap, pixels, sizeof pixels, &length) == HANJA_TAP_ARGUMENT);
    uint64_t late = sample.seq;
    CHECK(hanja_tap_next(tap, 1000, &sample) == HANJA_TAP_OK && sample.torn == 1);
    CHECK(sample.seq > late + 8 && sample.lapped == 0);
    hanja_tap_close(tap);

    tap = open_tap(dir, HANJA_STAGE_CAPTURE, HANJA_TOPIC_FRAMES, HANJA_TAP_IN_ORDER);
    CHECK(hanja_tap_next(tap, -1, &sample) == HANJA_TAP_OK && sample.lapped == 0);
    uint64_t first = sample.seq;
    CHECK(hanja_tap_next(tap, 1000, &sample) == HANJA_TAP_OK && sample.seq == first + 1);
    wait_ms(1000);
    CHECK(hanja_tap_next(tap, 1000, &sample) == HANJA_TAP_OK);
    CHECK(sample.lapped > 0 && sample.seq == first + 2 + sample.lapped);
    hanja_tap_close(tap);
}

static void records(const char *dir)
{
    static unsigned char record[HANJA_MAX_RECORD];
    hanja_tap_sample sample;
    size_t length = 0;
    hanja_tap *tap = open_tap(dir, HANJA_STAGE_DEFAULT, HANJA_TOPIC_DETECTIONS, HANJA_TAP_IN_ORDER);
    hanja_detection_header header;
    hanja_detection found[HANJA_MAX_DETECTIONS];
    CHECK(hanja_tap_next(tap, 10000, &sample) == HANJA_TAP_OK && sample.frame.width == 0);
    CHECK(hanja_tap_copy(tap, record, sizeof record, &length) == HANJA_TAP_OK);
    CHECK(hanja_tap_detections(record, length, &header, found, HANJA_MAX_DETECTIONS) == HANJA_TAP_OK);
    CHECK(header.seq == sample.seq && header.generation == sample.generation);
    CHECK(header.frame_width == 320 && header.backend == 1 && header.count <= HANJA_MAX_DETECTIONS);
    CHECK(header.times.sensor < header.times.detections_published);
    for (uint32_t i = 0; i < header.count; i++)
        CHECK(found[i].x1 < found[i].x2 && found[i].score > 0 && hanja_tap_label(found[i].class_number) != NULL);
    hanja_tap_close(tap);

    for (int stage = HANJA_STAGE_CAPTURE; stage <= HANJA_STAGE_INFER; stage++) {
        hanja_stage_stats stats;
        tap = open_tap(dir, stage, HANJA_TOPIC_STATS, HANJA_TAP_NEWEST);
        CHECK(hanja_tap_next(tap, 10000, &sample) == HANJA_TAP_OK && sample.payload_length >= sizeof stats);
        /* Programs made for ABI 1.0 have room for the head only. */
        CHECK(hanja_tap_copy(tap, &stats, sizeof stats - 1, &length) == HANJA_TAP_SMALL);
        CHECK(length == sample.payload_length);
        CHECK(hanja_tap_copy(tap, record, sizeof stats, &length) == HANJA_TAP_OK && length == sizeof stats);
        CHECK(hanja_tap_stats(record, length, &stats) == HANJA_TAP_OK && stats.stage == stage);
        CHECK(hanja_tap_copy(tap, record, HANJA_MAX_STATS, &length) == HANJA_TAP_OK);
        CHECK(length == sample.payload_length && HANJA_MAX_STATS <= HANJA_MAX_RECORD);
        CHECK(hanja_tap_stats(record, sizeof stats, &stats) == HANJA_TAP_OK);
        CHECK(stats.stage == stage && stats.pid > 0 && stats.what[0] != '\0');
        CHECK(stats.words_len < HANJA_MAX_WORDS && (stats.words_len > 0) == (stage == HANJA_STAGE_INFER));
        CHECK(stats.readers == stats.leases + stats.taps && stats.rss_peak_kib >= stats.rss_kib);
        CHECK(stats.cpu_system_us <= stats.cpu_us && stats.unbalanced_total == 0);
        hanja_histogram histogram;
        uint16_t known = stage == HANJA_STAGE_CAPTURE ? 2 : 6; /* publish, inference */
        CHECK(hanja_tap_histogram(record, length, known, &histogram) == HANJA_TAP_OK && histogram.sum_ns > 0);
        CHECK(hanja_tap_quantile_us(&histogram, 1) >= hanja_tap_quantile_us(&histogram, 0.5));
        CHECK(hanja_tap_histogram(record, length, 9, &histogram) == HANJA_TAP_OK && histogram.sum_ns == 0);
        char words[HANJA_MAX_WORDS];
        CHECK(hanja_tap_words(record, length, words, sizeof words) == HANJA_TAP_OK);
        CHECK(strlen(words) == stats.words_len);
        CHECK(stage != HANJA_STAGE_INFER || strstr(words, "rten; not tensorrt: ") == words);
        CHECK(stats.words_len == 0 || hanja_tap_words(record, length, words, stats.words_len) == HANJA_TAP_SMALL);
        hanja_tap_close(tap);
    }
}

static void restart(const char *dir, pid_t capture)
{
    hanja_tap *tap = open_tap(dir, HANJA_STAGE_DEFAULT, HANJA_TOPIC_FRAMES, HANJA_TAP_IN_ORDER);
    hanja_tap_sample sample;
    CHECK(hanja_tap_next(tap, 10000, &sample) == HANJA_TAP_OK);
    uint64_t generation = sample.generation;
    CHECK(kill(capture, SIGKILL) == 0);
    do
        CHECK(hanja_tap_next(tap, 10000, &sample) == HANJA_TAP_OK);
    while (sample.generation == generation);
    CHECK(sample.generation > generation && sample.seq + sample.lapped >= 1 && sample.seq <= 8 + sample.lapped);
    hanja_tap_close(tap);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "alone") == 0) {
        alone(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "live") == 0) {
        frames(argv[2]);
        records(argv[2]);
    } else if (argc == 4 && strcmp(argv[1], "restart") == 0) {
        restart(argv[2], (pid_t)atoi(argv[3]));
    } else {
        fprintf(stderr, "usage: %s alone|live|restart DIR [PID]\n", argv[0]);
        return 2;
    }
    puts("passed");
    return 0;
}

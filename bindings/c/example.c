/* Prints what the pipeline finds, one line per numeral: number of the frame, label, score, box.
 *
 *     cc -std=c11 example.c $(pkg-config --cflags --libs hanja_tap) -o hanja-example
 *     ./hanja-example --count 10
 */
#include <hanja_tap.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints one record's detections, at most `left` of them; returns how many. */
static unsigned long print(const hanja_detection_header *header, const hanja_detection *found, unsigned long left)
{
    unsigned long printed = 0;
    for (uint32_t i = 0; i < header->count && printed < left; i++, printed++) {
        const hanja_detection *d = &found[i];
        const char *label = hanja_tap_label(d->class_number);
        printf("%" PRIu64 " %s %.2f %.0f,%.0f,%.0f,%.0f\n", header->frame_seq, label ? label : "?", (double)d->score,
               (double)d->x1, (double)d->y1, (double)d->x2, (double)d->y2);
    }
    fflush(stdout);
    return printed;
}

/* Reads records until `count` detections are printed. Returns 0, or the error that ended it. */
static int watch(hanja_tap *tap, unsigned long count)
{
    static unsigned char record[HANJA_MAX_RECORD];
    static hanja_detection found[HANJA_MAX_DETECTIONS];
    hanja_detection_header header;
    hanja_tap_sample sample;
    uint64_t generation = 0;
    while (count > 0) {
        int code = hanja_tap_next(tap, 1000, &sample);
        if (code == HANJA_TAP_TIMEOUT)
            continue;
        if (code == HANJA_TAP_ABSENT) {
            fprintf(stderr, "%s; waiting\n", hanja_tap_last_error());
            continue;
        }
        if (code != HANJA_TAP_OK)
            return code;
        if (generation != 0 && sample.generation != generation)
            fprintf(stderr, "infer has restarted\n");
        generation = sample.generation;
        if (sample.lapped > 0)
            fprintf(stderr, "%" PRIu64 " records missed: this reader is too slow\n", sample.lapped);
        size_t length = 0;
        code = hanja_tap_copy(tap, record, sizeof record, &length);
        if (code == HANJA_TAP_TORN)
            continue;
        if (code == HANJA_TAP_OK)
            code = hanja_tap_detections(record, length, &header, found, HANJA_MAX_DETECTIONS);
        if (code != HANJA_TAP_OK)
            return code;
        count -= print(&header, found, count);
    }
    return HANJA_TAP_OK;
}

int main(int argc, char **argv)
{
    const char *runtime_dir = NULL; /* the same as that of `hanja run` */
    unsigned long count = (unsigned long)-1;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--runtime-dir") == 0) {
            runtime_dir = argv[i + 1];
        } else if (i + 1 < argc && strcmp(argv[i], "--count") == 0) {
            count = strtoul(argv[i + 1], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--count N] [--runtime-dir DIR]\n", argv[0]);
            return 2;
        }
    }
    hanja_tap *tap;
    int code = hanja_tap_open(&tap, runtime_dir, HANJA_STAGE_DEFAULT, HANJA_TOPIC_DETECTIONS, HANJA_TAP_IN_ORDER);
    if (code == HANJA_TAP_OK)
        code = watch(tap, count);
    if (code != HANJA_TAP_OK)
        fprintf(stderr, "%s: %s\n", hanja_tap_strerror(code), hanja_tap_last_error());
    hanja_tap_close(tap);
    return code == HANJA_TAP_OK ? 0 : 1;
}

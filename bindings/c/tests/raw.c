/* Attaches to DIR/capture-tap.sock and reads the newest frame as docs/abi.md says, with the header's structures and
 * without the library: what a reader in another language does. Prints the frame's number. */
#define _GNU_SOURCE
#include <hanja_tap.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* Steps 1 and 2: connect, send one request, receive one reply with one descriptor. */
static int attach(const char *dir, hanja_reply *reply)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(dir) < sizeof address.sun_path - 20);
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/capture-tap.sock", dir);
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(connect(connection, (const struct sockaddr *)&address, sizeof address) == 0);
    hanja_request request = {.abi_major = 1, .topic = HANJA_TOPIC_FRAMES};
    memcpy(&request.magic, "HJRQ", 4);
    CHECK(send(connection, &request, sizeof request, 0) == (ssize_t)sizeof request);

    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {reply, sizeof *reply};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    CHECK(recvmsg(connection, &message, MSG_CMSG_CLOEXEC) == (ssize_t)sizeof *reply);
    CHECK(memcmp(&reply->magic, "HJRP", 4) == 0 && reply->abi_major == 1 && reply->status == 0);
    const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    CHECK(rights != NULL && rights->cmsg_type == SCM_RIGHTS);
    int ring;
    memcpy(&ring, CMSG_DATA(rights), sizeof ring);
    return ring;
}

/* Step 3: check, then map. */
static const unsigned char *map(int ring, const hanja_reply *reply)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    CHECK((fcntl(ring, F_GET_SEALS) & seals) == seals);
    struct stat status;
    CHECK(fstat(ring, &status) == 0 && (uint64_t)status.st_size == reply->total_len);
    const void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, ring, 0);
    CHECK(memory != MAP_FAILED);
    const hanja_ring_header *header = memory;
    CHECK(memcmp(&header->magic, "HANJARNG", 8) == 0 && header->abi_major == 1);
    CHECK(header->header_len == sizeof *header && header->topic == HANJA_TOPIC_FRAMES);
    CHECK(header->slots >= 2 && header->slots <= 128 && header->generation == reply->generation);
    CHECK(header->meta_len == sizeof(hanja_frame_meta) && header->meta_offset == sizeof(hanja_ring_slot));
    CHECK(header->slot_stride >= header->payload_offset + header->payload_capacity);
    CHECK(header->total_len == reply->total_len && header->writer_pid > 0 && header->notify > 0);
    CHECK(header->total_len >= sizeof *header + header->slots * header->slot_stride);
    return memory;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    hanja_reply reply;
    int ring = attach(argv[1], &reply);
    const unsigned char *memory = map(ring, &reply);
    const hanja_ring_header *header = (const void *)memory;
    unsigned char *payload = malloc((size_t)header->payload_capacity);
    CHECK(payload != NULL);
    for (int attempt = 0; attempt < 1000; attempt++) {
        uint64_t state = atomic_load_explicit((const _Atomic uint64_t *)&header->newest, memory_order_acquire);
        uint64_t index = state >> 1 & 127;
        CHECK(state != 0 && index < header->slots && (state & 1) == 0);
        const unsigned char *at = memory + sizeof *header + index * header->slot_stride;
        const hanja_ring_slot *slot = (const void *)at;
        const _Atomic uint64_t *word = (const _Atomic uint64_t *)&slot->state;
        if (atomic_load_explicit(word, memory_order_acquire) != state)
            continue;
        hanja_frame_meta meta;
        uint64_t length = slot->payload_len;
        CHECK(length <= header->payload_capacity);
        /* Plain copies of memory that another process may be writing: what every compiler makes of them is right, if
         * not in the letter of C11, which wants relaxed atomic loads. The check that follows throws torn ones away. */
        memcpy(&meta, at + header->meta_offset, sizeof meta);
        memcpy(payload, at + header->payload_offset, (size_t)length);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(word, memory_order_relaxed) != state)
            continue;
        CHECK(meta.seq == state >> 8 && meta.generation == header->generation && meta.bytes_used == length);
        CHECK(meta.width == 320 && meta.height == 240 && meta.stride == 640 && length == 640 * 240);
        CHECK(meta.t_sensor <= meta.t_published && meta.lost_total == 0);
        CHECK(payload[1] == 126 && payload[3] == 129);
        printf("%llu\n", (unsigned long long)meta.seq);
        free(payload);
        return 0;
    }
    fprintf(stderr, "torn a thousand times\n");
    return 1;
}

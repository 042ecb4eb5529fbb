// The two kernels around the model: the camera's bytes to the input tensor, and the model's rows to candidates.
//
// NVRTC makes hanja.ptx of this file (make_ptx.py, checked by ci/cuda.sh). The same text is also C: the fake driver of
// the tests (fake/libcuda.c) includes it, so that what a GPU would compute is computed, and compared, without one. Hence
// no header, no intrinsic and no device library; and fused multiply-add is off, so that both give the same bits as the
// CPU's path.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef __CUDACC__
#define KERNEL extern "C" __global__ void
#define INLINE static __device__ __forceinline__
#define INDEX_X (blockIdx.x * blockDim.x + threadIdx.x)
#define INDEX_Y (blockIdx.y * blockDim.y + threadIdx.y)
#define TAKE_NUMBER(counter) atomicAdd(counter, 1u)
#else
// Whoever includes this sets the two indices before each call.
static __thread u32 twin_x, twin_y;
#define KERNEL static void
#define INLINE static inline
#define INDEX_X twin_x
#define INDEX_Y twin_y
#define TAKE_NUMBER(counter) ((*(counter))++)
#endif

// Resampling weights along one axis: `width` weights for every output position, at word `weights` of the table, and the
// first input sample they are for, at word `first`.
struct Taps {
    u32 width;
    u32 first;
    u32 weights;
};

// One channel: its first sample is byte `start`; `stride` bytes between lines, `step` between samples.
struct Channel {
    u64 start;
    u32 stride;
    u32 step;
    struct Taps down;
    struct Taps across;
};

// How a picture becomes a tensor. The same as `Geometry` in src/conversion.rs.
struct Geometry {
    u32 net_width, net_height;
    u32 left, top, width, height;
    u32 colour;
    u32 reserved;
    struct Channel channels[3];
};

enum { COLOUR_RGB = 0, COLOUR_LIMITED = 1, COLOUR_FULL = 2, COLOUR_GREY = 3 };

union Bits {
    u32 bits;
    float value;
};

INLINE float of_bits(u32 bits) {
    union Bits b;
    b.bits = bits;
    return b.value;
}

INLINE u32 to_bits(float value) {
    union Bits b;
    b.value = value;
    return b.bits;
}

// To half precision, to the nearest, ties to even.
INLINE u16 to_half(float value) {
    u32 bits = to_bits(value);
    u32 sign = (bits >> 16) & 0x8000u;
    u32 most = bits & 0x7fffffffu;
    u32 shift, kept, rest, middle;
    if (most > 0x7f800000u)
        return (u16)(sign | 0x7e00u);
    if (most >= 0x47800000u)
        return (u16)(sign | 0x7c00u);
    if (most >= 0x38800000u) {
        most -= 0x38000000u;
        shift = 13;
    } else {
        u32 exponent = most >> 23;
        if (exponent < 102u)
            return (u16)sign;
        most = (most & 0x7fffffu) | 0x800000u;
        shift = 126u - exponent;
    }
    kept = most >> shift;
    rest = most & ((1u << shift) - 1u);
    middle = 1u << (shift - 1u);
    if (rest > middle || (rest == middle && (kept & 1u)))
        kept++;
    return (u16)(sign | kept);
}

INLINE float of_half(u16 half) {
    u32 sign = ((u32)half & 0x8000u) << 16;
    u32 rest = half & 0x7fffu;
    float value;
    if (rest >= 0x7c00u)
        return of_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
    if (rest >= 0x400u)
        return of_bits(sign | ((rest << 13) + 0x38000000u));
    value = (float)rest * of_bits(0x33800000u); // subnormal: units of 2^-24
    return sign ? -value : value;
}

// One channel at one position of the picture in the tensor, 0 to 255: blended down, then across, as the CPU does.
INLINE float sample(const u8 *source, const struct Channel *c, const u32 *table, u32 x, u32 y) {
    u32 first_line = table[c->down.first + y], first = table[c->across.first + x];
    const u32 *down = table + c->down.weights + (u64)y * c->down.width;
    const u32 *across = table + c->across.weights + (u64)x * c->across.width;
    float sum = 0.0f;
    u32 i, k;
    for (i = 0; i < c->across.width; i++) {
        const u8 *at = source + c->start + (u64)first_line * c->stride + (u64)(first + i) * c->step;
        float column = 0.0f;
        for (k = 0; k < c->down.width; k++)
            column += of_bits(down[k]) * (float)at[(u64)k * c->stride];
        sum += of_bits(across[i]) * column;
    }
    return sum;
}

INLINE float clamp01(float v) {
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

INLINE void put(void *tensor, u32 half, u64 at, float value) {
    if (half)
        ((u16 *)tensor)[at] = to_half(value);
    else
        ((float *)tensor)[at] = value;
}

// One thread a pixel of the tensor, bars included. `tensor` has 3 planes, f32 or, with `half`, f16.
KERNEL letterbox(const u8 *source, const struct Geometry *g, const u32 *table, void *tensor, u32 half) {
    u32 px = INDEX_X, py = INDEX_Y, x, y;
    u64 area, at;
    float red, green, blue;
    if (px >= g->net_width || py >= g->net_height)
        return;
    area = (u64)g->net_width * g->net_height;
    at = (u64)py * g->net_width + px;
    // Wraps round to something large left of and above the picture.
    x = px - g->left;
    y = py - g->top;
    if (x >= g->width || y >= g->height) {
        red = green = blue = 114.0f / 255.0f;
    } else {
        float a = sample(source, &g->channels[0], table, x, y);
        if (g->colour == COLOUR_GREY) {
            red = green = blue = a * (1.0f / 255.0f);
        } else {
            float b = sample(source, &g->channels[1], table, x, y);
            float c = sample(source, &g->channels[2], table, x, y);
            if (g->colour == COLOUR_RGB) {
                red = a * (1.0f / 255.0f);
                green = b * (1.0f / 255.0f);
                blue = c * (1.0f / 255.0f);
            } else {
                // ITU-R BT.601.
                int limited = g->colour == COLOUR_LIMITED;
                float luma = (a - (limited ? 16.0f : 0.0f)) * (limited ? 1.0f / 219.0f : 1.0f / 255.0f);
                float scale = limited ? 1.0f / 224.0f : 1.0f / 255.0f;
                float cb = (b - 128.0f) * scale, cr = (c - 128.0f) * scale;
                red = clamp01(luma + 1.402f * cr);
                green = clamp01(luma - 0.344136f * cb - 0.714136f * cr);
                blue = clamp01(luma + 1.772f * cb);
            }
        }
    }
    put(tensor, half, at, red);
    put(tensor, half, area + at, green);
    put(tensor, half, 2 * area + at, blue);
}

// A box above the threshold, in input pixels. The same as `Candidate` in src/candidates.rs.
struct Candidate {
    float x1, y1, x2, y2;
    float score;
    u32 class_;
    u32 row;
    u32 reserved;
};

// How many there are, then the candidates in no order. The host sets `count` to 0 first.
struct Found {
    u32 count;
    u32 reserved[7];
    struct Candidate list[1];
};

INLINE float value_at(const void *rows, u32 half, u64 at) {
    return half ? of_half(((const u16 *)rows)[at]) : ((const float *)rows)[at];
}

INLINE int is_finite(float v) {
    return (to_bits(v) & 0x7f800000u) != 0x7f800000u;
}

// Order of all floats, NaN included, as IEEE 754's totalOrder.
INLINE int order(float v) {
    u32 bits = to_bits(v);
    return (int)((bits & 0x80000000u) ? bits ^ 0x7fffffffu : bits);
}

// One thread a row of (centre x, centre y, width, height, objectness, class scores...). Keeps the rows whose objectness
// times best class reaches `conf`; `most` is the room in `found`, and `count` counts on beyond it.
KERNEL filter(const void *rows, u32 count, u32 columns, u32 half, float conf, u32 most, struct Found *found) {
    u32 row = INDEX_X, class_, best, number;
    u64 at = (u64)row * columns;
    float objectness, cx, cy, w, h, score;
    struct Candidate *out;
    if (row >= count || columns < 6)
        return;
    objectness = value_at(rows, half, at + 4);
    if (!(objectness >= conf))
        return;
    best = 0;
    for (class_ = 1; class_ < columns - 5; class_++)
        if (order(value_at(rows, half, at + 5 + class_)) > order(value_at(rows, half, at + 5 + best)))
            best = class_;
    score = objectness * value_at(rows, half, at + 5 + best);
    if (!(score >= conf))
        return;
    cx = value_at(rows, half, at);
    cy = value_at(rows, half, at + 1);
    w = value_at(rows, half, at + 2);
    h = value_at(rows, half, at + 3);
    if (!is_finite(cx) || !is_finite(cy) || !is_finite(w) || !is_finite(h) || w <= 0.0f || h <= 0.0f)
        return;
    number = TAKE_NUMBER(&found->count);
    if (number >= most)
        return;
    out = &found->list[number];
    out->x1 = cx - w * 0.5f;
    out->y1 = cy - h * 0.5f;
    out->x2 = out->x1 + w;
    out->y2 = out->y1 + h;
    out->score = score > 1.0f ? 1.0f : score;
    out->class_ = best;
    out->row = row;
    out->reserved = 0;
}

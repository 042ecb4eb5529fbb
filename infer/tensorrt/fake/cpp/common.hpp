// What the stand-ins for TensorRT share: the model that they "run", the plan that they "build", failures on demand.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

// Supplied by the test: the output's size for an input of 1 x 3 x height x width floats, and the output itself.
extern "C" void fake_model_shape(int64_t height, int64_t width, int64_t* rows, int64_t* columns);
extern "C" void fake_model_run(void* stream, float const* input, int64_t height, int64_t width, float* output,
    int64_t rows, int64_t columns);

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace fake
{
constexpr char const* INPUT = "images";
constexpr char const* OUTPUT = "output0";
constexpr char const* MAGIC = "HANJA FAKE PLAN";
constexpr char const* CACHE = "HANJA FAKE CACHE";

[[noreturn]] inline void trap(char const* what)
{
    fprintf(stderr, "fake TensorRT: %s must not be called\n", what);
    abort();
}

struct Shape
{
    int32_t count;
    int64_t size[8];
};

// Whether `word` is in the model's or the plan's own words, or in the environment's.
inline bool wanted(std::string const& words, char const* word)
{
    char const* more = getenv("HANJA_FAKE_TRT");
    std::string const all = " " + words + " " + (more ? more : "") + " ";
    return all.find(" " + std::string(word) + " ") != std::string::npos;
}

// A plan: magic, version, height, width, words. A height of -1 leaves the size to the context.
struct Plan
{
    long version = 0;
    long height = -1;
    long width = -1;
    std::string words;

    std::string write() const
    {
        return std::string(MAGIC) + "\n" + std::to_string(version) + " " + std::to_string(height) + " "
            + std::to_string(width) + "\n" + words + "\n";
    }

    // Empty on success, else why not.
    std::string read(void const* bytes, size_t size, long own)
    {
        std::string const text(static_cast<char const*>(bytes), bytes ? size : 0);
        if (text.compare(0, strlen(MAGIC), MAGIC) != 0)
            return "Serialization assertion magicTag == kMAGIC_TAG failed (fake)";
        if (sscanf(text.c_str() + strlen(MAGIC), "%ld %ld %ld", &version, &height, &width) != 3)
            return "the plan is truncated (fake)";
        if (version != own)
            return "the plan is of version " + std::to_string(version) + ", this is " + std::to_string(own) + " (fake)";
        size_t const line = text.find('\n', strlen(MAGIC) + 1);
        size_t const end = line == std::string::npos ? line : text.find('\n', line + 1);
        if (end == std::string::npos)
            return "the plan is truncated (fake)";
        words = text.substr(line + 1, end - line - 1);
        return "";
    }
};

// The two tensors, for an input of this size.
inline Shape shape_of(bool input, int64_t height, int64_t width)
{
    if (input)
        return {4, {1, 3, height, width}};
    int64_t rows = -1, columns = -1;
    if (height > 0 && width > 0)
        fake_model_shape(height, width, &rows, &columns);
    return {3, {1, rows, columns}};
}

// TensorRT's number of a tensor's layout: kLINEAR, or kCHW16 where the plan's words want it.
inline int32_t format_of(bool input, std::string const& words)
{
    return wanted(words, input ? "input-chw16" : "output-chw16") ? 4 : 0;
}

inline void run(void* stream, void const* input, void* output, int64_t height, int64_t width)
{
    int64_t rows = 0, columns = 0;
    fake_model_shape(height, width, &rows, &columns);
    fake_model_run(stream, static_cast<float const*>(input), height, width, static_cast<float*>(output), rows, columns);
}

// The words of a model: what follows "FAKE:" in it, up to the end of the line.
inline std::string words_of(char const* onnx, size_t size)
{
    std::string const text(onnx, size);
    size_t const at = text.find("FAKE:");
    return at == std::string::npos ? "" : text.substr(at + 5, text.find('\n', at) - at - 5);
}

// As the real library: the first logger that it is given is the one that it speaks to.
template <class Logger>
Logger* first(Logger* logger)
{
    static Logger* const kept = logger;
    return kept;
}

inline void pause_of_step(int steps)
{
    char const* total = getenv("HANJA_FAKE_TRT_BUILD_MS");
    if (total)
        std::this_thread::sleep_for(std::chrono::milliseconds(atol(total) / steps));
}

// Living objects: 0 after everything was deleted. One count per library, its parser's own apart.
inline std::atomic<int>& live()
{
    static std::atomic<int> count{0};
    return count;
}
} // namespace fake

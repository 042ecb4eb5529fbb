// A stand-in for NVIDIA's ONNX parser, compiled from its header like modern.cpp.
#include "NvOnnxParser.h"
#include "common.hpp"
#include "stubs.hpp"

extern "C" void fake_network_parsed(void* network, char const* words);

namespace
{
struct Error : nvonnxparser::StubIParserError
{
    char const* desc() const noexcept override { return "No importer registered for op: Fake"; }
    int node() const noexcept override { return 3; }
    char const* nodeName() const noexcept override { return "/model.0/conv/Conv"; }
};

struct Parser : nvonnxparser::StubIParser
{
    void* network;
    int errors = 0;
    Error error;
    explicit Parser(void* n)
        : network(n)
    {
        ++fake::live();
    }
    ~Parser() noexcept override { --fake::live(); }
    bool parse(void const* onnx, size_t size, char const* path) noexcept override
    {
        if (path)
            fake::trap("parse with a path");
        // A model begins with its IR version, field 1 of the protobuf.
        std::string const words = fake::words_of(static_cast<char const*>(onnx), size);
        if (size < 2 || *static_cast<char const*>(onnx) != 8 || fake::wanted(words, "parse"))
            return errors = 1, false;
        fake_network_parsed(network, words.c_str());
        return true;
    }
    int getNbErrors() const noexcept override { return errors; }
    nvonnxparser::IParserError const* getError(int index) const noexcept override
    {
        return index < errors ? &error : nullptr;
    }
};
} // namespace

EXPORT int getNvOnnxParserVersion() noexcept { return NV_ONNX_PARSER_VERSION; }
EXPORT int fake_live() { return fake::live(); }
EXPORT void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version) noexcept
{
    if (!logger || version != NV_ONNX_PARSER_VERSION)
        return nullptr;
    return static_cast<nvonnxparser::IParser*>(new Parser(network));
}

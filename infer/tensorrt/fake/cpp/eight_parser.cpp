// A stand-in for NVIDIA's ONNX parser of TensorRT 8, filled by slot number like eight.cpp.
#include "eight.hpp"

extern "C" void fake_network_parsed(void* network, char const* words);

namespace
{
// The parser's classes have no implementation behind them: the table is the object's own.
struct Error
{
    Function const* table;
};
char const* error_desc(Error*) { return "No importer registered for op: Fake"; }
int error_node(Error*) { return 3; }

struct Parser
{
    Function const* table;
    void* network;
    int errors = 0;
    Error error;
};
bool parser_parse(Parser* p, void const* onnx, size_t size, char const* path)
{
    if (path)
        fake::trap("parse with a path");
    std::string const words = fake::words_of(static_cast<char const*>(onnx), size);
    if (size < 2 || *static_cast<char const*>(onnx) != 8 || fake::wanted(words, "parse"))
        return p->errors = 1, false;
    fake_network_parsed(p->network, words.c_str());
    return true;
}
int parser_errors(Parser* p) { return p->errors; }
void* parser_error(Parser* p, int index) { return index < p->errors ? &p->error : nullptr; }
void parser_delete(Parser* p)
{
    delete p;
    --fake::live();
}
} // namespace

EXPORT int getNvOnnxParserVersion() { return 100; }
EXPORT int fake_live() { return fake::live(); }
EXPORT void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version)
{
    static Table const error("IParserError", {{SLOT_IParserError_desc, entry(error_desc)},
        {SLOT_IParserError_node, entry(error_node)}});
    static Table const table("IParser", {{SLOT_IParser_parse, entry(parser_parse)},
        {SLOT_IParser_getNbErrors, entry(parser_errors)}, {SLOT_IParser_getError, entry(parser_error)},
        {SLOT_IParser_delete_IParser, entry(parser_delete)}});
    if (!logger || version != 100)
        return nullptr;
    ++fake::live();
    return new Parser{table.slots, network, 0, {error.slots}};
}

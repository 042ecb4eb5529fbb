// A stand-in for libnvinfer of TensorRT 8. There are no headers to compile: its tables of methods are filled by slot
// number (SLOT_*), from the very table of the crate that it tests. Calls and their arguments are checked, slots are not.
#include "eight.hpp"

using fake::Plan;
using fake::Shape;

namespace
{
int32_t const VERSION = FAKE_VERSION;

struct Memory : Implementation
{
    std::string bytes;
};
void* memory_data(Memory* m) { return const_cast<char*>(m->bytes.data()); }
size_t memory_size(Memory* m) { return m->bytes.size(); }
Object* memory(std::string bytes)
{
    static Table const table("VHostMemory", {{SLOT_VHostMemory_data, entry(memory_data)},
        {SLOT_VHostMemory_size, entry(memory_size)}});
    return make<Memory>(table, [&](Memory& m) { m.bytes = std::move(bytes); });
}

struct Context : Implementation
{
    Logger* logger;
    Plan plan;
    void* address[2] = {};
};

bool is_input(char const* name) { return strcmp(name, fake::INPUT) == 0; }
bool run(Context* c, void* stream, void* input, void* output)
{
    if (!input || !output || c->plan.height <= 0 || fake::wanted(c->plan.words, "enqueue"))
        return complain(c->logger, "enqueue: not all is set, or a failure was asked for (fake)"), false;
    fake::run(stream, input, output, c->plan.height, c->plan.width);
    return true;
}
bool set_shape(Context* c, Dims const& shape)
{
    bool const fits = shape.count == 4 && shape.size[0] == 1 && shape.size[1] == 3;
    if (!fits || (c->plan.height > 0 && (shape.size[2] != c->plan.height || shape.size[3] != c->plan.width)))
        return complain(c->logger, "the shape does not fit the profile (fake)"), false;
    c->plan.height = shape.size[2];
    c->plan.width = shape.size[3];
    return true;
}
bool context_enqueue_v2(Context* c, void* const* bindings, void* stream, void* event)
{
    if (event)
        fake::trap("enqueueV2 with an event");
    return run(c, stream, bindings[0], bindings[1]);
}
bool context_set_binding(Context* c, int32_t index, Dims shape) { return index == 0 && set_shape(c, shape); }
Dims context_binding(Context* c, int32_t index)
{
    return dims(fake::shape_of(index == 0, c->plan.height, c->plan.width));
}
bool context_set_address(Context* c, char const* name, void* data)
{
    c->address[is_input(name) ? 0 : 1] = data;
    return is_input(name) || strcmp(name, fake::OUTPUT) == 0;
}
bool context_enqueue_v3(Context* c, void* stream) { return run(c, stream, c->address[0], c->address[1]); }
bool context_set_shape(Context* c, char const* name, Dims const* shape) { return is_input(name) && set_shape(c, *shape); }
Dims context_shape(Context* c, char const* name)
{
    return dims(fake::shape_of(is_input(name), c->plan.height, c->plan.width));
}

struct Engine : Implementation
{
    Logger* logger;
    Plan plan;
};
void* engine_context(Engine* e)
{
    static Table const table("VExecutionContext", {
        {SLOT_VExecutionContext_setBindingDimensions, entry(context_set_binding)},
        {SLOT_VExecutionContext_getBindingDimensions, entry(context_binding)},
#ifdef SLOT_VExecutionContext_enqueueV3
        // As the product shall: names where there are names.
        {SLOT_VExecutionContext_setTensorAddress, entry(context_set_address)},
        {SLOT_VExecutionContext_setInputShape, entry(context_set_shape)},
        {SLOT_VExecutionContext_getTensorShape, entry(context_shape)},
        {SLOT_VExecutionContext_enqueueV3, entry(context_enqueue_v3)},
#else
        {SLOT_VExecutionContext_enqueueV2, entry(context_enqueue_v2)},
#endif
    });
    if (fake::wanted(e->plan.words, "context"))
        return complain(e->logger, "Cuda Runtime (out of memory) (fake)"), nullptr;
    return make<Context>(table, [&](Context& c) { c.logger = e->logger, c.plan = e->plan; });
}
int32_t engine_count(Engine*) { return 2; }
char const* engine_name(Engine*, int32_t index) { return index == 0 ? fake::INPUT : fake::OUTPUT; }
bool engine_is_input(Engine*, int32_t index) { return index == 0; }
Dims engine_dims(Engine* e, int32_t index)
{
    return dims(fake::shape_of(index == 0, e->plan.height, e->plan.width));
}
int32_t engine_type(Engine*, int32_t) { return 0; }
int32_t engine_mode(Engine*, char const* name) { return is_input(name) ? 1 : 2; }
Dims engine_shape(Engine* e, char const* name)
{
    return dims(fake::shape_of(is_input(name), e->plan.height, e->plan.width));
}
int32_t engine_named_type(Engine*, char const*) { return 0; }
int32_t engine_format(Engine* e, int32_t index) { return fake::format_of(index == 0, e->plan.words); }
int32_t engine_named_format(Engine* e, char const* name) { return fake::format_of(is_input(name), e->plan.words); }

struct Runtime : Implementation
{
    Logger* logger;
};
void* runtime_deserialize(Runtime* r, void const* blob, size_t size, void* factory)
{
    static Table const table("VCudaEngine", {
        {SLOT_VCudaEngine_createExecutionContext, entry(engine_context)},
#ifdef SLOT_VCudaEngine_getNbIOTensors
        {SLOT_VCudaEngine_getNbIOTensors, entry(engine_count)},
        {SLOT_VCudaEngine_getIOTensorName, entry(engine_name)},
        {SLOT_VCudaEngine_getTensorIOMode, entry(engine_mode)},
        {SLOT_VCudaEngine_getTensorShape, entry(engine_shape)},
        {SLOT_VCudaEngine_getTensorDataType, entry(engine_named_type)},
        {SLOT_VCudaEngine_getTensorFormat, entry(engine_named_format)},
#else
        {SLOT_VCudaEngine_getNbBindings, entry(engine_count)},
        {SLOT_VCudaEngine_getBindingName, entry(engine_name)},
        {SLOT_VCudaEngine_bindingIsInput, entry(engine_is_input)},
        {SLOT_VCudaEngine_getBindingDimensions, entry(engine_dims)},
        {SLOT_VCudaEngine_getBindingDataType, entry(engine_type)},
        {SLOT_VCudaEngine_getBindingFormat, entry(engine_format)},
#endif
    });
    if (factory)
        fake::trap("deserializeCudaEngine with a plugin factory");
    Plan plan;
    std::string why = plan.read(blob, size, VERSION);
    if (why.empty() && fake::wanted(plan.words, "deserialize"))
        why = "a failure was asked for (fake)";
    if (!why.empty())
        return complain(r->logger, "deserializeCudaEngine: Error Code 1: " + why), nullptr;
    return make<Engine>(table, [&](Engine& e) { e.logger = r->logger, e.plan = plan; });
}

struct Cache : Implementation
{
    std::string bytes;
};
void* cache_serialize(Cache* c) { return memory(c->bytes); }

struct Config : Implementation
{
    Logger* logger;
    std::string words;
    Object* cache = nullptr;
};
void config_flag(Config* c, int32_t flag)
{
    if (flag != 0)
        fake::trap("another flag than kFP16");
    c->words += " fp16";
}
void config_workspace(Config* c, size_t size) { c->words += " workspace=" + std::to_string(size); }
void config_pool(Config* c, int32_t pool, size_t size)
{
    if (pool != 0)
        fake::trap("another pool than kWORKSPACE");
    config_workspace(c, size);
}
void* config_create_cache(Config*, char const* blob, size_t size)
{
    static Table const table("VTimingCache", {{SLOT_VTimingCache_serialize, entry(cache_serialize)}});
    return make<Cache>(table, [&](Cache& c) { c.bytes.assign(blob ? blob : "", size); });
}
bool config_set_cache(Config* c, Object* given, bool ignore)
{
    Cache* cache = of<Cache>(given);
    if (ignore || (!cache->bytes.empty() && cache->bytes.compare(0, strlen(fake::CACHE), fake::CACHE) != 0))
        return complain(c->logger, "the timing cache is of another device (fake)"), false;
    c->cache = given;
    return true;
}
void* config_get_cache(Config* c) { return c->cache; }

struct Builder : Implementation
{
    Logger* logger;
};
bool builder_fp16(Builder*) { return true; }
void* builder_config(Builder* b)
{
    static Table const table("VBuilderConfig", {{SLOT_VBuilderConfig_setFlag, entry(config_flag)},
#ifdef SLOT_VBuilderConfig_setMemoryPoolLimit
        {SLOT_VBuilderConfig_setMemoryPoolLimit, entry(config_pool)},
#else
        {SLOT_VBuilderConfig_setMaxWorkspaceSize, entry(config_workspace)},
#endif
        {SLOT_VBuilderConfig_createTimingCache, entry(config_create_cache)},
        {SLOT_VBuilderConfig_setTimingCache, entry(config_set_cache)},
        {SLOT_VBuilderConfig_getTimingCache, entry(config_get_cache)}});
    return make<Config>(table, [&](Config& c) { c.logger = b->logger; });
}

struct Tensor : Implementation
{
    Dims shape = {4, {1, 3, -1, -1}};
};
char const* tensor_name(Tensor*) { return fake::INPUT; }
Dims tensor_dims(Tensor* t) { return t->shape; }
void tensor_set(Tensor* t, Dims shape) { t->shape = shape; }

struct Network : Implementation
{
    Tensor tensor;
    Object input;
    bool parsed = false;
    std::string words;
};
int32_t network_inputs(Network* n) { return n->parsed ? 1 : 0; }
void* network_input(Network* n, int32_t) { return &n->input; }
void* builder_network(Builder*, uint32_t flags)
{
    static Table const tensor("VTensor", {{SLOT_VTensor_getName, entry(tensor_name)},
        {SLOT_VTensor_getDimensions, entry(tensor_dims)}, {SLOT_VTensor_setDimensions, entry(tensor_set)}});
    static Table const table("VNetworkDefinition", {{SLOT_VNetworkDefinition_getNbInputs, entry(network_inputs)},
        {SLOT_VNetworkDefinition_getInput, entry(network_input)}});
    if (flags != 1)
        fake::trap("createNetworkV2 without kEXPLICIT_BATCH");
    return make<Network>(table, [&](Network& n) {
        n.tensor.table = tensor.slots;
        n.input = {nullptr, &n.tensor, nullptr};
    });
}
void* builder_build(Builder* b, Object* n, Object* c)
{
    Network* network = of<Network>(n);
    Config* config = of<Config>(c);
    Dims const shape = network->tensor.shape;
    if (!network->parsed || shape.size[2] < 1 || shape.size[3] < 1 || fake::wanted(network->words, "build"))
        return complain(b->logger, "Error Code 4: the input has no shape, or a failure was asked for (fake)"), nullptr;
    fake::pause_of_step(1);
    if (config->cache)
    {
        std::string& bytes = of<Cache>(config->cache)->bytes;
        bytes = (bytes.empty() ? fake::CACHE : bytes) + std::string(" +1");
    }
    Plan plan;
    plan.version = VERSION;
    plan.height = shape.size[2];
    plan.width = shape.size[3];
    plan.words = network->words + config->words;
    return memory(plan.write());
}
} // namespace

EXPORT int32_t getInferLibVersion() { return VERSION; }
EXPORT int fake_live() { return fake::live(); }
EXPORT void* createInferRuntime_INTERNAL(void* logger, int32_t version)
{
    static Table const table("VRuntime", {{SLOT_VRuntime_deserializeCudaEngine, entry(runtime_deserialize)}});
    if (version != VERSION)
        return nullptr;
    return make<Runtime>(table, [&](Runtime& r) { r.logger = fake::first(static_cast<Logger*>(logger)); });
}
EXPORT void* createInferBuilder_INTERNAL(void* logger, int32_t version)
{
    static Table const table("VBuilder", {{SLOT_VBuilder_createBuilderConfig, entry(builder_config)},
        {SLOT_VBuilder_createNetworkV2, entry(builder_network)},
        {SLOT_VBuilder_buildSerializedNetwork, entry(builder_build)},
        {SLOT_VBuilder_platformHasFastFp16, entry(builder_fp16)}});
    if (version != VERSION)
        return nullptr;
    return make<Builder>(table, [&](Builder& b) { b.logger = fake::first(static_cast<Logger*>(logger)); });
}
EXPORT void fake_network_parsed(void* network, char const* words)
{
    of<Network>(static_cast<Object*>(network))->parsed = true;
    of<Network>(static_cast<Object*>(network))->words = words;
}

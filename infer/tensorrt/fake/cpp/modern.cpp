// A stand-in for libnvinfer of TensorRT 10, 11 and TensorRT-RTX, compiled from NVIDIA's headers: the compiler lays out
// the tables of virtual methods, and every method that is not overridden here ends the process (stubs.hpp).
#include "NvInfer.h"
#include "common.hpp"
#include "stubs.hpp"

using namespace nvinfer1;
using fake::Plan;
using fake::Shape;

namespace
{
int32_t const VERSION = FAKE_VERSION;

Dims dims(Shape const& shape)
{
    Dims out{};
    out.nbDims = shape.count;
    for (int i = 0; i < shape.count; ++i)
        out.d[i] = shape.size[i];
    return out;
}

// Errors come from a thread of the library's own, as they may.
void complain(ILogger& logger, std::string const& text)
{
    std::thread([&] { logger.log(ILogger::Severity::kERROR, text.c_str()); }).join();
}

template <class Public, class Implementation>
struct Object : Public
{
    Implementation implementation;
    template <class... A>
    explicit Object(A&&... a)
        : implementation(std::forward<A>(a)...)
    {
        this->mImpl = &implementation;
        ++fake::live();
    }
    ~Object() noexcept override
    {
        --fake::live();
    }
};

struct Memory : apiv::StubVHostMemory
{
    std::string bytes;
    explicit Memory(std::string b)
        : bytes(std::move(b))
    {
    }
    void* data() const noexcept override { return const_cast<char*>(bytes.data()); }
    std::size_t size() const noexcept override { return bytes.size(); }
};
using HostMemory = Object<IHostMemory, Memory>;

bool is_input(char const* name) { return strcmp(name, fake::INPUT) == 0; }
bool is_output(char const* name) { return strcmp(name, fake::OUTPUT) == 0; }

struct Context : apiv::StubVExecutionContext
{
    ILogger& logger;
    Plan plan;
    void* input = nullptr;
    void* output = nullptr;
    Context(ILogger& l, Plan const& p)
        : logger(l)
        , plan(p)
    {
    }
    bool setTensorAddress(char const* name, void* data) noexcept override
    {
        if (!is_input(name) && !is_output(name))
            return complain(logger, std::string("no tensor ") + name), false;
        (is_input(name) ? input : output) = data;
        return true;
    }
    bool setInputShape(char const* name, Dims const& shape) noexcept override
    {
        bool const fits = is_input(name) && shape.nbDims == 4 && shape.d[0] == 1 && shape.d[1] == 3;
        if (!fits || (plan.height > 0 && (shape.d[2] != plan.height || shape.d[3] != plan.width)))
            return complain(logger, "the shape does not fit the profile (fake)"), false;
        plan.height = shape.d[2];
        plan.width = shape.d[3];
        return true;
    }
    Dims getTensorShape(char const* name) const noexcept override
    {
        if (!is_input(name) && !is_output(name))
            return dims({-1, {}});
        return dims(fake::shape_of(is_input(name), plan.height, plan.width));
    }
    bool enqueueV3(cudaStream_t stream) noexcept override
    {
        if (!input || !output || plan.height <= 0 || fake::wanted(plan.words, "enqueue"))
            return complain(logger, "enqueueV3: not all is set, or a failure was asked for (fake)"), false;
        fake::run(stream, input, output, plan.height, plan.width);
        return true;
    }
};

struct Engine : apiv::StubVCudaEngine
{
    ILogger& logger;
    Plan plan;
    Engine(ILogger& l, Plan const& p)
        : logger(l)
        , plan(p)
    {
    }
    IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override
    {
        if (strategy != ExecutionContextAllocationStrategy::kSTATIC)
            fake::trap("another strategy than kSTATIC");
        if (fake::wanted(plan.words, "context"))
            return complain(logger, "Cuda Runtime (out of memory) (fake)"), nullptr;
        return new Object<IExecutionContext, Context>(logger, plan);
    }
    int32_t getNbIOTensors() const noexcept override { return 2; }
    char const* getIOTensorName(int32_t index) const noexcept override
    {
        return index == 0 ? fake::INPUT : index == 1 ? fake::OUTPUT : nullptr;
    }
    TensorIOMode getTensorIOMode(char const* name) const noexcept override
    {
        return is_input(name) ? TensorIOMode::kINPUT : is_output(name) ? TensorIOMode::kOUTPUT : TensorIOMode::kNONE;
    }
    Dims getTensorShape(char const* name) const noexcept override
    {
        return dims(fake::shape_of(is_input(name), plan.height, plan.width));
    }
    DataType getTensorDataType(char const*) const noexcept override { return DataType::kFLOAT; }
    TensorFormat getTensorFormat(char const* name) const noexcept override
    {
        return static_cast<TensorFormat>(fake::format_of(is_input(name), plan.words));
    }
};

struct Runtime : apiv::StubVRuntime
{
    ILogger& logger;
    explicit Runtime(ILogger& l)
        : logger(l)
    {
    }
    ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override
    {
        Plan plan;
        std::string why = plan.read(blob, size, VERSION);
        if (why.empty() && fake::wanted(plan.words, "deserialize"))
            why = "a failure was asked for (fake)";
        if (!why.empty())
            return complain(logger, "IRuntime::deserializeCudaEngine: Error Code 1: " + why), nullptr;
        return new Object<ICudaEngine, Engine>(logger, plan);
    }
};

struct Tensor : apiv::StubVTensor
{
    Dims shape = dims({4, {1, 3, -1, -1}});
    char const* getName() const noexcept override { return fake::INPUT; }
    Dims getDimensions() const noexcept override { return shape; }
    void setDimensions(Dims const& to) noexcept override { shape = to; }
};

struct Network : apiv::StubVNetworkDefinition
{
    Object<ITensor, Tensor> input;
    bool parsed = false;
    std::string words;
    int32_t getNbInputs() const noexcept override { return parsed ? 1 : 0; }
    ITensor* getInput(int32_t index) const noexcept override
    {
        return index == 0 ? const_cast<Object<ITensor, Tensor>*>(&input) : nullptr;
    }
};
using NetworkObject = Object<INetworkDefinition, Network>;

struct Cache : apiv::StubVTimingCache
{
    std::string bytes;
    explicit Cache(std::string b)
        : bytes(std::move(b))
    {
    }
    IHostMemory* serialize() const noexcept override { return new HostMemory(bytes); }
};
using CacheObject = Object<ITimingCache, Cache>;

struct Config : apiv::StubVBuilderConfig
{
    ILogger& logger;
    std::string words;
    CacheObject* cache = nullptr;
    IProgressMonitor* monitor = nullptr;
    explicit Config(ILogger& l)
        : logger(l)
    {
    }
#if FAKE_MAJOR == 10
    void setFlag(BuilderFlag flag) noexcept override
    {
        if (flag != BuilderFlag::kFP16)
            fake::trap("another flag than kFP16");
        words += " fp16";
    }
#endif
    void setMemoryPoolLimit(MemoryPoolType pool, std::size_t size) noexcept override
    {
        if (pool != MemoryPoolType::kWORKSPACE)
            fake::trap("another pool than kWORKSPACE");
        words += " workspace=" + std::to_string(size);
    }
    void setProgressMonitor(IProgressMonitor* to) noexcept override { monitor = to; }
    ITimingCache* createTimingCache(void const* blob, std::size_t size) const noexcept override
    {
        return new CacheObject(std::string(static_cast<char const*>(blob ? blob : ""), size));
    }
    bool setTimingCache(ITimingCache const& to, bool ignore) noexcept override
    {
        auto& given = const_cast<CacheObject&>(static_cast<CacheObject const&>(to));
        std::string& bytes = given.implementation.bytes;
        if (ignore || (!bytes.empty() && bytes.compare(0, strlen(fake::CACHE), fake::CACHE) != 0))
            return complain(logger, "the timing cache is of another device (fake)"), false;
        cache = &given;
        return true;
    }
    ITimingCache const* getTimingCache() const noexcept override { return cache; }
#if FAKE_RTX
    bool setNbComputeCapabilities(int32_t count) noexcept override { return count == 1; }
    bool setComputeCapability(ComputeCapability capability, int32_t index) noexcept override
    {
        words += " card=" + std::to_string(static_cast<int32_t>(capability));
        return index == 0 && capability >= ComputeCapability::kSM75;
    }
#endif
};
using ConfigObject = Object<IBuilderConfig, Config>;

struct Builder : apiv::StubVBuilder
{
    ILogger& logger;
    explicit Builder(ILogger& l)
        : logger(l)
    {
    }
#if FAKE_MAJOR == 10
    bool platformHasFastFp16() const noexcept override { return true; }
#endif
    IBuilderConfig* createBuilderConfig() noexcept override { return new ConfigObject(logger); }
    INetworkDefinition* createNetworkV2(NetworkDefinitionCreationFlags flags) noexcept override
    {
        if (flags != 0)
            fake::trap("createNetworkV2 with flags");
        return new NetworkObject();
    }
    IHostMemory* buildSerializedNetwork(INetworkDefinition& n, IBuilderConfig& c) noexcept override
    {
        Network& network = static_cast<NetworkObject&>(n).implementation;
        Config& config = static_cast<ConfigObject&>(c).implementation;
        Dims const shape = network.input.implementation.shape;
        if (!network.parsed || shape.d[2] < 1 || shape.d[3] < 1 || fake::wanted(network.words, "build"))
            return complain(logger, "Error Code 4: the input has no shape, or a failure was asked for (fake)"), nullptr;
        int const steps = 10;
        if (config.monitor)
            config.monitor->phaseStart("Building Engine", nullptr, steps);
        bool go_on = true;
        for (int step = 0; step < steps && go_on; ++step)
        {
            fake::pause_of_step(steps);
            // From another thread, as TensorRT does it.
            if (config.monitor)
                std::thread([&] { go_on = config.monitor->stepComplete("Building Engine", step); }).join();
        }
        if (config.monitor)
            config.monitor->phaseFinish("Building Engine");
        if (!go_on)
            return complain(logger, "the build was cancelled (fake)"), nullptr;
        if (config.cache)
        {
            std::string& bytes = config.cache->implementation.bytes;
            bytes = (bytes.empty() ? fake::CACHE : bytes) + std::string(" +1");
        }
        Plan plan;
        plan.version = VERSION;
        plan.height = shape.d[2];
        plan.width = shape.d[3];
        plan.words = network.words + config.words;
        return new HostMemory(plan.write());
    }
};
} // namespace

EXPORT int32_t getInferLibVersion() noexcept { return VERSION; }
EXPORT int fake_live() { return fake::live(); }
EXPORT void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept
{
    if (version != VERSION)
        return nullptr;
    return static_cast<IRuntime*>(new Object<IRuntime, Runtime>(*fake::first(static_cast<ILogger*>(logger))));
}
EXPORT void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept
{
    if (version != VERSION)
        return nullptr;
    return static_cast<IBuilder*>(new Object<IBuilder, Builder>(*fake::first(static_cast<ILogger*>(logger))));
}
// For the parser's library.
EXPORT void fake_network_parsed(void* network, char const* words)
{
    Network& to = static_cast<NetworkObject*>(static_cast<INetworkDefinition*>(network))->implementation;
    to.parsed = true;
    to.words = words;
}

// Asks an installed NvInfer.h and NvOnnxParser.h where their methods stand: every method is called as a user of the
// headers calls it, on objects whose tables hold recorders in place of methods. Which recorder runs is the slot; that it
// runs at all shows where the implementation's address is.
#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

using namespace nvinfer1;

namespace
{
int last = -1;

template <int N>
long record()
{
    last = N;
    return 0;
}

constexpr int MOST = 160;
using Function = long (*)();
struct Table
{
    // As in a real table, what is in front of the methods may be read.
    Function before[2];
    Function slots[MOST];
};
template <int... N>
Table fill(std::integer_sequence<int, N...>)
{
    return {{nullptr, nullptr}, {record<N>...}};
}
Table table = fill(std::make_integer_sequence<int, MOST>());

// Two tables with the same recorders: a call on the object itself must not pass for one on its implementation.
template <int N>
long own()
{
    last = 1000 + N;
    return 0;
}
template <int... N>
Table fill_own(std::integer_sequence<int, N...>)
{
    return {{nullptr, nullptr}, {own<N>...}};
}
Table own_table = fill_own(std::make_integer_sequence<int, MOST>());

struct Implementation
{
    Function* table;
    void* more[16];
};
struct Public
{
    Function* table;
    Implementation* implementation;
    void* more[16];
};
Implementation implementation{table.slots, {}};
Public object{own_table.slots, &implementation, {}};

template <class T>
T& fake()
{
    // Through a volatile, so that the compiler knows nothing of the object.
    void* volatile address = &object;
    return *static_cast<T*>(address);
}

void slot(char const* cls, char const* method)
{
    std::printf("slot %s %s %d\n", cls, method, last);
    last = -1;
}

#define PROBE(cls, method, call)                                                                                        \
    call;                                                                                                              \
    slot(cls, method)

void runtime_side()
{
    PROBE("VRuntime", "deserializeCudaEngine", fake<IRuntime>().deserializeCudaEngine("", 0));
    auto& engine = fake<ICudaEngine>();
    PROBE("VCudaEngine", "createExecutionContext", engine.createExecutionContext());
    auto& context = fake<IExecutionContext>();
    std::printf("fact kLINEAR %d\n", static_cast<int>(TensorFormat::kLINEAR));
#if NV_TENSORRT_MAJOR > 8 || NV_TENSORRT_MINOR >= 5 || defined(TRT_MAJOR_RTX)
    PROBE("VCudaEngine", "getNbIOTensors", engine.getNbIOTensors());
    PROBE("VCudaEngine", "getIOTensorName", engine.getIOTensorName(0));
    PROBE("VCudaEngine", "getTensorIOMode", (void) engine.getTensorIOMode(""));
    PROBE("VCudaEngine", "getTensorShape", (void) engine.getTensorShape(""));
    PROBE("VCudaEngine", "getTensorDataType", (void) engine.getTensorDataType(""));
    PROBE("VCudaEngine", "getTensorFormat", (void) engine.getTensorFormat(""));
    PROBE("VExecutionContext", "setTensorAddress", context.setTensorAddress("", nullptr));
    PROBE("VExecutionContext", "enqueueV3", context.enqueueV3(nullptr));
    PROBE("VExecutionContext", "setInputShape", context.setInputShape("", Dims{}));
    PROBE("VExecutionContext", "getTensorShape", (void) context.getTensorShape(""));
    std::printf("fact TensorIOMode %d %d\n", static_cast<int>(TensorIOMode::kINPUT), static_cast<int>(TensorIOMode::kOUTPUT));
#endif
#if NV_TENSORRT_MAJOR == 8
    PROBE("VCudaEngine", "getNbBindings", engine.getNbBindings());
    PROBE("VCudaEngine", "getBindingName", engine.getBindingName(0));
    PROBE("VCudaEngine", "bindingIsInput", engine.bindingIsInput(0));
    PROBE("VCudaEngine", "getBindingDimensions", (void) engine.getBindingDimensions(0));
    PROBE("VCudaEngine", "getBindingDataType", (void) engine.getBindingDataType(0));
    PROBE("VCudaEngine", "getBindingFormat", (void) engine.getBindingFormat(0));
    PROBE("VExecutionContext", "enqueueV2", context.enqueueV2(nullptr, nullptr, nullptr));
    PROBE("VExecutionContext", "setBindingDimensions", context.setBindingDimensions(0, Dims{}));
    PROBE("VExecutionContext", "getBindingDimensions", (void) context.getBindingDimensions(0));
#endif
}

void builder_side()
{
    auto& builder = fake<IBuilder>();
    auto& config = fake<IBuilderConfig>();
    auto& network = fake<INetworkDefinition>();
    auto& tensor = fake<ITensor>();
    PROBE("VBuilder", "createBuilderConfig", builder.createBuilderConfig());
    PROBE("VBuilder", "createNetworkV2", builder.createNetworkV2(0));
    PROBE("VBuilder", "buildSerializedNetwork", builder.buildSerializedNetwork(network, config));
#if NV_TENSORRT_MAJOR == 8 || NV_TENSORRT_MAJOR == 10
    PROBE("VBuilder", "platformHasFastFp16", builder.platformHasFastFp16());
    PROBE("VBuilderConfig", "setFlag", config.setFlag(BuilderFlag::kFP16));
    std::printf("fact kFP16 %d\n", static_cast<int>(BuilderFlag::kFP16));
#else
    PROBE("VBuilderConfig", "setFlag", config.setFlag(BuilderFlag::kDEBUG));
#endif
#if NV_TENSORRT_MAJOR == 8
    PROBE("VBuilderConfig", "setMaxWorkspaceSize", config.setMaxWorkspaceSize(0));
#endif
#if NV_TENSORRT_MAJOR != 8 || NV_TENSORRT_MINOR >= 4
    PROBE("VBuilderConfig", "setMemoryPoolLimit", config.setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, 0));
    std::printf("fact kWORKSPACE %d\n", static_cast<int>(MemoryPoolType::kWORKSPACE));
#endif
    PROBE("VBuilderConfig", "createTimingCache", config.createTimingCache("", 0));
    PROBE("VBuilderConfig", "setTimingCache", config.setTimingCache(fake<ITimingCache>(), false));
    PROBE("VBuilderConfig", "getTimingCache", config.getTimingCache());
#if NV_TENSORRT_MAJOR != 8
    PROBE("VBuilderConfig", "setProgressMonitor", config.setProgressMonitor(nullptr));
#endif
#ifdef TRT_MAJOR_RTX
    PROBE("VBuilderConfig", "setNbComputeCapabilities", config.setNbComputeCapabilities(1));
    PROBE("VBuilderConfig", "setComputeCapability", config.setComputeCapability(ComputeCapability::kSM86, 0));
#endif
    PROBE("VNetworkDefinition", "getNbInputs", network.getNbInputs());
    PROBE("VNetworkDefinition", "getInput", network.getInput(0));
    PROBE("VTensor", "getName", tensor.getName());
    PROBE("VTensor", "setDimensions", tensor.setDimensions(Dims{}));
    PROBE("VTensor", "getDimensions", (void) tensor.getDimensions());
    PROBE("VHostMemory", "data", fake<IHostMemory>().data());
    PROBE("VHostMemory", "size", fake<IHostMemory>().size());
    PROBE("VTimingCache", "serialize", fake<ITimingCache>().serialize());
}

struct Parser : nvonnxparser::IParser
{
};

// What has no implementation behind it: the calls are the object's own.
void objects()
{
    object.table = table.slots;
    auto& parser = fake<nvonnxparser::IParser>();
    auto& error = fake<nvonnxparser::IParserError>();
    PROBE("IParser", "parse", parser.parse("", 0));
    PROBE("IParser", "getNbErrors", parser.getNbErrors());
    PROBE("IParser", "getError", parser.getError(0));
    // Through a derived class: some versions keep the destructor protected.
    PROBE("IParser", "~IParser", delete static_cast<Parser*>(&parser));
#if NV_TENSORRT_MAJOR != 8
    PROBE("IParserError", "nodeName", error.nodeName());
#endif
    PROBE("IParserError", "desc", error.desc());
    PROBE("IParserError", "node", error.node());
    PROBE("ILogger", "log", fake<ILogger>().log(ILogger::Severity::kERROR, ""));
    delete &fake<IRuntime>();
    std::printf("fact delete %d\n", last);
}
} // namespace

int main()
{
#ifdef TRT_MAJOR_RTX
    std::printf("version rtx %d %d\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR);
#else
    std::printf("version trt %d %d\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR);
#endif
    runtime_side();
    builder_side();
    objects();
    Dims shape{};
    auto const offset = reinterpret_cast<char*>(&shape.d) - reinterpret_cast<char*>(&shape);
    std::printf("fact Dims %d %d\n", static_cast<int>(sizeof(Dims)), static_cast<int>(offset));
    using Setter = decltype(&ITensor::setDimensions);
    bool const by_value = std::is_same<Setter, void (ITensor::*)(Dims)>::value
        || std::is_same<Setter, void (ITensor::*)(Dims) noexcept>::value;
    std::printf("fact setDimensions %s\n", by_value ? "value" : "address");
    return 0;
}

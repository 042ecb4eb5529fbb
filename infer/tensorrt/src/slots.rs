//! The place of each method that is called in its class's table of virtual methods: one set of places per major version.
//!
//! So far, tables grew only at the end within a major version, and were reordered in a new one. The numbers are facts about
//! NVIDIA's public headers as a C++ compiler lays them out; `hanja-slot-check` compares them with an installed header, and
//! the tests with classes that a C++ compiler laid out.

/// One slot: its place, and from which minor version of its major it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    at: u16,
    since: u16,
}

impl Slot {
    const ABSENT: Self = Self {
        at: u16::MAX,
        since: 0,
    };

    const fn at(at: u16) -> Self {
        Self { at, since: 0 }
    }

    const fn since(self, minor: u16) -> Self {
        Self {
            at: self.at,
            since: minor,
        }
    }

    /// The place in the table, counted from 0; `None` where this version has no such method.
    pub fn place(self) -> Option<usize> {
        (self.at != u16::MAX).then_some(self.at as usize)
    }
}

macro_rules! table {
    ($($field:ident: $class:literal $method:literal,)*) => {
        /// The slots of one version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Slots {
            $(
                #[doc = concat!("`", $class, "::", $method, "`")]
                pub $field: Slot,
            )*
        }

        impl Slots {
            /// The table in this minor version: methods that came later are absent.
            pub fn of_minor(self, minor: u32) -> Self {
                let then = |slot: Slot| if u32::from(slot.since) > minor { Slot::ABSENT } else { slot };
                Self { $($field: then(self.$field),)* }
            }

            /// Class, method and place of everything that this version has.
            pub fn entries(&self) -> Vec<(&'static str, &'static str, usize)> {
                let mut all = Vec::new();
                $(
                    if let Some(place) = self.$field.place() {
                        all.push(($class, $method, place));
                    }
                )*
                all
            }
        }
    };
}

table! {
    deserialize: "VRuntime" "deserializeCudaEngine",
    create_context: "VCudaEngine" "createExecutionContext",
    nb_io_tensors: "VCudaEngine" "getNbIOTensors",
    io_tensor_name: "VCudaEngine" "getIOTensorName",
    tensor_io_mode: "VCudaEngine" "getTensorIOMode",
    engine_tensor_shape: "VCudaEngine" "getTensorShape",
    tensor_data_type: "VCudaEngine" "getTensorDataType",
    tensor_format: "VCudaEngine" "getTensorFormat",
    nb_bindings: "VCudaEngine" "getNbBindings",
    binding_name: "VCudaEngine" "getBindingName",
    binding_is_input: "VCudaEngine" "bindingIsInput",
    engine_binding_dimensions: "VCudaEngine" "getBindingDimensions",
    binding_data_type: "VCudaEngine" "getBindingDataType",
    binding_format: "VCudaEngine" "getBindingFormat",
    set_tensor_address: "VExecutionContext" "setTensorAddress",
    enqueue_v3: "VExecutionContext" "enqueueV3",
    enqueue_v2: "VExecutionContext" "enqueueV2",
    set_input_shape: "VExecutionContext" "setInputShape",
    context_tensor_shape: "VExecutionContext" "getTensorShape",
    set_binding_dimensions: "VExecutionContext" "setBindingDimensions",
    context_binding_dimensions: "VExecutionContext" "getBindingDimensions",
    create_config: "VBuilder" "createBuilderConfig",
    create_network: "VBuilder" "createNetworkV2",
    build_serialized: "VBuilder" "buildSerializedNetwork",
    has_fast_fp16: "VBuilder" "platformHasFastFp16",
    set_flag: "VBuilderConfig" "setFlag",
    set_memory_pool_limit: "VBuilderConfig" "setMemoryPoolLimit",
    set_max_workspace_size: "VBuilderConfig" "setMaxWorkspaceSize",
    create_timing_cache: "VBuilderConfig" "createTimingCache",
    set_timing_cache: "VBuilderConfig" "setTimingCache",
    get_timing_cache: "VBuilderConfig" "getTimingCache",
    set_progress_monitor: "VBuilderConfig" "setProgressMonitor",
    set_nb_compute_capabilities: "VBuilderConfig" "setNbComputeCapabilities",
    set_compute_capability: "VBuilderConfig" "setComputeCapability",
    nb_inputs: "VNetworkDefinition" "getNbInputs",
    input: "VNetworkDefinition" "getInput",
    tensor_name: "VTensor" "getName",
    set_dimensions: "VTensor" "setDimensions",
    dimensions: "VTensor" "getDimensions",
    memory_data: "VHostMemory" "data",
    memory_size: "VHostMemory" "size",
    serialize_timing_cache: "VTimingCache" "serialize",
    parse: "IParser" "parse",
    nb_errors: "IParser" "getNbErrors",
    error: "IParser" "getError",
    delete_parser: "IParser" "~IParser",
    error_desc: "IParserError" "desc",
    error_node: "IParserError" "node",
    error_node_name: "IParserError" "nodeName",
    log: "ILogger" "log",
}

const A: Slot = Slot::ABSENT;

/// TensorRT 8. Named tensors came with 8.5, memory pools with 8.4.
pub const V8: Slots = Slots {
    deserialize: Slot::at(2),
    create_context: Slot::at(11),
    nb_io_tensors: Slot::at(45).since(5),
    io_tensor_name: Slot::at(46).since(5),
    tensor_io_mode: Slot::at(38).since(5),
    engine_tensor_shape: Slot::at(34).since(5),
    tensor_data_type: Slot::at(35).since(5),
    tensor_format: Slot::at(41).since(5),
    nb_bindings: Slot::at(2),
    binding_name: Slot::at(4),
    binding_is_input: Slot::at(5),
    engine_binding_dimensions: Slot::at(6),
    binding_data_type: Slot::at(7),
    binding_format: Slot::at(18),
    set_tensor_address: Slot::at(32).since(5),
    enqueue_v3: Slot::at(44).since(5),
    enqueue_v2: Slot::at(24),
    set_input_shape: Slot::at(29).since(5),
    context_tensor_shape: Slot::at(30).since(5),
    set_binding_dimensions: Slot::at(15),
    context_binding_dimensions: Slot::at(16),
    create_config: Slot::at(9),
    create_network: Slot::at(11),
    build_serialized: Slot::at(17),
    has_fast_fp16: Slot::at(4),
    set_flag: Slot::at(15),
    set_memory_pool_limit: Slot::at(47).since(4),
    set_max_workspace_size: Slot::at(10),
    create_timing_cache: Slot::at(44),
    set_timing_cache: Slot::at(45),
    get_timing_cache: Slot::at(46),
    set_progress_monitor: A,
    set_nb_compute_capabilities: A,
    set_compute_capability: A,
    nb_inputs: Slot::at(19),
    input: Slot::at(20),
    tensor_name: Slot::at(3),
    set_dimensions: Slot::at(4),
    dimensions: Slot::at(5),
    memory_data: Slot::at(2),
    memory_size: Slot::at(3),
    serialize_timing_cache: Slot::at(2),
    parse: Slot::at(0),
    nb_errors: Slot::at(6),
    error: Slot::at(7),
    delete_parser: Slot::at(10),
    error_desc: Slot::at(1),
    error_node: Slot::at(5),
    error_node_name: A,
    log: Slot::at(0),
};

/// TensorRT 10: bindings, implicit batch and `setMaxWorkspaceSize` are gone.
pub const V10: Slots = Slots {
    deserialize: Slot::at(3),
    create_context: Slot::at(5),
    nb_io_tensors: Slot::at(30),
    io_tensor_name: Slot::at(31),
    tensor_io_mode: Slot::at(23),
    engine_tensor_shape: Slot::at(19),
    tensor_data_type: Slot::at(20),
    tensor_format: Slot::at(26),
    nb_bindings: A,
    binding_name: A,
    binding_is_input: A,
    engine_binding_dimensions: A,
    binding_data_type: A,
    binding_format: A,
    set_tensor_address: Slot::at(24),
    enqueue_v3: Slot::at(37),
    enqueue_v2: A,
    set_input_shape: Slot::at(21),
    context_tensor_shape: Slot::at(22),
    set_binding_dimensions: A,
    context_binding_dimensions: A,
    create_config: Slot::at(7),
    create_network: Slot::at(8),
    build_serialized: Slot::at(14),
    has_fast_fp16: Slot::at(2),
    set_flag: Slot::at(11),
    set_memory_pool_limit: Slot::at(43),
    set_max_workspace_size: A,
    create_timing_cache: Slot::at(40),
    set_timing_cache: Slot::at(41),
    get_timing_cache: Slot::at(42),
    set_progress_monitor: Slot::at(56),
    set_nb_compute_capabilities: A,
    set_compute_capability: A,
    nb_inputs: Slot::at(14),
    input: Slot::at(15),
    tensor_name: Slot::at(3),
    set_dimensions: Slot::at(4),
    dimensions: Slot::at(5),
    memory_data: Slot::at(2),
    memory_size: Slot::at(3),
    serialize_timing_cache: Slot::at(2),
    parse: Slot::at(0),
    nb_errors: Slot::at(5),
    error: Slot::at(6),
    delete_parser: Slot::at(9),
    error_desc: Slot::at(1),
    error_node: Slot::at(5),
    error_node_name: Slot::at(6),
    log: Slot::at(0),
};

/// TensorRT 11: weak typing and its fp16 flag are gone, the logger is a versioned interface.
pub const V11: Slots = Slots {
    nb_io_tensors: Slot::at(26),
    io_tensor_name: Slot::at(27),
    tensor_io_mode: Slot::at(19),
    engine_tensor_shape: Slot::at(15),
    tensor_data_type: Slot::at(16),
    tensor_format: Slot::at(22),
    set_tensor_address: Slot::at(23),
    enqueue_v3: Slot::at(36),
    set_input_shape: Slot::at(20),
    context_tensor_shape: Slot::at(21),
    create_config: Slot::at(5),
    create_network: Slot::at(6),
    build_serialized: Slot::at(11),
    has_fast_fp16: A,
    set_flag: Slot::at(9),
    set_memory_pool_limit: Slot::at(32),
    create_timing_cache: Slot::at(29),
    set_timing_cache: Slot::at(30),
    get_timing_cache: Slot::at(31),
    set_progress_monitor: Slot::at(45),
    nb_errors: Slot::at(3),
    error: Slot::at(4),
    delete_parser: Slot::at(7),
    log: Slot::at(4),
    ..V10
};

/// TensorRT-RTX 1.7: what is called here stands where TensorRT 11 has it; it adds a choice of graphics cards to build for.
pub const RTX_1_7: Slots = Slots {
    set_nb_compute_capabilities: Slot::at(55),
    set_compute_capability: Slot::at(57),
    ..V11
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Of every version that is loaded: the first and last minor of each major, and those around a change.
    fn all() -> impl Iterator<Item = (&'static str, Slots)> {
        let eight = [0, 3, 4, 5, 6].map(|minor| ("8", V8.of_minor(minor)));
        let later = [("10", V10), ("11", V11), ("RTX 1.7", RTX_1_7)];
        eight.into_iter().chain(later)
    }

    #[test]
    fn what_is_called_without_asking_is_always_there() {
        for (version, slots) in all() {
            let always = [
                slots.deserialize,
                slots.create_context,
                slots.create_config,
                slots.create_network,
                slots.build_serialized,
                slots.set_flag,
                slots.create_timing_cache,
                slots.set_timing_cache,
                slots.get_timing_cache,
                slots.nb_inputs,
                slots.input,
                slots.tensor_name,
                slots.set_dimensions,
                slots.dimensions,
                slots.memory_data,
                slots.memory_size,
                slots.serialize_timing_cache,
                slots.parse,
                slots.nb_errors,
                slots.error,
                slots.delete_parser,
                slots.error_desc,
                slots.error_node,
                slots.log,
            ];
            assert!(
                always.iter().all(|slot| slot.place().is_some()),
                "{version}"
            );
        }
    }

    #[test]
    fn one_way_or_the_other_is_whole() {
        for (version, slots) in all() {
            let whole = |slots: &[Slot]| slots.iter().all(|slot| slot.place().is_some());
            let names = [
                slots.nb_io_tensors,
                slots.io_tensor_name,
                slots.tensor_io_mode,
                slots.engine_tensor_shape,
                slots.tensor_data_type,
                slots.tensor_format,
                slots.set_tensor_address,
                slots.enqueue_v3,
                slots.set_input_shape,
                slots.context_tensor_shape,
            ];
            let bindings = [
                slots.nb_bindings,
                slots.binding_name,
                slots.binding_is_input,
                slots.engine_binding_dimensions,
                slots.binding_data_type,
                slots.binding_format,
                slots.enqueue_v2,
                slots.set_binding_dimensions,
                slots.context_binding_dimensions,
            ];
            assert_eq!(
                whole(&names),
                names[0].place().is_some(),
                "{version}: names"
            );
            assert!(whole(&names) || whole(&bindings), "{version}");
            let limit = [slots.set_memory_pool_limit, slots.set_max_workspace_size];
            assert!(
                limit.iter().any(|slot| slot.place().is_some()),
                "{version}: workspace"
            );
            let cards = [
                slots.set_nb_compute_capabilities,
                slots.set_compute_capability,
            ];
            assert_eq!(whole(&cards), version == "RTX 1.7");
        }
    }

    #[test]
    fn no_class_has_two_methods_in_one_place() {
        for (version, slots) in all() {
            let mut places: Vec<_> = slots
                .entries()
                .iter()
                .map(|&(class, _, place)| (class, place))
                .collect();
            let count = places.len();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count, "{version}");
        }
    }
}

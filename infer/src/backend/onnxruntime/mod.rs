//! onnxruntime: faster than rten on the CPU, where its library is installed. It is loaded at run time and no part of the
//! executable; why a library cannot be used is an error like any other.

mod error;
mod library;

use super::contract::{CpuBackend, Input, Predictions};
use super::unusable::Unusable;
use crate::error::InferError;
use crate::model::layout::{Declared, NotYolo, Shape, output_size};
use crate::model::{Facts, ModelError, ModelFile};
pub use error::{LibraryFault, OnnxRuntimeError};
use half::f16;
use half::slice::HalfFloatSliceExt;
pub(crate) use library::Library;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

pub(crate) struct OnnxRuntimeBackend {
    session: Session,
    /// Prepares the pictures, on as many threads as run the model. Those of the library sleep meanwhile.
    pool: Arc<rayon::ThreadPool>,
    output: String,
    /// The input in fp16, for models that want it so.
    half: Option<Vec<f16>>,
    /// The last result as the library made it.
    last: Option<DynValue>,
    /// The last result in f32, if the model gives fp16.
    widened: Vec<f32>,
    facts: Facts,
    name: String,
}

impl fmt::Debug for OnnxRuntimeBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxRuntimeBackend")
            .field("name", &self.name)
            .field("facts", &self.facts)
            .finish()
    }
}

/// The library in use and its environment; a process can have only one.
struct Runtime {
    library: Library,
    environment: Environment,
}

/// The library, found and started by the first caller. After a failure it is not looked for again in this process.
fn runtime() -> Result<&'static Runtime, &'static OnnxRuntimeError> {
    static RUNTIME: OnceLock<Result<Runtime, OnnxRuntimeError>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let library = library::find(&library::Places::of_this_machine())?;
        match start(&library) {
            Ok(environment) => Ok(Runtime {
                library,
                environment,
            }),
            Err(error) => Err(OnnxRuntimeError::Start {
                path: library.path,
                error,
            }),
        }
    });
    runtime.as_ref()
}

fn start(library: &Library) -> Result<Environment, Box<dyn Error + Send + Sync>> {
    let environment = ort::init_from(&library.path)?
        .with_name("hanja")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Passes the library's messages to the debug log. Its warnings are about graphs and devices, which no user needs; its errors
/// also come back as errors of the calls.
fn log(level: LogLevel, _category: &str, _id: &str, _place: &str, message: &str) {
    if matches!(level, LogLevel::Error | LogLevel::Fatal | LogLevel::Warning) {
        tracing::debug!("onnxruntime: {}", message.replace('\n', " "));
    }
}

/// The library that would be used, or why there is none.
pub(crate) fn installed() -> Result<&'static Library, &'static OnnxRuntimeError> {
    runtime().map(|runtime| &runtime.library)
}

impl OnnxRuntimeBackend {
    /// Loads a model. `threads`: `None` for one per physical core.
    pub(crate) fn load(file: &ModelFile, threads: Option<usize>) -> Result<Self, Unusable> {
        let runtime = runtime().map_err(Unusable::missing)?;
        let threads = threads.unwrap_or_else(num_cpus::get_physical).max(1);
        let load = |e: ort::Error| ModelError::Load {
            model: file.name.clone(),
            reason: e.to_string().replace('\n', " "),
        };
        let session = session(&runtime.environment, threads, &file.bytes).map_err(load)?;
        let declared = declared(&session).map_err(load)?;
        let not_yolo = |e: NotYolo| e.of(&file.name);
        let (output, facts) = declared.inspect(&file.name).map_err(not_yolo)?;
        let half = wants_half(&session.inputs()[0]).map_err(not_yolo)?;
        let output = session.outputs()[output].name().to_owned();
        if output.is_empty() {
            return Err(not_yolo(NotYolo("its output has no name".into())).into());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("prepare {n}"))
            .build()
            .map_err(|e| Unusable::Missing(format!("its threads do not start: {e}")))?;
        Ok(Self {
            session,
            pool: Arc::new(pool),
            output,
            half: half.then(Vec::new),
            last: None,
            widened: Vec::new(),
            facts,
            name: file.name.clone(),
        })
    }
}

/// A session of a small model, on the calling thread alone, with the library that has been found.
pub(crate) fn small(model: &[u8]) -> Result<Session, Box<dyn Error>> {
    Ok(session(&runtime()?.environment, 1, model)?)
}

/// Threads do not spin: beside capture and render a spinning thread would take the cores from those that have work.
fn session(environment: &Environment, threads: usize, model: &[u8]) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .commit_from_memory(model)
}

/// What the file declares, for the check of its layout.
fn declared(session: &Session) -> ort::Result<Declared> {
    let shape = |outlet: &Outlet| -> Shape {
        let shape = outlet.dtype().tensor_shape()?;
        // No dimensions is how the library says that the file declares none.
        (!shape.is_empty()).then(|| shape.iter().map(|d| usize::try_from(*d).ok()).collect())
    };
    let metadata = session.metadata()?;
    Ok(Declared {
        inputs: session.inputs().iter().map(shape).collect(),
        outputs: session.outputs().iter().map(shape).collect(),
        stride: metadata.custom("stride"),
        names: metadata.custom("names"),
    })
}

/// Whether the input is fp16.
fn wants_half(input: &Outlet) -> Result<bool, NotYolo> {
    match input.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            ..
        } => Ok(false),
        ValueType::Tensor {
            ty: TensorElementType::Float16,
            ..
        } => Ok(true),
        other => Err(NotYolo(format!(
            "its input is {other}, f32 or fp16 is expected"
        ))),
    }
}

impl CpuBackend for OnnxRuntimeBackend {
    fn kind(&self) -> hanja_record::Backend {
        hanja_record::Backend::OnnxRuntime
    }

    fn describe(&self) -> String {
        let name = self.kind().name();
        match runtime() {
            Ok(runtime) => format!("{name} {}", runtime.library.version),
            Err(_) => name.into(),
        }
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        self.pool.install(work);
    }

    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError> {
        self.last = Some(self.run(input)?);
        self.predictions()
    }

    fn infer_beside(
        &mut self,
        input: Input<'_>,
        other: &mut (dyn FnMut() + Send),
    ) -> Result<Predictions<'_>, InferError> {
        let (pool, mut result) = (Arc::clone(&self.pool), None);
        pool.in_place_scope(|scope| {
            scope.spawn(|_| other());
            result = Some(self.run(input));
        });
        self.last = result.transpose()?;
        self.predictions()
    }
}

impl OnnxRuntimeBackend {
    /// The result of the last run.
    fn predictions(&mut self) -> Result<Predictions<'_>, InferError> {
        let Some(last) = &self.last else {
            return Err(failed("no result"));
        };
        let (ty, shape) = match last.dtype() {
            ValueType::Tensor { ty, shape, .. } => (Some(*ty), shape.as_ref()),
            _ => (None, [].as_slice()),
        };
        let shape: Vec<usize> = shape.iter().map(|d| *d as usize).collect();
        let half = ty == Some(TensorElementType::Float16);
        let floats = half || ty == Some(TensorElementType::Float32);
        // Also makes sure that there are numbers: an empty tensor has no address to make a slice of.
        let (rows, columns) = output_size(&shape, floats).map_err(|e| e.of(&self.name))?;
        let data = if half {
            let (_, data) = last.try_extract_tensor::<f16>().map_err(failed)?;
            self.widened.resize(data.len(), 0.0);
            data.convert_to_f32_slice(&mut self.widened);
            &self.widened
        } else {
            last.try_extract_tensor::<f32>().map_err(failed)?.1
        };
        Ok(Predictions {
            data,
            rows,
            columns,
        })
    }

    /// Runs the session; returns the decoded output as the library made it.
    fn run(&mut self, input: Input<'_>) -> Result<DynValue, InferError> {
        let shape = [1, 3, input.height, input.width];
        let outputs = match &mut self.half {
            None => {
                let tensor = TensorRef::from_array_view((shape, input.data));
                self.session.run(ort::inputs![tensor.map_err(failed)?])
            }
            Some(half) => {
                half.resize(input.data.len(), f16::ZERO);
                half.convert_from_f32_slice(input.data);
                let tensor = TensorRef::from_array_view((shape, half.as_slice()));
                self.session.run(ort::inputs![tensor.map_err(failed)?])
            }
        };
        outputs
            .map_err(failed)?
            .remove(&self.output)
            .ok_or_else(|| failed("the output is missing"))
    }
}

fn failed(reason: impl fmt::Display) -> InferError {
    InferError::Run {
        backend: "onnxruntime",
        reason: reason.to_string().replace('\n', " "),
    }
}

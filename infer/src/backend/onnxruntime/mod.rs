//! onnxruntime: faster than rten on the CPU, where its library is installed. Loaded at run time; nothing of it is part
//! of the executable, and a library that cannot be used is a reason in words.

mod library;

use super::contract::{Declared, Shape, output_size};
use super::{Backend, Facts, Input, Predictions, Reason};
use crate::error::InferError;
use crate::model::ModelFile;
use half::f16;
use half::slice::HalfFloatSliceExt;
use hanja_common::record;
pub(crate) use library::Library;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// How to get it, for errors and for `hanja doctor`.
pub(crate) const REMEDY: &str = "pip install onnxruntime, or set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.17 or newer";

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

/// The library in use and its environment, of which a process can have one.
struct Runtime {
    library: Library,
    environment: Environment,
}

/// The library, found and started by the first caller. What is wrong stays wrong for the life of the process.
fn runtime() -> Result<&'static Runtime, Reason> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let library = library::find(&library::Places::of_this_machine())?;
        let environment = start(&library)
            .map_err(|e| format!("{} does not start: {e}", library.path.display()))?;
        Ok(Runtime {
            library,
            environment,
        })
    });
    runtime.as_ref().map_err(|e| Reason::Missing(e.clone()))
}

fn start(library: &Library) -> Result<Environment, String> {
    let environment = ort::init_from(&library.path)
        .map_err(|e| e.to_string())?
        .with_name("hanja")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| e.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// The library's own words. Its warnings are about graphs and devices, and no news to a user; its errors come back as
/// errors as well.
fn log(level: LogLevel, _category: &str, _id: &str, _place: &str, message: &str) {
    if matches!(level, LogLevel::Error | LogLevel::Fatal | LogLevel::Warning) {
        tracing::debug!("onnxruntime: {}", message.replace('\n', " "));
    }
}

/// The library that would be used, or why there is none.
pub(crate) fn installed() -> Result<Library, String> {
    match runtime() {
        Ok(runtime) => Ok(runtime.library.clone()),
        Err(reason) => Err(reason.to_string()),
    }
}

impl OnnxRuntimeBackend {
    /// Loads a model. `threads`: none for one per physical core.
    pub(crate) fn load(file: &ModelFile, threads: Option<usize>) -> Result<Self, Reason> {
        let runtime = runtime()?;
        let threads = threads.unwrap_or_else(num_cpus::get_physical).max(1);
        let load = |reason: String| {
            Reason::Model(InferError::Load {
                model: file.name.clone(),
                reason: reason.replace('\n', " "),
            })
        };
        let session = session(&runtime.environment, threads, &file.bytes).map_err(load)?;
        let declared = declared(&session).map_err(load)?;
        let not_yolo = |reason| {
            Reason::Model(InferError::NotYolo {
                model: file.name.clone(),
                reason,
            })
        };
        let (output, facts) = declared.inspect(&file.name).map_err(not_yolo)?;
        let half = wants_half(&session.inputs()[0]).map_err(not_yolo)?;
        let output = session.outputs()[output].name().to_owned();
        if output.is_empty() {
            return Err(not_yolo("its output has no name".into()));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("prepare {n}"))
            .build()
            .map_err(|e| Reason::Missing(format!("its threads do not start: {e}")))?;
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
pub(crate) fn small(model: &[u8]) -> Result<Session, String> {
    let runtime = runtime().map_err(|reason| reason.to_string())?;
    session(&runtime.environment, 1, model)
}

/// No spinning: beside capture and render a spinning thread takes the cores from those that have work.
fn session(environment: &Environment, threads: usize, model: &[u8]) -> Result<Session, String> {
    fn words<T>(error: ort::Error<T>) -> String {
        error.to_string()
    }
    let builder: SessionBuilder = Session::builder(environment).map_err(words)?;
    builder
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(words)?
        .with_intra_threads(threads)
        .map_err(words)?
        .with_inter_threads(1)
        .map_err(words)?
        .with_intra_op_spinning(false)
        .map_err(words)?
        .commit_from_memory(model)
        .map_err(words)
}

/// What the file declares, in the words of the contract.
fn declared(session: &Session) -> Result<Declared, String> {
    let shape = |outlet: &Outlet| -> Shape {
        let shape = outlet.dtype().tensor_shape()?;
        // No dimensions is how the library says that the file declares none.
        (!shape.is_empty()).then(|| shape.iter().map(|d| usize::try_from(*d).ok()).collect())
    };
    let metadata = session.metadata().map_err(|e| e.to_string())?;
    Ok(Declared {
        inputs: session.inputs().iter().map(shape).collect(),
        outputs: session.outputs().iter().map(shape).collect(),
        stride: metadata.custom("stride"),
        names: metadata.custom("names"),
    })
}

/// Whether the input is fp16.
fn wants_half(input: &Outlet) -> Result<bool, String> {
    match input.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            ..
        } => Ok(false),
        ValueType::Tensor {
            ty: TensorElementType::Float16,
            ..
        } => Ok(true),
        other => Err(format!("its input is {other}, f32 or fp16 is expected")),
    }
}

impl Backend for OnnxRuntimeBackend {
    fn kind(&self) -> record::Backend {
        record::Backend::OnnxRuntime
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
        self.last = Some(self.run(input).map_err(failed)?);
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
            result = Some(self.run(input).map_err(failed));
        });
        self.last = result.transpose()?;
        self.predictions()
    }
}

impl OnnxRuntimeBackend {
    /// What the last run gave.
    fn predictions(&mut self) -> Result<Predictions<'_>, InferError> {
        let Some(last) = &self.last else {
            return Err(failed("no result".into()));
        };
        let (ty, shape) = match last.dtype() {
            ValueType::Tensor { ty, shape, .. } => (Some(*ty), shape.as_ref()),
            _ => (None, [].as_slice()),
        };
        let shape: Vec<usize> = shape.iter().map(|d| *d as usize).collect();
        let half = ty == Some(TensorElementType::Float16);
        let floats = half || ty == Some(TensorElementType::Float32);
        // Also makes sure that there are numbers: an empty tensor has no address to make a slice of.
        let (rows, columns) =
            output_size(&shape, floats).map_err(|reason| InferError::NotYolo {
                model: self.name.clone(),
                reason,
            })?;
        let data = if half {
            let (_, data) = last.try_extract_tensor::<f16>().map_err(words)?;
            self.widened.resize(data.len(), 0.0);
            data.convert_to_f32_slice(&mut self.widened);
            &self.widened
        } else {
            last.try_extract_tensor::<f32>().map_err(words)?.1
        };
        Ok(Predictions {
            data,
            rows,
            columns,
        })
    }

    /// Runs the session; the decoded output, as the library made it.
    fn run(&mut self, input: Input<'_>) -> Result<DynValue, String> {
        let shape = [1, 3, input.height, input.width];
        let outputs = match &mut self.half {
            None => {
                let tensor = TensorRef::from_array_view((shape, input.data));
                self.session
                    .run(ort::inputs![tensor.map_err(|e| e.to_string())?])
            }
            Some(half) => {
                half.resize(input.data.len(), f16::ZERO);
                half.convert_from_f32_slice(input.data);
                let tensor = TensorRef::from_array_view((shape, half.as_slice()));
                self.session
                    .run(ort::inputs![tensor.map_err(|e| e.to_string())?])
            }
        };
        outputs
            .map_err(|e| e.to_string())?
            .remove(&self.output)
            .ok_or_else(|| "the output is missing".into())
    }
}

fn failed(reason: String) -> InferError {
    InferError::Run {
        backend: "onnxruntime",
        reason: reason.replace('\n', " "),
    }
}

fn words(error: ort::Error) -> InferError {
    failed(error.to_string())
}

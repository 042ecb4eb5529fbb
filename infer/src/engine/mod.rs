//! TensorRT engines: built once, kept, and never trusted for the name alone.
//!
//! An engine (a serialized plan) is compiled code. It fits one version of the library, one kind of device and one input
//! shape; a wrong or damaged one crashes the process that loads it. So each is stored under a [`Key`] together with a
//! sidecar that describes it, and is checked before the library reads a byte of it.
//!
//! | module | idea |
//! |---|---|
//! | `key` | what an engine depends on, and the file name made of it |
//! | `trust` | reads only files that no other user can have written |
//! | `cache` | looks up, stores and lists engines; the timing cache; the lock |
//! | `prune` | removes files that will not be used again |
//! | `build` | the work of the child process: ONNX in, engine out |
//! | `building` | that child process as its parent sees it |
//! | `wait` | builds that somebody waits for |
//!
//! How a stage gets its engine:
//!
//! ```no_run
//! use hanja_infer::engine::{Building, Cache, EngineError, Found, Job, Key, State};
//! # fn stage(job: Job, key: Key) -> Result<Vec<u8>, EngineError> {
//! let cache = Cache::new(&job.cache);
//! // A directory or file that others can write to is an error that names it.
//! if let Found::Engine(engine) = cache.find(&key)? {
//!     return Ok(engine.plan);
//! }
//! // An unwritable cache is an error that names it.
//! let mut building = Building::start(&job)?; // logs why an unfit engine is built anew
//! loop {
//!     match building.poll() {
//!         State::Progress(_) => { /* serve frames on the CPU, publish the progress */ }
//!         State::Done(_) => break,
//!         State::Failed(why) => return Err(EngineError::Build(why)), // stay on the CPU, say why
//!     }
//! }
//! match cache.find(&key)? {
//!     Found::Engine(engine) => Ok(engine.plan),
//!     _ => Err(EngineError::Build("it was removed again".into())),
//! }
//! # }
//! ```
//!
//! A ready engine (`--engine FILE`, made by trtexec or `hanja engine build --out FILE`) is read by [`trusted_read`].
//! Configuration: `infer.engine`, `infer.engine_cache`, `infer.precision`; flags of the same names.

mod build;
mod building;
mod cache;
mod error;
mod key;
mod prune;
mod trust;
mod wait;

pub use build::{device_key, library_key, worker};
pub use building::{Building, Done, Job, Phase, Progress, State};
pub use cache::{Cache, Engine, Entry, Found, Health, Sidecar, cache_dir, default_cache_dir};
pub use error::EngineError;
pub use key::{DeviceKey, Key, LibraryKey, NoPrecision, NoShape, Precision, Shape, sha256_hex};
pub use prune::{Current, Removal};
pub use trust::{TrustError, trusted_read};
pub(crate) use wait::{ProgressLog, build_and_wait};

#[cfg(test)]
mod tests;

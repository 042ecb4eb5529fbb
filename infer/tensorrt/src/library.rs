//! Finding and opening TensorRT. Its version is asked before anything else is touched, and a library of an unknown version is
//! not used.

use std::ffi::{CStr, OsStr, OsString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use crate::error::{Attempt, Error, LIBRARY_VARIABLE, LoadError};
use crate::logger::Logger;
use crate::slots::Slots;
use crate::version::{Flavour, Version, table};

/// The names that the loader is asked for, in this order: the newest TensorRT first, and the desktop variant last.
const NAMES: [&str; 4] = [
    "libnvinfer.so.11",
    "libnvinfer.so.10",
    "libnvinfer.so.8",
    "libtensorrt_rtx.so.1",
];

/// Type of `createInferRuntime_INTERNAL` and similar functions: our logger, the library's own version.
type Create = unsafe extern "C" fn(*mut c_void, i32) -> *mut c_void;
/// Type of `createNvOnnxParser_INTERNAL`: the network, our logger, the parser library's own version.
type CreateParser = unsafe extern "C" fn(*mut c_void, *mut c_void, i32) -> *mut c_void;
type GetVersion = unsafe extern "C" fn() -> i32;

/// A loaded TensorRT. Cheap to clone; the library itself stays loaded until the process ends.
#[derive(Debug, Clone)]
pub struct Library(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Address of `getInferLibVersion`: tells loaded libraries apart.
    get_version: usize,
    path: PathBuf,
    raw_version: i32,
    version: Version,
    flavour: Flavour,
    slots: Slots,
    logger: &'static Logger,
    create_runtime: Create,
    create_builder: Option<Create>,
    parser: OnceLock<Result<Parser, String>>,
}

/// The ONNX parser's library.
#[derive(Debug, Clone)]
struct Parser {
    create: CreateParser,
    raw_version: i32,
}

impl Library {
    /// The library that `HANJA_TENSORRT_LIB` names, else the newest known one that the dynamic loader finds.
    ///
    /// # Errors
    /// What was tried and why each failed. Never panics, whatever is or is not installed.
    pub fn find() -> Result<Self, LoadError> {
        if let Some(path) = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
            // SAFETY: who sets this process's environment could as well have it load any library (LD_PRELOAD).
            return unsafe { Self::load(Path::new(&path)) };
        }
        // SAFETY: the loader's own directories hold what this machine's owner installed.
        unsafe { Self::first_of(NAMES.map(OsString::from)) }
    }

    /// The library at `path`, or the newest known one in the directory `path`.
    ///
    /// # Errors
    /// As [`Library::find`].
    ///
    /// # Safety
    /// Loading a library runs its code: the path must be trusted like an executable.
    pub unsafe fn load(path: &Path) -> Result<Self, LoadError> {
        // With a slash in it, the loader takes a name for a path and does not search.
        let path = if path.is_absolute() {
            path.to_owned()
        } else {
            Path::new(".").join(path)
        };
        if path.is_dir() {
            // SAFETY: the caller trusts the directory.
            return unsafe { Self::first_of(NAMES.map(|name| path.join(name).into_os_string())) };
        }
        // SAFETY: the caller trusts the file.
        unsafe { Self::first_of([path.into_os_string()]) }
    }

    /// The first of these libraries that can be used.
    ///
    /// # Safety
    /// As [`Library::load`], for every name.
    unsafe fn first_of<const N: usize>(names: [OsString; N]) -> Result<Self, LoadError> {
        let mut tried = Vec::new();
        for name in names {
            // SAFETY: the caller trusts every name.
            match unsafe { open(&name) } {
                Ok(library) => return Ok(library),
                Err(why) => tried.push(Attempt {
                    name: name.to_string_lossy().into(),
                    why,
                }),
            }
        }
        Err(LoadError { tried })
    }

    /// The version that the library gives itself.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// TensorRT or TensorRT-RTX.
    pub fn flavour(&self) -> Flavour {
        self.0.flavour
    }

    /// The file that was loaded, as the loader names it.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Product and version, as in "TensorRT 10.3.0": for people, logs and cache keys.
    pub fn label(&self) -> String {
        format!("{} {}", self.0.flavour, self.0.version)
    }

    /// Whether fp16 is a flag of the build (TensorRT 8 and 10); else it is a property of the model (11 and TensorRT-RTX).
    pub fn fp16_by_flag(&self) -> bool {
        self.slots().has_fast_fp16.place().is_some()
    }

    /// Why engines cannot be built with this installation; `None` where they can. Loads the ONNX parser's library.
    pub fn cannot_build(&self) -> Option<String> {
        if self.0.create_builder.is_none() {
            return Some("this library has no builder, it only runs engines".into());
        }
        self.parser_library().err().map(|error| error.to_string())
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.0.slots
    }

    pub(crate) fn logger(&self) -> &'static Logger {
        self.0.logger
    }

    /// Dimensions are 32-bit numbers in TensorRT 8.
    pub(crate) fn dims32(&self) -> bool {
        self.0.version.major == 8
    }

    /// A new runtime object, null on failure.
    pub(crate) fn create_runtime(&self) -> *mut c_void {
        // SAFETY: the library's own function; the logger lives as long as the process.
        unsafe { (self.0.create_runtime)(self.0.logger.as_object(), self.0.raw_version) }
    }

    /// A new builder object, null on failure.
    pub(crate) fn create_builder(&self) -> Result<*mut c_void, Error> {
        let create = self.0.create_builder.ok_or_else(|| {
            self.unsupported(
                "this library has no builder; build the engine elsewhere, with the same version",
            )
        })?;
        // SAFETY: the library's own function; the logger lives as long as the process.
        Ok(unsafe { create(self.0.logger.as_object(), self.0.raw_version) })
    }

    /// A new parser that writes into `network`, null on failure.
    ///
    /// # Safety
    /// `network` is a living network definition of this library, and outlives the parser.
    pub(crate) unsafe fn create_parser(&self, network: *mut c_void) -> Result<*mut c_void, Error> {
        let parser = self.parser_library()?;
        // SAFETY: the parser library's own function; the network is the caller's promise.
        Ok(unsafe { (parser.create)(network, self.0.logger.as_object(), parser.raw_version) })
    }

    fn parser_library(&self) -> Result<&Parser, Error> {
        let parser = self.0.parser.get_or_init(|| open_parser(&self.0));
        parser.as_ref().map_err(|why| Error::Parser {
            library: self.label(),
            why: why.clone(),
        })
    }

    /// The error of a call that TensorRT refused.
    pub(crate) fn failed(&self, call: impl Into<String>) -> Error {
        Error::Call {
            library: self.label(),
            call: call.into(),
            said: self.0.logger.said(),
        }
    }

    /// The error of something that this version does not have.
    pub(crate) fn unsupported(&self, why: impl Into<String>) -> Error {
        Error::Unsupported {
            library: self.label(),
            why: why.into(),
        }
    }
}

/// Every library in use, once. TensorRT keeps the first logger that it is given in globals and ignores later ones, so
/// whoever finds the same library again has to get the same logger.
static IN_USE: Mutex<Vec<Library>> = Mutex::new(Vec::new());

/// Opens a library that stays loaded even when the handle is dropped: TensorRT and CUDA leave threads and exit handlers behind
/// that run its code.
///
/// # Safety
/// As [`Library::load`].
unsafe fn open_forever(name: &OsStr) -> Result<Handle, String> {
    let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: the caller trusts the file.
    unsafe { Handle::open(Some(name), flags) }.map_err(describe)
}

/// The loader's own message, which names the file and the library that it lacks; libloading has it as the source.
fn describe(error: libloading::Error) -> String {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

/// A function of a library, by name.
///
/// # Safety
/// `F` is the function's type, and the library was opened by `open_forever`.
unsafe fn symbol<F: Copy>(handle: &Handle, name: &CStr) -> Result<F, String> {
    // SAFETY: the type is the caller's promise.
    unsafe { handle.get::<F>(name.to_bytes_with_nul()) }
        .map(|found| *found)
        .map_err(describe)
}

/// Opens a library and decides by its version whether it can be used.
///
/// # Safety
/// As [`Library::load`].
unsafe fn open(name: &OsStr) -> Result<Library, String> {
    // SAFETY: the caller trusts the file.
    let handle = unsafe { open_forever(name)? };
    // SAFETY: every TensorRT since version 5 has this function with this type.
    let get_version = unsafe { symbol::<GetVersion>(&handle, c"getInferLibVersion") }
        .map_err(|why| format!("not a TensorRT library: {why}"))?;
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    // Compared by the address in memory: one file can have many names.
    if let Some(known) = in_use
        .iter()
        .find(|l| l.0.get_version == get_version as usize)
    {
        return Ok(known.clone());
    }
    // SAFETY: the type is right (above), and the function only returns a number.
    let raw_version = unsafe { get_version() };
    let version = Version::decode(raw_version)
        .ok_or_else(|| format!("it gives {raw_version} for its version, which is none"))?;
    let flavour = version.flavour(raw_version);
    let slots = table(flavour, version)?;
    // SAFETY: the type is the same in every version that `table` knows.
    let create_runtime = unsafe { symbol::<Create>(&handle, c"createInferRuntime_INTERNAL")? };
    // SAFETY: as above. Libraries that only run engines (libnvinfer_lean and similar) lack it, which is `None` here.
    let create_builder = unsafe { symbol::<Create>(&handle, c"createInferBuilder_INTERNAL") }.ok();
    let library = Library(Arc::new(Inner {
        get_version: get_version as usize,
        path: file_of(get_version as *const c_void).unwrap_or_else(|| name.into()),
        raw_version,
        version,
        flavour,
        logger: Logger::leak(slots.log.place() == Some(4)),
        slots,
        create_runtime,
        create_builder,
        parser: OnceLock::new(),
    }));
    tracing::info!(path = %library.path().display(), "{} loaded", library.label());
    in_use.push(library.clone());
    Ok(library)
}

/// The parser of the same major version: beside the library, else where the loader finds it.
fn open_parser(library: &Inner) -> Result<Parser, String> {
    let name = match library.flavour {
        Flavour::TensorRt => format!("libnvonnxparser.so.{}", library.version.major),
        Flavour::Rtx => "libtensorrt_onnxparser_rtx.so.1".to_owned(),
    };
    let beside = library.path.parent().map(|directory| directory.join(&name));
    let beside = beside
        .filter(|path| path.exists())
        .map(PathBuf::into_os_string);
    let mut tried = Vec::new();
    for name in beside.into_iter().chain([OsString::from(name)]) {
        // SAFETY: it comes from where the library itself came from, or from the loader's directories.
        let opened = unsafe { open_forever(&name) }.and_then(|handle| {
            // SAFETY: both types are the same in every version that is loaded here.
            unsafe {
                let create = symbol::<CreateParser>(&handle, c"createNvOnnxParser_INTERNAL")?;
                let get_version = symbol::<GetVersion>(&handle, c"getNvOnnxParserVersion")?;
                Ok(Parser {
                    create,
                    raw_version: get_version(),
                })
            }
        });
        match opened {
            Ok(parser) => return Ok(parser),
            Err(why) => tried.push(format!("{}: {why}", name.to_string_lossy())),
        }
    }
    Err(tried.join("; "))
}

/// The file that an address was loaded from.
fn file_of(address: *const c_void) -> Option<PathBuf> {
    // SAFETY: zeroes are a value of this struct of addresses.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `dladdr` only looks the address up, and fills the struct if it returns something else than 0.
    let found = unsafe { libc::dladdr(address, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own C string, which lives as long as the library is loaded: forever.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_named() {
        // SAFETY: there is nothing to load.
        let error = unsafe { Library::load(Path::new("/nonexistent/libnvinfer.so.10")) }
            .expect_err("no file");
        let text = error.to_string();
        assert!(text.contains("/nonexistent/libnvinfer.so.10"), "{text}");
        assert!(text.contains(LIBRARY_VARIABLE), "{text}");
        assert_eq!(error.tried.len(), 1);
    }

    #[test]
    fn an_empty_directory_lists_every_name() {
        let directory = tempfile::tempdir().expect("temporary directory");
        // SAFETY: there is nothing to load.
        let error = unsafe { Library::load(directory.path()) }.expect_err("empty");
        assert_eq!(error.tried.len(), NAMES.len());
    }

    #[test]
    fn files_that_are_no_library_are_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("libnvinfer.so.10");
        for contents in [&b""[..], b"\x7fELF", b"hello"] {
            std::fs::write(&path, contents).expect("write");
            // SAFETY: the loader refuses what is no library.
            unsafe { Library::load(&path) }.expect_err("no library");
        }
    }

    #[test]
    fn other_libraries_are_refused() {
        // SAFETY: the C library is loaded already.
        let error =
            unsafe { Library::first_of([OsString::from("libc.so.6")]) }.expect_err("not TensorRT");
        assert!(
            error.to_string().contains("not a TensorRT library"),
            "{error}"
        );
    }
}

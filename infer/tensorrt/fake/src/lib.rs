//! Stand-ins for TensorRT, compiled when a test runs, so that everything that calls it can be tested without a GPU.
//!
//! For TensorRT 10, 11 and TensorRT-RTX they are compiled from NVIDIA's headers, so a C++ compiler lays out the classes
//! and a call through a wrong slot ends the process. The headers come out of the crate registry when a test runs and are
//! never a part of this project. No package carries those of TensorRT 8: its stand-in is laid out by the very table that
//! it tests, so it shows that the sequence of calls is right and not that the slots are; only `hanja-slot-check` on a
//! device shows that.
//!
//! The engine of a stand-in takes `images`, 1 x 3 x height x width floats, and computes `output0` in host memory, within
//! `enqueue` or when the stream gets there, by two C++ functions that the test hands in ([`Fake::model`]). A build turns any
//! ONNX into a plan that only a stand-in of the same version accepts ([`plan`]).
//!
//! Failures on demand: words after `FAKE:` in the ONNX, in the plan's third line, or in the variable `HANJA_FAKE_TRT`
//! (separated by blanks): `parse`, `build`, `deserialize`, `context`, `enqueue`; `input-chw16` and `output-chw16` for
//! tensors of another layout. `HANJA_FAKE_TRT_BUILD_MS` makes builds take that long.
//! Each library exports `int fake_live()`, the number of objects that nobody has deleted yet.

#![forbid(unsafe_code)]

mod error;
mod stubs;

pub use error::FakeError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which TensorRT to stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TensorRT 8 of this minor version, by the table; named tensors from 5 on.
    Eight(u32),
    /// TensorRT 10.16.
    Ten,
    /// TensorRT 11.4.
    Eleven,
    /// TensorRT-RTX 1.7.
    Rtx,
}

impl Kind {
    /// Package and version that carry the headers, and the folder in it.
    fn headers(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Eight(_) => None,
            Self::Ten => Some(("0.5.0", "TRT-Enterprise-10.16")),
            Self::Eleven => Some(("0.9.1", "TRT-Enterprise-11.4")),
            Self::Rtx => Some(("0.9.1", "TRT-RTX-1.7")),
        }
    }

    /// What `getInferLibVersion` returns.
    pub fn version(self) -> i32 {
        match self {
            Self::Eight(minor) => 8001 + 100 * i32::try_from(minor).unwrap_or(0),
            Self::Ten => 101_600,
            Self::Eleven => 110_400,
            Self::Rtx => 10_701,
        }
    }

    /// The library's file, and the parser's.
    fn files(self) -> [&'static str; 2] {
        match self {
            Self::Eight(_) => ["libnvinfer.so.8", "libnvonnxparser.so.8"],
            Self::Ten => ["libnvinfer.so.10", "libnvonnxparser.so.10"],
            Self::Eleven => ["libnvinfer.so.11", "libnvonnxparser.so.11"],
            Self::Rtx => ["libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"],
        }
    }
}

/// A model for tests that only want some answer: one row of the input's sum, height, width and first value.
pub const SUM: &str = r#"
#include <cstdint>
extern "C" void fake_model_shape(int64_t, int64_t, int64_t* rows, int64_t* columns) { *rows = 1; *columns = 4; }
extern "C" void fake_model_run(void*, float const* input, int64_t height, int64_t width, float* output, int64_t, int64_t)
{
    output[0] = 0;
    for (int64_t i = 0; i < 3 * height * width; ++i)
        output[0] += input[i];
    output[1] = height;
    output[2] = width;
    output[3] = input[0];
}
"#;

/// A model with the shape of a YOLOv5 of ten classes, which finds the dark part of a picture: one box of class 3 and score
/// 0.9 around everything darker than 0.3, with a second one a pixel smaller, for the suppression to remove. It runs when
/// its stream gets there (`cuLaunchHostFunc`), also from a graph.
pub const DARK: &str = include_str!("../cpp/dark.cpp");

/// A plan as the stand-in of this version builds it; -1 for a size that the context decides. `failures`: what is to fail.
pub fn plan(kind: Kind, height: i64, width: i64, failures: &str) -> Vec<u8> {
    format!(
        "HANJA FAKE PLAN\n{} {height} {width}\n{failures}\n",
        kind.version()
    )
    .into_bytes()
}

/// A stand-in to be compiled.
#[derive(Debug, Clone)]
pub struct Fake {
    kind: Kind,
    version: i32,
    model: String,
}

impl Fake {
    /// The stand-in with [`SUM`] for a model.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            version: kind.version(),
            model: SUM.to_owned(),
        }
    }

    /// Lets it give another version than its own.
    #[must_use]
    pub fn version(mut self, raw: i32) -> Self {
        self.version = raw;
        self
    }

    /// C++ source of the model: `extern "C"` functions `void fake_model_shape(int64_t height, int64_t width, int64_t*
    /// rows, int64_t* columns)`, the size of `output0`, and `void fake_model_run(void* stream, float const* input,
    /// int64_t height, int64_t width, float* output, int64_t rows, int64_t columns)`, its contents.
    #[must_use]
    pub fn model(mut self, source: &str) -> Self {
        source.clone_into(&mut self.model);
        self
    }

    /// Compiles library and parser into `directory`, under the names of the real ones. Gives the library's path.
    ///
    /// # Errors
    /// Says what is missing: the C++ compiler (`CXX`, else `c++`), or the headers and the registry to get them from.
    pub fn build(&self, directory: &Path) -> Result<PathBuf, FakeError> {
        let work = tempfile::tempdir().map_err(FakeError::TemporaryDirectory)?;
        let write = |name: &str, text: &str| {
            let path = work.path().join(name);
            std::fs::write(&path, text).map_err(|error| FakeError::Write { path, error })
        };
        write("common.hpp", include_str!("../cpp/common.hpp"))?;
        write("model.cpp", &self.model)?;
        let mut flags = vec![format!("-DFAKE_VERSION={}", self.version)];
        if let Kind::Eight(minor) = self.kind {
            write("eight.hpp", include_str!("../cpp/eight.hpp"))?;
            write("library.cpp", include_str!("../cpp/eight.cpp"))?;
            write("parser.cpp", include_str!("../cpp/eight_parser.cpp"))?;
            flags.extend(slots(minor));
        } else {
            let headers = headers(self.kind)?;
            write("library.cpp", include_str!("../cpp/modern.cpp"))?;
            write("parser.cpp", include_str!("../cpp/parser.cpp"))?;
            flags.push(format!("-isystem{}", headers.display()));
            let with_cuda = headers.parent().unwrap_or(&headers);
            flags.push(format!("-isystem{}", with_cuda.display()));
            write(
                "headers.cpp",
                "#include \"NvInfer.h\"\n#include \"NvOnnxParser.h\"\n",
            )?;
            let text = compiler(work.path(), &flags, &["-E", "-P", "headers.cpp"])?;
            write("stubs.hpp", &stubs::generate(&text)?)?;
            flags.push(format!(
                "-DFAKE_MAJOR={}",
                if self.kind == Kind::Ten { 10 } else { 11 }
            ));
            flags.push(format!("-DFAKE_RTX={}", u8::from(self.kind == Kind::Rtx)));
        }
        let [library, parser] = self.kind.files().map(|name| directory.join(name));
        compile(
            work.path(),
            &flags,
            &["library.cpp", "model.cpp"],
            &library,
            &[],
        )?;
        let library_name = library.to_string_lossy();
        let link = [&*library_name, "-Wl,-rpath,$ORIGIN"];
        compile(
            work.path(),
            &flags,
            &["parser.cpp", "model.cpp"],
            &parser,
            &link,
        )?;
        Ok(library)
    }
}

/// The table's slots as the C++ source of TensorRT 8's stand-in wants them.
fn slots(minor: u32) -> Vec<String> {
    let table = hanja_tensorrt::slots::V8.of_minor(minor);
    let define = |(class, method, place): (&str, &str, usize)| {
        format!("-DSLOT_{class}_{}={place}", method.replace('~', "delete_"))
    };
    table.entries().into_iter().map(define).collect()
}

/// One shared library, as if it were a real one: under its own soname, with everything hidden but what is exported.
fn compile(
    work: &Path,
    flags: &[String],
    sources: &[&str],
    output: &Path,
    link: &[&str],
) -> Result<(), FakeError> {
    let soname = output.file_name().unwrap_or_default().to_string_lossy();
    let soname = format!("-Wl,-soname,{soname}");
    let output = output.to_string_lossy();
    let mut arguments = vec![
        "-shared",
        "-fPIC",
        "-fvisibility=hidden",
        "-pthread",
        "-o",
        &output,
        &soname,
    ];
    arguments.extend(sources);
    arguments.extend(link);
    compiler(work, flags, &arguments).map(drop)
}

/// Runs the C++ compiler (`CXX`, else `c++`), gives what it prints.
fn compiler(work: &Path, flags: &[String], arguments: &[&str]) -> Result<String, FakeError> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let run = Command::new(&compiler)
        .current_dir(work)
        .args(["-std=c++17", "-w"])
        .args(flags)
        .args(arguments)
        .output()
        .map_err(|error| FakeError::NoCompiler { compiler, error })?;
    if run.status.success() {
        return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    let said = said.lines().take(20).collect::<Vec<_>>().join("\n");
    Err(FakeError::Compile(said))
}

/// The directory of this kind's NvInfer.h, out of the crate registry: cargo fetches the package for a manifest that is
/// thrown away, and says where it unpacked it.
///
/// # Errors
/// If cargo cannot get the package, or the kind has no headers there.
pub fn headers(kind: Kind) -> Result<PathBuf, FakeError> {
    let (version, folder) = kind.headers().ok_or(FakeError::NoPackage)?;
    let work = tempfile::tempdir().map_err(FakeError::TemporaryDirectory)?;
    let manifest = format!(
        "[package]\nname = \"headers\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\ntrtx-sys = \"={version}\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n"
    );
    for (name, text) in [("Cargo.toml", manifest.as_str()), ("lib.rs", "")] {
        let path = work.path().join(name);
        std::fs::write(&path, text).map_err(|error| FakeError::Write { path, error })?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .current_dir(work.path())
        .args(["metadata", "--format-version", "1"])
        .output()
        .map_err(FakeError::NoCargo)?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        return Err(FakeError::Fetch { version, said });
    }
    let metadata = String::from_utf8_lossy(&run.stdout);
    let directory = metadata
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains(&format!("trtx-sys-{version}")))
        .and_then(|path| Path::new(path).parent())
        .ok_or(FakeError::NoPath)?
        .join("TensorRT-Headers")
        .join(folder);
    if directory.join("NvInfer.h").exists() {
        Ok(directory)
    } else {
        Err(FakeError::NoHeader(directory))
    }
}

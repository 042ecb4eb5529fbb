//! A driver library that needs no GPU, for the tests of whatever uses one. It computes the true answer: its memory is
//! the CPU's, its kernels are the product's own `hanja.cu` compiled as C.
//!
//! The C compiler makes it when a test first asks for it; it is found by way of `LD_LIBRARY_PATH`, which a process
//! cannot change for itself, so such tests run in a child: [`in_child`], or any process with [`environment`].
//!
//! What it plays is a list of words with commas between them, in `HANJA_FAKE_CUDA`, or, if that is `@PATH`, in the file
//! PATH, which may change at any time:
//!
//! | word | meaning |
//! |---|---|
//! | `no-device` | the driver is there, a GPU is not |
//! | `driver:N` | version of the driver, `11040` for CUDA 11.4 |
//! | `capability:N` | `87` for 8.7; without it 7.2 |
//! | `discrete` | a GPU with memory of its own; without it an integrated one |
//! | `no-map` | cannot map memory of the CPU |
//! | `no-register` | cannot register memory, and says so, as Jetson Nano and TX2 |
//! | `refuse-register` | says that it can register memory, and answers 801 |
//! | `no-read-only` | has no flag for memory that may only be read |
//! | `no-kernels` | cannot compile the kernels |
//! | `no-capture` | every capture of a graph fails at its end |
//! | `late:N` | every event says N times that it has not fired |
//! | `lazy` | does nothing before somebody waits for it: shows what does not wait but should |
//! | `fail:NAME:N:CODE` | the Nth call of the function NAME returns CODE (1 without), once |
//! | `lost:N` | from the Nth call of any function on, all return 719 |
//!
//! A stand-in for another library can put its own work into a stream with `cuLaunchHostFunc`, as one can with the real
//! driver; what it computes at once, while it enqueues, is in order too unless `lazy` is set or a graph is recorded.

#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("../libcuda.c");
const STREAMS: &str = include_str!("../streams.h");
const KERNELS: &str = include_str!("../../kernels/hanja.cu");
/// Says, in the child, which test it is there for.
const CHILD: &str = "HANJA_FAKE_CUDA_CHILD";

/// Which driver's functions the library has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// CUDA 12.6: all that the product uses.
    Current,
    /// CUDA 10.2, as on the first Jetson Nano: no memory pools, no graphs as they are made today.
    Cuda10_2,
}

/// Makes the library if it is not there yet; gives the folder that it is in.
///
/// # Panics
/// Without a C compiler (`$CC`, or `cc`).
#[must_use]
pub fn build(driver: Driver) -> PathBuf {
    let mut hash = DefaultHasher::new();
    (SOURCE, STREAMS, KERNELS).hash(&mut hash);
    let exe = std::env::current_exe().expect("this program has a path");
    let beside = exe.parent().expect("a program is in a folder");
    let dir = beside.join(format!("hanja-fake-cuda-{driver:?}-{:016x}", hash.finish()));
    if dir.join("libcuda.so.1").exists() {
        return dir;
    }
    // Made elsewhere and moved: tests run side by side.
    let work = tempfile::tempdir_in(beside).expect("the folder of the program is writable");
    for (name, text) in [
        ("libcuda.c", SOURCE),
        ("streams.h", STREAMS),
        ("hanja.cu", KERNELS),
    ] {
        std::fs::write(work.path().join(name), text).expect("writable");
    }
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    // As the GPU computes: no fused multiply-add.
    command.args([
        "-std=gnu11",
        "-O2",
        "-ffp-contract=off",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    command.args(["-shared", "-fPIC", "-fvisibility=hidden", "-pthread"]);
    if driver == Driver::Cuda10_2 {
        command.arg("-DFAKE_10_2");
    }
    command
        .args(["-o", "libcuda.so.1", "libcuda.c"])
        .current_dir(work.path());
    let made = command.output().unwrap_or_else(|e| {
        panic!(
            "no C compiler {}: {e}; install one, or set CC",
            compiler.display()
        )
    });
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    // The loader is asked for this name first, and a machine with a real driver has it.
    std::os::unix::fs::symlink("libcuda.so.1", work.path().join("libcuda.so")).expect("writable");
    if std::fs::rename(work.path(), &dir).is_err() {
        assert!(
            dir.join("libcuda.so.1").exists(),
            "{} cannot be made",
            dir.display()
        );
    }
    dir
}

/// Environment variables for a process that shall find the library and see it play `modes`; with `trace`, every call's
/// name is added to that file, one a line.
#[must_use]
pub fn environment(driver: Driver, modes: &str, trace: Option<&Path>) -> Vec<(String, String)> {
    let text = |p: &Path| p.to_str().expect("a path in UTF-8").to_owned();
    let mut path = text(&build(driver));
    if let Ok(others) = std::env::var("LD_LIBRARY_PATH") {
        path = format!("{path}:{others}");
    }
    let mut all = vec![
        ("LD_LIBRARY_PATH".to_owned(), path),
        ("HANJA_FAKE_CUDA".to_owned(), modes.to_owned()),
    ];
    all.extend(trace.map(|t| ("HANJA_FAKE_CUDA_TRACE".to_owned(), text(t))));
    all
}

/// Runs `body`, which belongs to the test function `test` (with its modules, as `cargo test` prints it), in a child
/// process that has this driver. Give the same arguments in parent and child; call it once in a test. The parent gets
/// the names of the functions that were called, in order; for the child it is the end of the test.
///
/// # Panics
/// When the body does, or when there is no such test.
pub fn in_child(
    test: &str,
    driver: Driver,
    modes: &str,
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    in_child_with(test, driver, modes, Vec::new, body)
}

/// The same with more environment variables, which only the parent makes.
///
/// # Panics
/// As [`in_child`].
pub fn in_child_with(
    test: &str,
    driver: Driver,
    modes: &str,
    more: impl FnOnce() -> Vec<(String, String)>,
    body: impl FnOnce(),
) -> Option<Vec<String>> {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        body();
        return None;
    }
    let trace = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .envs(environment(driver, modes, Some(trace.path())))
        .envs(more())
        .env(CHILD, test)
        .output()
        .expect("this program can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("test result: ok. 1 passed"),
        "{test} over a fake driver ({driver:?}, {modes:?}): {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let calls = std::fs::read_to_string(trace.path()).expect("the trace");
    Some(calls.lines().map(ToOwned::to_owned).collect())
}

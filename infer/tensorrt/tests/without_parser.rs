//! An installation without the ONNX parser: engines run, builds say what is missing.
//!
//! Alone in its process: the loader would find a parser that another test has loaded already.

use hanja_tensorrt::{Library, Request, Runtime, build};
use hanja_tensorrt_fake::{Fake, Kind, plan};

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn a_missing_parser_is_named_and_engines_run_without_it() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = Fake::new(Kind::Eleven)
        .build(directory.path())
        .expect("the stand-in compiles");
    std::fs::remove_file(directory.path().join("libnvonnxparser.so.11")).expect("remove");
    // SAFETY: a library of ours.
    let library = unsafe { Library::load(directory.path()) }.expect("loads");
    assert_eq!(library.path(), path);
    assert_eq!(library.version().to_string(), "11.4.0");
    let error = build(&library, &Request::new(b"\x08\x07", 2, 4))
        .expect_err("no parser")
        .to_string();
    assert!(error.contains("libnvonnxparser.so.11"), "{error}");
    assert!(
        library
            .cannot_build()
            .expect("a reason")
            .contains("libnvonnxparser.so.11")
    );
    // SAFETY: a stand-in's plan is no code.
    let engine = unsafe {
        Runtime::new(&library)
            .expect("runtime")
            .deserialize(&plan(Kind::Eleven, 2, 4, ""))
    };
    engine.expect("engine").create_context().expect("context");
}

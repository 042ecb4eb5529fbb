//! `hanja-slot-check` on the headers that the crate registry has, on a header that differs, and without any.

use std::path::Path;
use std::process::{Command, Output};

use hanja_tensorrt_fake::{Kind, headers};

fn check(arguments: &[&Path]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hanja-slot-check"));
    for directory in arguments {
        command.arg("--include").arg(directory);
    }
    let output = command.output().expect("run");
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_missing_header_is_named_with_the_remedy() {
    let nothing = tempfile::tempdir().expect("temporary directory");
    let (output, text) = check(&[nothing.path()]);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("NvInfer.h") && text.contains("libnvinfer-dev"),
        "{text}"
    );
}

#[test]
fn a_missing_compiler_is_named_with_the_remedy() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for header in ["NvInfer.h", "NvOnnxParser.h"] {
        std::fs::write(directory.path().join(header), "").expect("write");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_hanja-slot-check"))
        .arg("--include")
        .arg(directory.path())
        .env("CXX", "/nonexistent/c++")
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("/nonexistent/c++") && text.contains("install g++"),
        "{text}"
    );
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn the_tables_agree_with_the_headers() {
    let known = [
        (Kind::Ten, "TensorRT 10.16: all"),
        (Kind::Eleven, "TensorRT 11.4: all"),
        (Kind::Rtx, "TensorRT-RTX 1.7: all"),
    ];
    for (kind, message) in known {
        let headers = headers(kind).expect("headers");
        let (output, text) = check(&[&headers, headers.parent().expect("parent")]);
        print!("{text}");
        assert!(output.status.success() && text.contains(message), "{text}");
    }
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn a_header_with_one_more_method_is_noticed() {
    let headers = headers(Kind::Ten).expect("headers");
    let changed = tempfile::tempdir().expect("temporary directory");
    for file in std::fs::read_dir(&headers).expect("list") {
        let file = file.expect("entry");
        let text = std::fs::read_to_string(file.path()).expect("read");
        let method = "virtual ICudaEngine* addedByATest() noexcept = 0;";
        let class = "class VCudaEngine : public VRoot\n{\npublic:\n";
        let text = text.replace(class, &format!("{class}    {method}\n"));
        std::fs::write(changed.path().join(file.file_name()), text).expect("write");
    }
    let (output, text) = check(&[changed.path(), headers.parent().expect("parent")]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("VCudaEngine getNbIOTensors: the table says 30, the header 31"),
        "{text}"
    );
    assert!(!text.contains("VRuntime"), "{text}");
}

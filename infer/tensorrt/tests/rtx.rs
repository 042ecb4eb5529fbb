//! The call layer against NVIDIA's real library: TensorRT-RTX 1.7 builds engines without a GPU and refuses the rest
//! with its own message. Its interface is TensorRT 11's.
//!
//! Needs the library, whose licence is the user's to accept: run by `HANJA_TEST_TENSORRT_RTX=1 ci/tensorrt.sh`.

use std::sync::Mutex;
use std::time::Instant;

use hanja_tensorrt::{Flavour, Library, Progress, Request, Runtime, build};

fn model(variable: &str) -> Vec<u8> {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} names no model"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn library() -> Library {
    let library = Library::find().expect("HANJA_TENSORRT_LIB names TensorRT-RTX");
    assert_eq!(library.flavour(), Flavour::Rtx);
    println!("{} from {}", library.label(), library.path().display());
    library
}

#[test]
#[ignore = "needs NVIDIA's TensorRT-RTX library, run by HANJA_TEST_TENSORRT_RTX=1 ci/tensorrt.sh"]
fn it_builds_the_shipped_model_without_a_gpu() {
    let library = library();
    for variable in ["HANJA_TEST_FP16_ONNX", "HANJA_TEST_FP32_ONNX"] {
        let onnx = model(variable);
        let phases = Mutex::new(Vec::new());
        let note = |progress: &Progress<'_>| {
            if progress.done == 0 {
                let line = format!("{} in {} steps", progress.phase, progress.steps);
                phases.lock().expect("lock").push(line);
            }
            true
        };
        let mut request = Request::new(&onnx, 640, 640);
        request.compute_capability = Some(86);
        request.workspace = Some(1 << 30);
        request.progress = Some(&note);
        let start = Instant::now();
        let built = build(&library, &request).expect("it builds");
        println!(
            "{variable}: a plan of {} bytes of {} of ONNX in {:.1} s; timing cache {:?} bytes; phases {:?}",
            built.plan.len(),
            onnx.len(),
            start.elapsed().as_secs_f32(),
            built.timing_cache.as_ref().map(Vec::len),
            phases.lock().expect("lock"),
        );
        assert!(built.plan.len() > 100_000);

        let runtime = Runtime::new(&library).expect("a runtime needs no GPU");
        // SAFETY: the plan was built just now.
        let error = unsafe { runtime.deserialize(&built.plan) }
            .expect_err("no GPU here")
            .to_string();
        println!("deserialize: {error}");
        assert!(error.contains("CUDA"), "{error}");
    }
}

#[test]
#[ignore = "needs NVIDIA's TensorRT-RTX library, run by HANJA_TEST_TENSORRT_RTX=1 ci/tensorrt.sh"]
fn it_refuses_with_its_own_message() {
    let library = library();
    let runtime = Runtime::new(&library).expect("a runtime needs no GPU");
    // SAFETY: the library checks a magic number first.
    let error = unsafe { runtime.deserialize(&[7; 4096]) }
        .expect_err("junk")
        .to_string();
    println!("junk plan: {error}");
    assert!(error.contains("magicTag"), "{error}");

    let error = build(&library, &Request::new(b"junk", 640, 640))
        .expect_err("junk")
        .to_string();
    println!("junk ONNX: {error}");
    assert!(error.contains("ONNX"), "{error}");

    let onnx = model("HANJA_TEST_FP16_ONNX");
    let mut request = Request::new(&onnx, 640, 640);
    request.fp16 = true;
    let error = build(&library, &request)
        .expect_err("no such flag")
        .to_string();
    println!("fp16 flag: {error}");
    assert!(error.contains("fp16 model"), "{error}");

    // At 650 rows the network's strides do not meet again: refused only because the size did reach the network.
    let error = build(&library, &Request::new(&onnx, 650, 640))
        .expect_err("650 rows")
        .to_string();
    println!("height 650: {error}");

    request.fp16 = false;
    request.progress = Some(&|progress| progress.done == 0);
    let error = build(&library, &request)
        .expect_err("cancelled")
        .to_string();
    println!("cancelled: {error}");
    assert!(error.contains("cancelled"), "{error}");
}

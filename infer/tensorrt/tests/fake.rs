//! The whole call layer against stand-ins that a C++ compiler laid out: sequences, failures, and that nothing is left.
//!
//! Needs a C++ compiler, and the crate registry for NVIDIA's headers: run by `ci/tensorrt.sh`, ignored elsewhere.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use hanja_tensorrt::{
    Context, DataType, Direction, Engine, Error, Flavour, Layout, Library, Progress, Request,
    Runtime, build,
};
use hanja_tensorrt_fake::{Fake, Kind, plan};

const ALL: [Kind; 7] = [
    Kind::Eight(0),
    Kind::Eight(2),
    Kind::Eight(4),
    Kind::Eight(6),
    Kind::Ten,
    Kind::Eleven,
    Kind::Rtx,
];

/// A model as far as the stand-in looks: the protobuf field that every ONNX file begins with.
const ONNX: &[u8] = b"\x08\x07 no real model";

struct Loaded {
    kind: Kind,
    library: Library,
    path: PathBuf,
}

/// One test at a time: they count the living objects.
static TURN: Mutex<()> = Mutex::new(());

fn all() -> &'static [Loaded] {
    static LOADED: OnceLock<Vec<Loaded>> = OnceLock::new();
    LOADED.get_or_init(|| {
        ALL.map(|kind| {
            let directory = tempfile::tempdir().expect("temporary directory").keep();
            let path = Fake::new(kind)
                .build(&directory)
                .expect("the stand-in compiles");
            // SAFETY: a library of ours.
            let library = unsafe { Library::load(&path) }.expect("the stand-in loads");
            Loaded {
                kind,
                library,
                path,
            }
        })
        .into()
    })
}

fn each(test: impl Fn(&Loaded)) {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for loaded in all() {
        println!("{:?}", loaded.kind);
        test(loaded);
        assert_eq!(loaded.living(), 0, "{:?}: objects are left", loaded.kind);
    }
}

impl Loaded {
    /// Objects of the library and of its parser that were not deleted.
    fn living(&self) -> i32 {
        let directory = self.path.parent().expect("a directory");
        let files = std::fs::read_dir(directory)
            .expect("list")
            .map(|entry| entry.expect("entry").path());
        files.map(|file| living(&file)).sum()
    }

    fn engine(&self, height: i64, width: i64, failures: &str) -> Engine {
        let runtime = Runtime::new(&self.library).expect("runtime");
        // SAFETY: a stand-in's plan is no code.
        unsafe { runtime.deserialize(&plan(self.kind, height, width, failures)) }.expect("engine")
    }
}

fn living(file: &Path) -> i32 {
    // SAFETY: a library of ours, loaded already, and its function's type.
    unsafe {
        let library = libloading::Library::new(file).expect("load");
        library
            .get::<unsafe extern "C" fn() -> i32>(c"fake_live")
            .expect("fake_live")()
    }
}

fn run(context: &mut Context, input: &[f32]) -> Result<[f32; 4], Error> {
    let mut output = [0f32; 4];
    // SAFETY: the stand-in's device memory is the host's; both live until its enqueue, which does the work, returns.
    unsafe {
        context.bind("images", input.as_ptr().addr() as u64)?;
        context.bind("output0", output.as_mut_ptr().addr() as u64)?;
        context.enqueue(std::ptr::null_mut())?;
    }
    Ok(output)
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn an_engine_tells_its_tensors_and_computes() {
    each(|loaded| {
        let engine = loaded.engine(2, 4, "");
        let [input, output] = engine.tensors() else {
            panic!("{:?}", engine.tensors())
        };
        assert_eq!(
            (input.name.as_str(), output.name.as_str()),
            ("images", "output0")
        );
        assert_eq!(
            (input.direction, output.direction),
            (Direction::Input, Direction::Output)
        );
        assert_eq!(
            (&input.shape[..], &output.shape[..]),
            (&[1, 3, 2, 4][..], &[1, 1, 4][..])
        );
        assert_eq!((input.data_type, input.bytes()), (DataType::F32, Some(96)));
        for (failures, padded) in [
            ("", [false; 2]),
            ("input-chw16", [true, false]),
            ("output-chw16", [false, true]),
        ] {
            let engine = loaded.engine(2, 4, failures);
            let layouts: Vec<_> = engine.tensors().iter().map(|t| t.layout).collect();
            let wanted = padded.map(|padded| {
                if padded {
                    Layout::Other(4)
                } else {
                    Layout::Linear
                }
            });
            assert_eq!(layouts, wanted, "{failures}");
        }
        let mut context = engine.create_context().expect("context");
        // Whatever is dropped first, the parents stay as long as they are needed.
        drop(engine);
        let input: Vec<f32> = (1..=24u8).map(f32::from).collect();
        for _ in 0..3 {
            assert_eq!(
                run(&mut context, &input).expect("run"),
                [300.0, 2.0, 4.0, 1.0]
            );
        }
        assert_eq!(context.shape("output0").expect("shape"), [1, 1, 4]);
        // A context may move to another thread and be dropped there.
        std::thread::spawn(move || drop(context))
            .join()
            .expect("thread");
    });
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn an_open_shape_is_the_contexts() {
    each(|loaded| {
        let engine = loaded.engine(-1, -1, "");
        assert_eq!(engine.tensors()[0].shape, [1, 3, -1, -1]);
        assert!(engine.tensors()[0].is_dynamic());
        let mut context = engine.create_context().expect("context");
        run(&mut context, &[1.0; 6]).expect_err("no shape yet");
        context
            .set_input_shape("images", &[1, 3, 1, 2])
            .expect("shape");
        assert_eq!(context.shape("images").expect("shape"), [1, 3, 1, 2]);
        assert_eq!(context.shape("output0").expect("shape"), [1, 1, 4]);
        assert_eq!(
            run(&mut context, &[1.0; 6]).expect("run"),
            [6.0, 1.0, 2.0, 1.0]
        );
        let error = context
            .set_input_shape("images", &[1, 1, 1, 2])
            .expect_err("one channel");
        assert!(error.to_string().contains("[1, 1, 1, 2]"), "{error}");
        context
            .set_input_shape("images", &[1; 9])
            .expect_err("nine dimensions");
        context
            .set_input_shape("output0", &[1, 1, 4])
            .expect_err("an output");
    });
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn what_fails_says_why_with_tensorrts_message() {
    each(|loaded| {
        let runtime = Runtime::new(&loaded.library).expect("runtime");
        let good = plan(loaded.kind, 2, 4, "");
        let foreign =
            String::from_utf8(good.clone())
                .expect("text")
                .replacen(char::is_numeric, "9", 1);
        let bad = [
            (&b"junk"[..], "magicTag"),
            (b"", "magicTag"),
            (&good[..18], "truncated"),
            (foreign.as_bytes(), "of version 9"),
        ];
        for (bytes, reason) in bad {
            // SAFETY: a stand-in's plan is no code.
            let error = unsafe { runtime.deserialize(bytes) }
                .expect_err("a bad plan")
                .to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.starts_with(&loaded.library.label()), "{error}");
        }
        let error = loaded
            .engine(2, 4, "context")
            .create_context()
            .expect_err("asked for")
            .to_string();
        assert!(
            error.contains("createExecutionContext") && error.contains("out of memory"),
            "{error}"
        );
        let mut context = loaded
            .engine(2, 4, "enqueue")
            .create_context()
            .expect("context");
        // SAFETY: nothing is bound, so nothing can be run.
        let error = unsafe { context.enqueue(std::ptr::null_mut()) }
            .expect_err("nothing bound")
            .to_string();
        assert!(error.contains("images"), "{error}");
        let error = run(&mut context, &[0.0; 24])
            .expect_err("asked for")
            .to_string();
        assert!(
            error.contains("enqueueV") && error.contains("asked for"),
            "{error}"
        );
        // SAFETY: refused before it is used.
        let error = unsafe { context.bind("image", 1) }
            .expect_err("no such tensor")
            .to_string();
        assert!(error.contains("images, output0"), "{error}");
        // SAFETY: refused before it is used.
        unsafe { context.bind("images", 0) }.expect_err("no address");
    });
}

/// As in a process whose engine is refused, built anew and loaded again; TensorRT speaks to the first logger only.
#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn a_library_that_is_found_again_still_says_why() {
    each(|loaded| {
        for path in [
            loaded.path.as_path(),
            loaded.path.parent().expect("a directory"),
        ] {
            // SAFETY: a library of ours.
            let again = unsafe { Library::load(path) }.expect("the stand-in loads");
            let runtime = Runtime::new(&again).expect("runtime");
            // SAFETY: a stand-in's plan is no code.
            let error = unsafe { runtime.deserialize(b"junk") }
                .expect_err("a bad plan")
                .to_string();
            assert!(error.contains("magicTag"), "{error}");
        }
    });
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn a_build_makes_a_plan_that_runs() {
    each(|loaded| {
        let library = &loaded.library;
        assert_eq!(library.cannot_build(), None);
        let steps = AtomicUsize::new(0);
        let count = |progress: &Progress<'_>| {
            assert_eq!(
                (progress.phase, progress.parent, progress.steps),
                ("Building Engine", None, 10)
            );
            steps.fetch_add(1, Ordering::Relaxed);
            true
        };
        let mut request = Request::new(ONNX, 2, 4);
        request.fp16 = library.fp16_by_flag();
        request.workspace = Some(1 << 20);
        request.progress = Some(&count);
        request.compute_capability = (library.flavour() == Flavour::Rtx).then_some(86);
        let built = build(library, &request).expect("built");
        let eight = matches!(loaded.kind, Kind::Eight(_));
        assert_eq!(steps.load(Ordering::Relaxed), if eight { 0 } else { 12 });
        let plan = String::from_utf8(built.plan.clone()).expect("text");
        assert_eq!(plan.contains("fp16"), request.fp16);
        assert_eq!(plan.contains("card=86"), loaded.kind == Kind::Rtx);
        assert!(plan.contains("workspace=1048576"), "{plan}");
        assert_eq!(
            built.timing_cache.as_deref(),
            Some(&b"HANJA FAKE CACHE +1"[..])
        );
        // SAFETY: a stand-in's plan is no code.
        let engine = unsafe {
            Runtime::new(library)
                .expect("runtime")
                .deserialize(&built.plan)
        }
        .expect("engine");
        assert_eq!(engine.tensors()[0].shape, [1, 3, 2, 4]);
        let mut context = engine.create_context().expect("context");
        assert_eq!(
            run(&mut context, &[2.0; 24]).expect("run"),
            [48.0, 2.0, 4.0, 2.0]
        );

        let mut again = Request::new(ONNX, 2, 4);
        again.timing_cache = built.timing_cache.as_deref();
        let built = build(library, &again).expect("built");
        assert_eq!(
            built.timing_cache.as_deref(),
            Some(&b"HANJA FAKE CACHE +1 +1"[..])
        );
        again.timing_cache = Some(b"of another device");
        let built = build(library, &again).expect("a foreign cache only costs time");
        assert_eq!(
            built.timing_cache.as_deref(),
            Some(&b"HANJA FAKE CACHE +1"[..])
        );
    });
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn a_build_that_fails_says_why() {
    each(|loaded| {
        let library = &loaded.library;
        let refused = |onnx: &[u8]| {
            build(library, &Request::new(onnx, 2, 4))
                .expect_err("refused")
                .to_string()
        };
        let by_name = if matches!(loaded.kind, Kind::Eight(_)) {
            "(node 3)"
        } else {
            "(node 3, /model.0/conv/Conv)"
        };
        for onnx in [&b"junk"[..], b"", b"\x08\x07 FAKE: parse"] {
            let error = refused(onnx);
            assert!(
                error.contains("No importer") && error.contains(by_name),
                "{error}"
            );
        }
        let error = refused(b"\x08\x07 FAKE: build");
        assert!(
            error.contains("buildSerializedNetwork") && error.contains("Error Code 4"),
            "{error}"
        );
        build(library, &Request::new(ONNX, 0, 4)).expect_err("no height");

        let mut flag = Request::new(ONNX, 2, 4);
        flag.fp16 = true;
        assert_eq!(
            build(library, &flag).is_ok(),
            matches!(loaded.kind, Kind::Eight(_) | Kind::Ten)
        );
        let mut card = Request::new(ONNX, 2, 4);
        card.compute_capability = Some(86);
        assert_eq!(build(library, &card).is_ok(), loaded.kind == Kind::Rtx);

        let mut cancelled = Request::new(ONNX, 2, 4);
        cancelled.progress = Some(&|progress| progress.done < 3);
        match build(library, &cancelled) {
            Err(Error::Cancelled) => assert!(!matches!(loaded.kind, Kind::Eight(_))),
            other => assert!(
                other.is_ok() && matches!(loaded.kind, Kind::Eight(_)),
                "{other:?}"
            ),
        }
    });
}

#[test]
#[ignore = "needs a C++ compiler and NVIDIA's headers from the crate registry, run by ci/tensorrt.sh"]
fn unknown_versions_are_refused_by_name_and_left_alone() {
    for (kind, raw, name) in [
        (Kind::Ten, 120_000, "TensorRT 12.0.0"),
        (Kind::Eight(2), 7103, "TensorRT 7.1.3"),
        (Kind::Eight(2), 9300, "TensorRT 9.3.0"),
        (Kind::Rtx, 10_600, "TensorRT-RTX 1.6.0"),
        (Kind::Ten, 0, "gives 0 for its version"),
    ] {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = Fake::new(kind)
            .version(raw)
            .build(directory.path())
            .expect("the stand-in compiles");
        // SAFETY: a library of ours.
        let error = unsafe { Library::load(directory.path()) }
            .expect_err("refused")
            .to_string();
        assert!(error.contains(name), "{error}");
        assert_eq!(living(&path), 0);
    }
}

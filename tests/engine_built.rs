//! `hanja engine` with a TensorRT that works: stand-ins compiled from NVIDIA's headers, and, where its licence has been
//! accepted, the real TensorRT-RTX. Both need more than a checkout, so `ci/engine.sh` runs these.
use crate::harness::*;
use hanja_tensorrt_fake::{Fake, Kind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A place with a stand-in for one version of TensorRT.
struct Bench {
    place: Place,
    library: PathBuf,
}

impl Bench {
    fn new(kind: Kind) -> Self {
        let place = Place::new();
        let library = Fake::new(kind).build(place.path("").as_path()).unwrap();
        Self { place, library }
    }

    fn cache(&self) -> PathBuf {
        self.place.path("cache")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.hanja(&[&["engine"], arguments].concat());
        command
            .arg("--engine-cache")
            .arg(self.cache())
            .env("HANJA_TENSORRT_LIB", &self.library);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The build succeeds and says `words`.
    fn builds(&self, arguments: &[&str], words: &str) -> Output {
        let out = self.run(&[&["build"], arguments].concat());
        assert!(
            out.status.success() && text(&out).contains(words),
            "{}",
            text(&out)
        );
        out
    }

    /// Paths of the engines, sorted.
    fn engines(&self) -> Vec<PathBuf> {
        self.files(".engine")
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let dir = std::fs::read_dir(self.cache())
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<_> = dir.map(|e| e.path()).collect();
        paths.retain(|p| p.to_str().unwrap().ends_with(ending));
        paths.sort();
        paths
    }
}

/// The child that builds, once it is in the library.
fn child_of(build: &Running) -> i32 {
    build.wait_for("building");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let of_build = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(&format!(") S {} ", build.pid()))
    };
    pids.into_iter().find(of_build).expect("a child")
}

#[test]
#[ignore = "needs a C++ compiler and the crate registry: ci/engine.sh"]
fn every_version_builds_once() {
    for (kind, version) in [
        (Kind::Eight(2), "trt8.2.1"),
        (Kind::Ten, "trt10.16.0"),
        (Kind::Eleven, "trt11.4.0"),
        (Kind::Rtx, "rtx1.7.1"),
    ] {
        let bench = Bench::new(kind);
        bench.builds(&["--model=hanja-n"], "built in");
        let engines = bench.engines();
        assert_eq!(engines.len(), 1);
        let name = engines[0].file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with(&format!("hanja-n-416x320-fp16-{version}-any-")),
            "{name}"
        );
        bench.builds(&["--model=hanja-n"], "is there already");
        bench.builds(&["--model=hanja-n", "--precision=fp32"], "built in");
        bench.builds(&["--model=hanja-n", "--shape=640x384"], "built in");
        assert_eq!(bench.engines().len(), 3);
        let said = text(&bench.run(&["list"]));
        assert!(
            said.contains("3 engines") && !said.contains("not usable"),
            "{said}"
        );
        assert!(text(&bench.run(&["prune"])).contains("0 files removed"));
        let out = bench.place.path("ready.engine");
        bench.builds(&["--out", out.to_str().unwrap()], "ready.engine");
        assert!(out.exists() && bench.engines().len() == 3);
    }
}

#[test]
#[ignore = "needs a C++ compiler and the crate registry: ci/engine.sh"]
fn what_does_not_fit_is_built_anew_with_one_line() {
    let bench = Bench::new(Kind::Ten);
    bench.builds(&[], "built in");
    let path = bench.engines().remove(0);
    let sidecar = path.with_added_extension("json");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    type Spoil<'a> = &'a dyn Fn();
    let spoils: [(Spoil<'_>, &str); 4] = [
        (
            &|| std::fs::write(&path, &good[..3]).unwrap(),
            "it has 3 bytes instead of",
        ),
        (
            &|| std::fs::write(&path, &flipped).unwrap(),
            "its bytes have changed",
        ),
        (
            &|| std::fs::remove_file(&sidecar).unwrap(),
            "its sidecar is missing",
        ),
        (
            &|| std::fs::write(&sidecar, "{").unwrap(),
            "its sidecar is damaged",
        ),
    ];
    for (spoil, words) in spoils {
        spoil();
        let out = bench.builds(&[], "built in");
        let said = text(&out);
        let mut lines = said.lines().filter(|l| l.contains("is not used:"));
        assert_eq!(lines.clone().count(), 1, "{said}");
        assert!(lines.next_back().unwrap().contains(words), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), good);
        bench.builds(&[], "is there already");
    }
    // A newer library builds its own, and prune takes the old one.
    let newer = Fake::new(Kind::Ten).version(101_700);
    newer.build(bench.place.path("").as_path()).unwrap();
    bench.builds(&[], "built in");
    assert_eq!(bench.engines().len(), 2);
    let said = text(&bench.run(&["prune"]));
    assert!(
        said.contains("built by trt 10.16.0, and here is trt 10.17.0"),
        "{said}"
    );
    assert!(!path.exists() && bench.engines().len() == 1);
}

#[test]
#[ignore = "needs a C++ compiler and the crate registry: ci/engine.sh"]
fn a_killed_build_leaves_no_engine() {
    let bench = Bench::new(Kind::Ten);
    let mut slow = bench.command(&["build"]);
    slow.env("HANJA_FAKE_TRT_BUILD_MS", "60000");
    let mut build = bench.place.start_command(slow, "killed.txt");
    build.signal(child_of(&build), "KILL");
    assert_eq!(build.wait(LONG).code(), Some(1));
    let log = build.log();
    assert!(
        log.contains("was killed by signal 9 while building"),
        "{log}"
    );
    assert!(bench.engines().is_empty() && bench.files(".tmp").is_empty());
    // The lock went with it.
    bench.builds(&[], "built in");
}

#[test]
#[ignore = "needs a C++ compiler and the crate registry: ci/engine.sh"]
fn of_two_at_once_one_builds() {
    let bench = Bench::new(Kind::Ten);
    let start = |log: &str| {
        let mut slow = bench.command(&["build"]);
        slow.env("HANJA_FAKE_TRT_BUILD_MS", "2500");
        bench.place.start_command(slow, log)
    };
    let mut first = start("first.txt");
    first.wait_for("building");
    let mut second = start("second.txt");
    second.wait_for("waiting for another build");
    for build in [&mut first, &mut second] {
        assert!(build.wait(LONG).success(), "{}", build.log());
    }
    assert!(first.log().contains("built in"), "{}", first.log());
    assert!(
        second.log().contains("is there already"),
        "{}",
        second.log()
    );
}

#[test]
#[ignore = "needs a C++ compiler and the crate registry: ci/engine.sh"]
fn what_the_library_refuses_is_said() {
    let bench = Bench::new(Kind::Eleven);
    for word in ["parse", "build"] {
        let out = bench
            .command(&["build"])
            .env("HANJA_FAKE_TRT", word)
            .output()
            .unwrap();
        assert_refused(
            &out,
            1,
            &["the engine was not built: embedded hanja-pico: TensorRT 11.4.0"],
        );
    }
    assert!(bench.engines().is_empty());
}

/// TensorRT-RTX needs no GPU to build. The output is what the closing notes show.
#[test]
#[ignore = "needs NVIDIA's TensorRT-RTX in HANJA_TENSORRT_LIB, whose licence is yours to accept: ci/engine.sh"]
fn the_real_tensorrt_rtx_builds() {
    let library =
        std::env::var_os("HANJA_TENSORRT_LIB").expect("HANJA_TENSORRT_LIB names the library");
    let library = Path::new(&library).to_owned();
    let bench = Bench {
        place: Place::new(),
        library,
    };
    for (arguments, words) in [
        (&["build", "--model=hanja-n"][..], "built in"),
        (&["build", "--model=hanja-n"], "is there already"),
        (
            &["build", "--model=hanja-n", "--precision=fp32"],
            "built in",
        ),
        (&["list"], "2 engines"),
        (&["prune"], "0 files removed"),
    ] {
        let out = bench.run(arguments);
        println!("$ hanja engine {}\n{}", arguments.join(" "), text(&out));
        assert!(out.status.success() && text(&out).contains(words));
    }
    let sizes: Vec<u64> = bench
        .engines()
        .iter()
        .map(|p| p.metadata().unwrap().len())
        .collect();
    // By name: fp16, then fp32. Half of the weights' bytes, or the precision did not arrive.
    assert!(sizes[0] * 10 < sizes[1] * 8, "{sizes:?}");
    let bad = bench.place.path("bad.onnx");
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/weights/hanja-n.onnx");
    let onnx = std::fs::read(weights).unwrap();
    // The operator of the first node, in the field of that number and length.
    std::fs::write(
        &bad,
        replaced(&onnx, b"\x22\x07Sigmoid", b"\x22\x07Sigmoix"),
    )
    .unwrap();
    let out = bench.run(&[
        "build",
        "--precision=fp32",
        "--model",
        bad.to_str().unwrap(),
    ]);
    println!("$ hanja engine build --model bad.onnx\n{}", text(&out));
    assert_refused(
        &out,
        1,
        &[
            "TensorRT-RTX 1.7",
            "the ONNX parser refused the model",
            "/stem/act/Sigmoid",
        ],
    );
}

/// With the first `old` as `new`, which is as long.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

//! `hanja engine` where no TensorRT works: the cache, the process that builds, and what is said. With one that works:
//! `engine_built.rs`.
use crate::harness::*;
use hanja_infer::engine::{Cache, DeviceKey, Key, LibraryKey, Precision};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Names the library, or a directory that has it.
const LIBRARY: &str = "HANJA_TENSORRT_LIB";

fn cache(place: &Place) -> PathBuf {
    place.path("cache")
}

/// `hanja engine ARGUMENTS` on this place's cache, with the library of `library`.
fn command(place: &Place, library: &Path, arguments: &[&str]) -> Command {
    let mut command = place.hanja(&[&["engine"], arguments].concat());
    command
        .arg("--engine-cache")
        .arg(cache(place))
        .env(LIBRARY, library);
    command
}

fn engine(place: &Place, library: &Path, arguments: &[&str]) -> Output {
    command(place, library, arguments).output().unwrap()
}

/// No TensorRT at all.
fn nowhere() -> &'static Path {
    Path::new("/nonexistent/tensorrt")
}

fn names(place: &Place) -> Vec<String> {
    let dir = std::fs::read_dir(cache(place))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<_> = dir
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

/// A library of one function, as the C compiler makes it.
fn library(place: &Place, source: &str) -> PathBuf {
    let (file, out) = (place.path("library.c"), place.path("libnvinfer.so.10"));
    std::fs::write(&file, source).unwrap();
    let cc = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&out, &file])
        .status();
    assert!(cc.unwrap().success());
    out
}

fn children(parent: i32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which stands in brackets and may hold anything: state, parent.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut words = after.split(' ');
        words.next() != Some("Z") && words.next() == Some(&parent.to_string())
    })
    .collect()
}

#[test]
fn without_a_library_it_says_what_to_do() {
    let place = Place::new();
    let out = engine(&place, nowhere(), &["build"]);
    assert_refused(
        &out,
        1,
        &[
            "engine was not built",
            "no TensorRT library found",
            "install TensorRT",
            LIBRARY,
        ],
    );
    assert_eq!(names(&place), Vec::<String>::new());
    let out = engine(&place, nowhere(), &["list"]);
    assert!(
        out.status.success() && text(&out).contains("no engines"),
        "{}",
        text(&out)
    );
    let out = engine(&place, nowhere(), &["prune"]);
    assert!(
        out.status.success() && text(&out).contains("0 files removed"),
        "{}",
        text(&out)
    );
}

#[test]
fn a_cache_that_cannot_be_used_is_named() {
    let place = Place::new();
    let with_cache = |dir: &str| place.output(&["engine", "build", "--engine-cache", dir]);
    assert_refused(
        &with_cache("/dev/null/engines"),
        1,
        &["/dev/null/engines", "--engine-cache"],
    );
    let open = place.path("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let open = open.to_str().unwrap();
    assert_refused(
        &with_cache(open),
        1,
        &[open, "writable by others (mode 777)", "chmod go-w"],
    );
    assert_refused(
        &place.output(&["engine", "prune", "--engine-cache", open]),
        1,
        &["chmod go-w"],
    );
    let report = place
        .hanja(&["doctor", "--json"])
        .env("XDG_CACHE_HOME", "/dev/null")
        .output()
        .unwrap();
    let line = doctor_line(&report);
    assert_eq!(line["ok"], false, "{line}");
}

fn doctor_line(out: &Output) -> serde_json::Value {
    assert!(out.status.success(), "{}", text(out));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let line = checks.iter().find(|c| c["name"] == "engine cache");
    line.unwrap().clone()
}

#[test]
fn wrong_usage_is_refused() {
    let place = Place::new();
    for (arguments, code, words) in [
        (&["build", "--shape", "640x100"][..], 2, "like 416x320"),
        (
            &["build", "--shape", "640x384", "--size", "640"],
            2,
            "cannot be used with",
        ),
        (&["build", "--size", "100"], 1, "multiple of 32"),
        (&["build", "--precision", "fp8"], 1, "fp16 or fp32"),
        (&["build", "--workspace", "0"], 2, "--workspace"),
        (&["build", "--model", "/nowhere.onnx"], 1, "/nowhere.onnx"),
    ] {
        let out = engine(&place, nowhere(), arguments);
        assert_eq!(out.status.code(), Some(code), "{}", text(&out));
        assert!(text(&out).contains(words), "{}", text(&out));
    }
    let onnx = place.path("no.onnx");
    std::fs::write(&onnx, b"\x08\x07hello").unwrap();
    let out = engine(
        &place,
        nowhere(),
        &["build", "--model", onnx.to_str().unwrap()],
    );
    assert_refused(&out, 1, &["no.onnx", "not an ONNX model"]);
}

/// Puts an engine that never was one into the cache.
fn forge(place: &Place, version: &str) -> PathBuf {
    let cache = Cache::new(&cache(place));
    cache.prepare().unwrap();
    let library = LibraryKey {
        flavour: "trt".into(),
        version: version.into(),
    };
    let device = DeviceKey {
        name: "Orin".into(),
        compute_capability: (8, 7),
    };
    let shape = "416x320".parse().unwrap();
    let key = Key::new(
        "hanja-n",
        b"onnx",
        library,
        Some(device),
        Precision::Fp16,
        shape,
    );
    cache
        .store(
            &key,
            &[1; 3_000_000],
            Duration::from_secs(90),
            "TensorRT of a test",
        )
        .unwrap()
}

#[test]
fn what_lies_in_the_cache_is_listed_and_pruned() {
    let place = Place::new();
    let good = forge(&place, "10.3.0");
    let bad = forge(&place, "8.6.2");
    std::fs::write(&bad, [1; 100]).unwrap();
    let out = engine(&place, nowhere(), &["list"]);
    let said = text(&out);
    assert!(
        said.contains("2 engines") && said.contains("3.0 MB"),
        "{said}"
    );
    assert!(
        said.contains("for Orin, by TensorRT of a test, in 90.0 s"),
        "{said}"
    );
    assert!(
        said.contains("not usable: it has 100 bytes instead of 3000000"),
        "{said}"
    );
    let out = engine(&place, nowhere(), &["list", "--json"]);
    let listing: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let engines = listing["engines"].as_array().unwrap();
    assert_eq!(engines.len(), 2);
    let of_good = engines
        .iter()
        .find(|e| e["path"] == good.to_str().unwrap())
        .unwrap();
    assert_eq!(of_good["health"], "good");
    assert_eq!(of_good["sidecar"]["key"]["library"]["version"], "10.3.0");
    let line = doctor_line(
        &place
            .hanja(&["doctor", "--json"])
            .env("CACHE_DIRECTORY", cache(&place))
            .output()
            .unwrap(),
    );
    let found = line["found"].as_str().unwrap();
    assert!(
        line["ok"] == true && found.contains("writable, 2 engines, 3.0 MB"),
        "{line}"
    );
    let before = names(&place);
    let out = engine(&place, nowhere(), &["prune", "--dry-run"]);
    assert!(text(&out).contains("1 file would go"), "{}", text(&out));
    assert_eq!(names(&place), before);
    let out = engine(&place, nowhere(), &["prune"]);
    assert!(text(&out).contains("1 file removed"), "{}", text(&out));
    assert!(good.exists() && !bad.exists());
    let out = engine(&place, nowhere(), &["prune", "--all"]);
    assert!(text(&out).contains("all were to go"), "{}", text(&out));
    assert_eq!(names(&place), Vec::<String>::new());
}

#[test]
fn a_library_that_crashes_takes_nothing_along() {
    let place = Place::new();
    let crashing = library(
        &place,
        "int getInferLibVersion(void) { return *(volatile int *)0; }",
    );
    let out = engine(&place, &crashing, &["build"]);
    assert_refused(&out, 1, &["was killed by signal 11", "crash"]);
    let foreign = library(&place, "int getInferLibVersion(void) { return 120000; }");
    assert_refused(
        &engine(&place, &foreign, &["build"]),
        1,
        &["TensorRT 12.0.0", "not known"],
    );
    assert_eq!(names(&place), Vec::<String>::new());
}

/// A library that never comes back, and a build that hangs in it: the build, its child.
fn hanging(place: &Place) -> (Running, i32) {
    let source = "#include <unistd.h>\nint getInferLibVersion(void) { for (;;) pause(); }";
    let hanging = library(place, source);
    let build = place.start_command(command(place, &hanging, &["build"]), "out.txt");
    let child = until("the child", || {
        // Between fork and exec it is still a copy of its parent.
        let is_worker = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("--worker")
        };
        children(build.pid()).into_iter().find(is_worker)
    });
    // Up and in the library: it has renounced the CPU by then.
    until("the child's start", || {
        let score = std::fs::read_to_string(format!("/proc/{child}/oom_score_adj")).ok()?;
        (score.trim() == "500").then_some(())
    });
    (build, child)
}

#[test]
fn a_killed_child_is_reported() {
    let place = Place::new();
    let (mut build, child) = hanging(&place);
    build.signal(child, "KILL");
    assert_eq!(build.wait(LONG).code(), Some(1));
    let log = build.log();
    assert!(
        log.contains("was killed by signal 9") && log.contains("out of memory"),
        "{log}"
    );
    assert_eq!(names(&place), Vec::<String>::new());
}

#[test]
fn a_killed_parent_leaves_no_child() {
    let place = Place::new();
    let (build, child) = hanging(&place);
    build.signal(build.pid(), "KILL");
    until("the child's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    assert_eq!(names(&place), Vec::<String>::new());
}

//! From the start to the GPU: builds, caches, ready engines, and what is said where TensorRT is not to be had.

use super::*;
use hanja_infer::engine::Cache;
use std::os::unix::fs::PermissionsExt;

/// From the CPU to the GPU once, with a record for every frame.
fn assert_switched(records: &str) {
    let seen = lines(records);
    let switch = seen
        .iter()
        .position(|r| r["backend"] == "tensorrt")
        .unwrap();
    let (before, after) = seen.split_at(switch);
    assert!(
        before.len() > 5 && after.len() > 5,
        "{switch} of {}",
        seen.len()
    );
    assert!(
        before
            .iter()
            .all(|r| r["backend"] == "rten" && r["status"] == "ok")
    );
    after.iter().for_each(assert_right);
    let numbers: Vec<_> = seen.iter().map(seq).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a + 1 == *b),
        "{numbers:?}, switch at {switch}"
    );
}

/// How far the build is stands in the statistics, and who computes in the end.
fn assert_progress(stats: &str) {
    let choices: Vec<_> = lines(stats)
        .iter()
        .filter_map(|s| s["backend_choice"].as_str().map(str::to_owned))
        .collect();
    assert!(
        choices.iter().any(|c| c
            .starts_with("rten; not tensorrt: its engine is being built: building")
            && c.contains(" %")),
        "{choices:?}"
    );
    assert!(
        choices
            .last()
            .unwrap()
            .starts_with("tensorrt 11.4.0 on Fake GPU"),
        "{choices:?}"
    );
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn the_cpu_serves_until_the_engine_is_built() {
    let bench = Bench::new(Kind::Eleven, Driver::Current);
    let summary = bench.place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    // Slow enough for a CPU with other things to do: no frame may be passed over.
    let source = bench.still(2);
    let mut running = bench.run(&[&source, &flag], &[("HANJA_FAKE_TRT_BUILD_MS", "6000")]);
    let (mut records, mut stats) = (bench.tap("detections"), bench.tap("stats"));
    running.wait_for("from the next frame on");
    std::thread::sleep(std::time::Duration::from_secs(4));
    for tap in [&mut records, &mut stats] {
        tap.signal(tap.pid(), "INT");
        tap.wait(LONG);
    }
    end(&mut running);
    assert_switched(&records.log());
    assert_progress(&stats.log());
    let s = read_json(&summary);
    assert_balanced(&s);
    assert_eq!(s["backend"], "tensorrt", "{s}");
    assert_eq!(s["restarts"]["infer"], 0, "{s}");
    assert_eq!(s["frames"]["skipped"], serde_json::json!({}), "{s}");
    assert_eq!(bench.engines().len(), 1);
    let log = running.log();
    assert_eq!(
        log.matches("where they lie in the ring").count(),
        1,
        "once a ring: {log}"
    );

    // The second start has it at once.
    let mut running = bench.run(&[&source, &flag], &[]);
    running.wait_for("first detection");
    bench.records(6).iter().for_each(assert_right);
    end(&mut running);
    let log = running.log();
    assert!(!log.contains("building the TensorRT engine"), "{log}");
    assert_balanced(&read_json(&summary));
    bench.place.assert_clean();
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn detect_builds_first_and_takes_a_ready_engine() {
    let bench = Bench::modern();
    let pictures = bench.pictures();
    let arguments = [
        "detect",
        "--json",
        "--verify=false", // a dark rectangle is no numeral
        "--backend=tensorrt",
        pictures.to_str().unwrap(),
    ];
    for round in 0..2 {
        let out = bench.output(&arguments);
        assert!(out.status.success(), "{}", text(&out));
        let found = lines(&String::from_utf8_lossy(&out.stdout));
        assert_eq!(found.len(), PICTURES.len() * REPEATED);
        for (found, (size, dark, _)) in found.iter().step_by(REPEATED).zip(PICTURES) {
            assert_near(&found["detections"][0]["box"], dark, size);
        }
        assert_eq!(bench.engines().len(), 1, "round {round}");
    }
    let engine = bench.engine("mine.engine");
    let flag = format!("--engine={}", engine.display());
    std::fs::remove_dir_all(bench.cache()).unwrap();
    let with_engine = [&arguments[..], &[&flag]].concat();
    let out = bench.output(&with_engine);
    assert!(out.status.success(), "{}", text(&out));
    assert!(bench.engines().is_empty(), "it is used, and none is built");
    // Code that others could have written is not run.
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o666)).unwrap();
    let path = engine.to_str().unwrap();
    assert_refused(
        &bench.output(&with_engine),
        1,
        &[path, "writable by others", "chmod go-w"],
    );
    let mut auto = bench.run(&[&bench.source(5), &flag], &[]);
    auto.wait_for(SERVES);
    let log = auto.log();
    assert!(log.contains("chmod go-w"), "{log}");
    assert!(bench.records(2).iter().all(|r| r["backend"] == "rten"));
    end(&mut auto);
    // Nor one whose tensors are larger than the memory that they would get.
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (words, tensor) in [("input-chw16", "images"), ("output-chw16", "output0")] {
        std::fs::write(&engine, plan(bench.kind, 320, 416, words)).unwrap();
        assert_refused(
            &bench.output(&with_engine),
            1,
            &[
                &format!("its tensor {tensor} is laid out as chw16"),
                "--inputIOFormats",
            ],
        );
    }
    // Nor what is no engine.
    std::fs::write(&engine, "no engine at all").unwrap();
    assert_refused(
        &bench.output(&with_engine),
        1,
        &["mine.engine", "deserializeCudaEngine"],
    );
    std::fs::remove_file(&engine).unwrap();
    assert_refused(&bench.output(&with_engine), 1, &[path, "No such file"]);
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn tensorrt_by_name_or_not_at_all() {
    let bench = Bench::modern();
    let source = bench.source(5);
    let run = ["run", "--http=off", "--backend=tensorrt", &source];
    let pictures = bench.pictures();
    let detect = ["detect", "--backend=tensorrt", pictures.to_str().unwrap()];
    for arguments in [&run[..], &detect] {
        let mut without = bench.command(arguments);
        let out = without
            .env("HANJA_TENSORRT_LIB", "/nowhere")
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(
            text(&out).contains("backend tensorrt is not available: no TensorRT library found"),
            "{}",
            text(&out)
        );
        bench.plays("no-device");
        let out = bench.output(arguments);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(
            text(&out).contains(
                "backend tensorrt is not available: the NVIDIA driver is there but no GPU"
            ),
            "{}",
            text(&out)
        );
        bench.plays("");
        // Loads, and does not run.
        let flag = format!("--engine={}", bench.engine("ready.engine").display());
        for word in ["context", "enqueue"] {
            let mut broken = bench.command(&[arguments, &[&flag]].concat());
            let out = broken.env("HANJA_FAKE_TRT", word).output().unwrap();
            assert_eq!(out.status.code(), Some(1), "{}", text(&out));
            let said = text(&out);
            assert!(
                said.contains("tensorrt") && !said.contains("export"),
                "{said}"
            );
            println!("{}", said.lines().last().unwrap());
        }
        let mut refused = bench.command(arguments);
        let out = refused.env("HANJA_FAKE_TRT", "build").output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(
            text(&out).contains("a failure was asked for"),
            "{}",
            text(&out)
        );
    }
    let mut named = bench.run(&[&source, "--backend=tensorrt"], &[]);
    named.wait_for("from the next frame on");
    bench.records(4)[1..].iter().for_each(assert_right);
    end(&mut named);
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn a_damaged_engine_is_built_anew_and_a_bad_cache_is_loud() {
    let bench = Bench::modern();
    let source = bench.source(5);
    let builds = || {
        let mut running = bench.run(&[&source], &[]);
        running.wait_for("from the next frame on");
        bench.records(3)[1..].iter().for_each(assert_right);
        end(&mut running);
        running.log()
    };
    builds();
    let engine = bench.engines().remove(0);
    let good = std::fs::read(&engine).unwrap();
    std::fs::write(&engine, &good[..good.len() / 2]).unwrap();
    let log = builds();
    assert_eq!(
        log.matches("in the cache is not used: ").count(),
        1,
        "{log}"
    );
    assert_eq!(std::fs::read(&engine).unwrap(), good);
    // Whole, and yet the library does not want it.
    let known = Cache::new(&bench.cache());
    let key = known.list().unwrap().remove(0).sidecar.unwrap().key;
    known.store(&key, b"junk", LONG, "somebody").unwrap();
    let log = builds();
    assert_eq!(log.matches("will be built anew").count(), 1, "{log}");
    assert!(log.contains("deserializeCudaEngine failed"), "{log}");
    assert_eq!(std::fs::read(&engine).unwrap(), good);
    // Built, and refused again: so it would be at the next start.
    known.store(&key, b"junk", LONG, "somebody").unwrap();
    let mut refused = bench.run(&[&source], &[("HANJA_FAKE_TRT", "deserialize")]);
    let line = refused.wait_for("TensorRT stays unused");
    assert!(
        line.contains("just built here is refused: TensorRT 10.16.0: deserializeCudaEngine failed")
            && line.contains("a failure was asked for")
            && line.contains("at every start"),
        "{line}"
    );
    assert!(bench.records(2).iter().all(|r| r["backend"] == "rten"));
    end(&mut refused);
    let log = refused.log();
    assert_eq!(log.matches("will be built anew").count(), 1, "{log}");
    // A cache that others can write to.
    std::fs::set_permissions(bench.cache(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let cache = bench.cache();
    let cache = cache.to_str().unwrap();
    let mut open = bench.run(&[&source], &[]);
    open.wait_for(SERVES);
    assert!(bench.records(2).iter().all(|r| r["backend"] == "rten"));
    let line = open.wait_for("TensorRT stays unused");
    assert!(
        line.contains("ERROR") && line.contains(cache) && line.contains("chmod go-w"),
        "{line}"
    );
    end(&mut open);
    // One that cannot be read, one that cannot be made.
    for dir in ["/dev/null/cache", "/proc/cache"] {
        let mut nowhere = bench.run(&[&source, &format!("--engine-cache={dir}")], &[]);
        let line = nowhere.wait_for("TensorRT stays unused");
        assert!(line.contains("ERROR") && line.contains(dir), "{line}");
        assert!(bench.records(2).iter().all(|r| r["backend"] == "rten"));
        end(&mut nowhere);
    }
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn doctor_says_what_is_there() {
    let bench = Bench::modern();
    let doctor = || {
        let out = bench.output(&["doctor"]);
        assert!(out.status.success(), "{}", text(&out));
        println!("{}", text(&out));
        text(&out)
    };
    let said = doctor();
    for words in [
        "TensorRT 10.16.0, ",
        "Fake GPU (sm_72, integrated, driver for CUDA 12.6)",
        "not tensorrt: its engine is not built yet, 'hanja engine build' does it",
        "not there yet",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // It builds nothing by itself.
    let config = bench.place.path("config.toml");
    std::fs::write(&config, "[infer]\nbackend = \"tensorrt\"\n").unwrap();
    let out = bench.output(&["doctor", "--config", config.to_str().unwrap()]);
    assert!(out.status.success() && bench.engines().is_empty());
    let words =
        "note model          backend tensorrt is not available: its engine is not built yet";
    assert!(text(&out).contains(words), "{}", text(&out));
    assert!(bench.output(&["engine", "build"]).status.success());
    let said = doctor();
    assert!(
        said.contains("tensorrt 10.16.0 on Fake GPU") && said.contains("1 engine"),
        "{said}"
    );
    bench.plays("no-device");
    let said = doctor();
    assert!(
        said.contains("the NVIDIA driver is there but no GPU"),
        "{said}"
    );
}

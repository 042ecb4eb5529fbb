//! Every way of a frame to the GPU leads to the right boxes.

use super::*;
use std::collections::HashMap;

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn every_way_of_a_frame_leads_to_the_right_boxes() {
    const READ: &str = "the GPU reads frames where they lie in the ring";
    const COPIED: &str = "frames are copied for the GPU: ";
    const FILLED: &str = "the CPU makes the model's input: ";
    for (modes, said) in [
        ("lazy", READ),
        ("no-read-only", READ),
        ("late:3", READ),
        ("discrete,lazy", READ),
        ("refuse-register", COPIED),
        ("discrete,refuse-register,lazy", COPIED),
        ("discrete,no-register", COPIED),
        ("no-register,lazy", FILLED),
        ("no-capture", READ),
    ] {
        let bench = Bench::modern();
        bench.plays(modes);
        let engine = format!("--engine={}", bench.engine("ready.engine").display());
        let summary = bench.place.path("summary.json");
        let flag = format!("--summary={}", summary.display());
        let mut running = bench.run(&[&bench.source(15), &engine, &flag], &[]);
        running.wait_for(said);
        bench.records(12).iter().for_each(assert_right);
        let log = running.log();
        assert_eq!(
            log.contains("no CUDA graphs"),
            modes == "no-capture",
            "{log}"
        );
        end(&mut running);
        assert_balanced(&read_json(&summary));
        bench.place.assert_clean();
    }
}

/// Frames that differ, from a source that overwrites its slots: each box is where that very frame has its ink.
#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn no_frame_is_taken_for_another() {
    for (kind, driver, modes) in [
        (Kind::Ten, Driver::Current, "lazy"),
        (Kind::Eleven, Driver::Current, "discrete,late:2"),
        (
            Kind::Eight(2),
            Driver::Cuda10_2,
            "no-register,capability:53",
        ),
    ] {
        let bench = Bench::new(kind, driver);
        bench.plays(modes);
        let engine = format!("--engine={}", bench.engine("ready.engine").display());
        let source = "--source=synth:?fps=30&glyphs=1&truth=1&seed=5";
        let mut running = bench.run(&[source, &engine], &[]);
        running.wait_for("first detection");
        let (mut truth, mut found) = (bench.tap("truth"), bench.tap("detections"));
        until("60 records", || {
            (lines(&found.log()).len() > 60).then_some(())
        });
        for tap in [&mut truth, &mut found] {
            tap.signal(tap.pid(), "INT");
            tap.wait(LONG);
        }
        end(&mut running);
        let drawn: HashMap<u64, Value> = lines(&truth.log())
            .into_iter()
            .map(|r| (seq(&r), r["detections"].clone()))
            .collect();
        let (mut compared, mut worst) = (0, 0.0f64);
        for record in lines(&found.log()) {
            assert_eq!(record["backend"], "tensorrt", "{record}");
            let Some(drawn) = drawn.get(&seq(&record)) else {
                continue;
            };
            let (Some(d), Some(f)) = (drawn.get(0), record["detections"].get(0)) else {
                continue;
            };
            compared += 1;
            for i in 0..4 {
                worst = worst
                    .max((d["box"][i].as_f64().unwrap() - f["box"][i].as_f64().unwrap()).abs());
            }
        }
        assert!(
            compared > 40 && worst < 8.0,
            "{modes}: {compared} frames, off by {worst}"
        );
    }
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn the_first_jetson_nano_is_served() {
    let bench = Bench::new(Kind::Eight(2), Driver::Cuda10_2);
    bench.plays("no-register,capability:53");
    let summary = bench.place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    // Builds as well.
    let mut running = bench.run(
        &[&bench.source(10), &flag],
        &[("HANJA_FAKE_TRT_BUILD_MS", "1000")],
    );
    let line = running.wait_for("from the next frame on");
    assert!(
        line.contains("tensorrt 8.2.1 on Fake GPU (sm_53, integrated, driver for CUDA 10.2)"),
        "{line}"
    );
    let line = running.wait_for("the CPU makes the model's input");
    assert!(line.contains("cannot register memory"), "{line}");
    bench.records(12)[1..].iter().for_each(assert_right);
    end(&mut running);
    assert_balanced(&read_json(&summary));
}

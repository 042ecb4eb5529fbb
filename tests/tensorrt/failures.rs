//! Failures in mid-stream: what ends, what goes on, and that no record claims what was not done.

use super::*;

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn a_failure_in_mid_stream_restarts_the_stage_alone() {
    // Each process of the stage loses its GPU once it has had some frames.
    for failure in [
        "fail:cuEventQuery:60:719",
        "fail:cuEventSynchronize:30:700",
        "lazy,fail:cuLaunchKernel:50:719",
        "fail:cuMemHostRegister_v2:2:1",
        "discrete,fail:cuMemcpyHtoDAsync_v2:25:1",
    ] {
        let bench = Bench::modern();
        bench.plays(failure);
        let engine = format!("--engine={}", bench.engine("ready.engine").display());
        let summary = bench.place.path("summary.json");
        let flag = format!("--summary={}", summary.display());
        let mut running = bench.run(&[&bench.source(20), &engine, &flag], &[]);
        let mut records = bench.tap("detections");
        running.wait_for("first detection");
        let others = || ["capture", "render"].map(|name| running.stage(name));
        let before = others();
        if failure.contains("Register") {
            running.wait_for("frames are copied for the GPU");
        } else {
            running.wait_for_nth("infer ended with exit status 1; starting it again", 2);
            running.wait_for("the tensorrt backend failed");
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(before, others(), "{}", running.log());
        records.signal(records.pid(), "INT");
        records.wait(LONG);
        end(&mut running);
        let seen = lines(&records.log());
        assert!(seen.len() > 10, "{}", seen.len());
        // A frame that was lost with the GPU has no record, and none claims another's box.
        seen.iter().for_each(assert_right);
        assert_balanced(&read_json(&summary));
        bench.place.assert_clean();
    }
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn a_lost_gpu_leaves_the_work_to_the_cpu() {
    let bench = Bench::modern();
    let engine = format!("--engine={}", bench.engine("ready.engine").display());
    let summary = bench.place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    let mut running = bench.run(&[&bench.source(10), &engine, &flag], &[]);
    running.wait_for("first detection");
    bench.records(5).iter().for_each(assert_right);
    let others = || ["capture", "render"].map(|name| running.stage(name));
    let before = others();
    let mut records = bench.tap("detections");
    bench.plays("lost:1");
    let line = running.wait_for("the tensorrt backend failed");
    assert!(line.contains("the GPU's context is lost"), "{line}");
    let line = running.wait_for("backend tensorrt not taken");
    assert!(line.contains("the NVIDIA driver does not work"), "{line}");
    until("the CPU's records", || {
        (lines(&records.log()).last()?["backend"] == "rten").then_some(())
    });
    assert_eq!(before, others());
    records.signal(records.pid(), "INT");
    records.wait(LONG);
    let stats = bench.place.output(&["tap", "stats", "--json", "--count=6"]);
    let stats = text(&stats);
    assert!(
        stats.contains("rten; not tensorrt: the NVIDIA driver does not work"),
        "{stats}"
    );
    end(&mut running);
    for record in lines(&records.log()) {
        if record["backend"] == "tensorrt" {
            assert_right(&record);
        } else {
            assert_eq!(record["status"], "ok");
        }
    }
    let s = read_json(&summary);
    assert_balanced(&s);
    assert_eq!(
        (&s["restarts"]["infer"], &s["backend"]),
        (&1.into(), &"rten".into()),
        "{s}"
    );
}

#[test]
#[ignore = "needs TensorRT's headers; ci/tensorrt.sh runs it"]
fn capture_may_die_while_the_gpu_reads_its_ring() {
    for modes in ["lazy", "discrete,late:2"] {
        let bench = Bench::modern();
        bench.plays(modes);
        let engine = format!("--engine={}", bench.engine("ready.engine").display());
        let summary = bench.place.path("summary.json");
        let flag = format!("--summary={}", summary.display());
        let mut running = bench.run(&[&bench.still(20), &engine, &flag], &[]);
        running.wait_for("first detection");
        let mut records = bench.tap("detections");
        let infer = running.stage("infer");
        for round in 1..=3 {
            let capture = running.stage("capture").unwrap();
            running.signal(capture, "KILL");
            running.wait_for_nth("where they lie in the ring", round + 1);
            // Frames are counted by a reader that has to find the new ring as well.
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(infer, running.stage("infer"), "it goes on");
        records.signal(records.pid(), "INT");
        records.wait(LONG);
        end(&mut running);
        let seen = lines(&records.log());
        assert!(seen.len() > 10, "{}", seen.len());
        seen.iter().for_each(assert_right);
        assert_balanced(&read_json(&summary));
        bench.place.assert_clean();
    }
}

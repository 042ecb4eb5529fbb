//! `hanja doctor`: what this machine has, what is missing, and what to do about it. First version: cameras, shared
//! memory, the runtime directory, the model, what computes and why nothing better does, libraries of the backends.

use crate::args::{DoctorArgs, Global};
use crate::engine;
use hanja_infer::engine::{Cache, cache_dir};
use hanja_record::StageName;
use hanja_stage::RuntimeDir;
use serde::Serialize;
use std::fmt::Display;

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    checks: Vec<Check>,
}

pub(crate) fn doctor(global: &Global, args: &DoctorArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let mut checks = vec![machine(), cameras(), shared_memory(), runtime_dir(global)];
    checks.extend(model(&config.infer));
    checks.extend([
        engine_cache(&config.infer),
        onnxruntime(),
        found("tensorrt", hanja_infer::tensorrt()),
        found("cuda", hanja_infer::gpu()),
    ]);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        checks,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    println!("hanja {}", report.version);
    for check in &report.checks {
        println!(
            "{} {:14} {}",
            if check.ok { "ok  " } else { "note" },
            check.name,
            check.found
        );
        if let Some(remedy) = &check.remedy {
            println!("     {:14} {remedy}", "");
        }
    }
    Ok(())
}

fn check(name: &'static str, ok: bool, found: impl Into<String>, remedy: Option<&str>) -> Check {
    Check {
        name,
        ok,
        found: found.into(),
        remedy: remedy.map(str::to_owned),
    }
}

fn machine() -> Check {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = uname.release().to_string_lossy();
    let found = format!("{cores} cores, {}, Linux {kernel}", std::env::consts::ARCH);
    check("machine", true, found, None)
}

fn cameras() -> Check {
    let devices = hanja_capture::devices::list_devices();
    if devices.is_empty() {
        let remedy = "plug one in (ls /dev/video*), or join the group video; meanwhile: hanja run --source synth:";
        return check("cameras", false, "none", Some(remedy));
    }
    let list: Vec<_> = devices.iter().map(ToString::to_string).collect();
    check("cameras", true, list.join("; "), None)
}

fn shared_memory() -> Check {
    match hanja_ring::probe() {
        Ok(true) => check("shared memory", true, "memfd with all seals", None),
        Ok(false) => check(
            "shared memory",
            true,
            "memfd without F_SEAL_FUTURE_WRITE",
            Some("Linux before 5.1: a process allowed to tap could map a ring writable"),
        ),
        Err(e) => check("shared memory", false, e.to_string(), None),
    }
}

/// Where a pipeline runs, which may be the installed service; else whether one could be started.
fn runtime_dir(global: &Global) -> Check {
    let path = global.reading_dir();
    let running: Vec<_> = StageName::ALL
        .iter()
        .filter_map(|s| RuntimeDir::running(&path, *s).map(|pid| format!("{} ({pid})", s.name())))
        .collect();
    if !running.is_empty() {
        let found = format!("{}, running: {}", path.display(), running.join(", "));
        return check("runtime dir", true, found, None);
    }
    let path = global.runtime_dir();
    match RuntimeDir::prepare(&path) {
        Ok(_) => {
            let found = format!("{}, nothing running", path.display());
            check("runtime dir", true, found, None)
        }
        Err(e) => check("runtime dir", false, e.to_string(), None),
    }
}

/// The model, and what computes it.
fn model(config: &hanja_stage::config::InferConfig) -> Vec<Check> {
    // Looks and says; builds nothing.
    match hanja_infer::Detector::load_built(config) {
        Ok(detector) => {
            let info = detector.model_info();
            vec![
                check("model", true, info.to_string(), None),
                check("backend", true, info.choice(), None),
            ]
        }
        Err(e) => vec![check("model", false, e.to_string(), None)],
    }
}

/// Also tells what it gains, with the machine that it was measured on.
fn onnxruntime() -> Check {
    const GAIN: &str = "it computes faster than rten on a CPU: YOLOv5n at 320 pixels took 8.0 ms instead of 13.3 with 2 threads on two cores of an AMD EPYC (onnxruntime 1.32.0, rten 0.27.0)";
    match hanja_infer::onnxruntime() {
        Ok((path, version)) => {
            let found = format!("{version}, {}", path.display());
            check("onnxruntime", true, found, None)
        }
        Err(e) => check("onnxruntime", false, e.to_string(), Some(GAIN)),
    }
}

/// One that is not there yet is no fault: the first build makes it.
fn engine_cache(config: &hanja_stage::config::InferConfig) -> Check {
    let cache = Cache::new(&cache_dir(config));
    let path = cache.dir().display();
    let size = match cache.size() {
        Ok((engines, bytes)) => format!("{}, {}", engine::count(engines), engine::megabytes(bytes)),
        Err(e) => return check("engine cache", false, e.to_string(), None),
    };
    if !cache.dir().exists() {
        return check("engine cache", true, format!("{path}, not there yet"), None);
    }
    match cache.writable() {
        Ok(()) => check(
            "engine cache",
            true,
            format!("{path}, writable, {size}"),
            None,
        ),
        Err(e) => check(
            "engine cache",
            false,
            format!("{path}, not usable for writing, {size}"),
            Some(&e.to_string()),
        ),
    }
}

/// One of what TensorRT needs: not a fault, since the CPU does without.
fn found(name: &'static str, found: Result<String, impl Display>) -> Check {
    match found {
        Ok(description) => check(name, true, description, None),
        Err(why) => check(name, false, why.to_string(), None),
    }
}

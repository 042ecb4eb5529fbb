//! Compares this crate's slot tables with the TensorRT headers that are installed, by having the machine's own C++
//! compiler lay out the classes: what closes the gap between "tested with stand-ins" and "right on this device".

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hanja_tensorrt::slots::{self, Slots};

const USAGE: &str = "\
Compares hanja's TensorRT tables with the installed headers (NvInfer.h, NvOnnxParser.h).

usage: hanja-slot-check [--include DIR]...

  --include DIR   where the headers are, or CUDA's (cuda_runtime_api.h); may be given several times.
                  Otherwise the usual directories are searched.
  CXX             the C++ compiler (environment), c++ if not set

exit status: 0 all agree, 1 something differs or could not be asked, 2 wrong usage, 3 there are no headers";

/// Where Debian's packages, JetPack and NVIDIA's archives put headers.
const USUAL: [&str; 6] = [
    "/usr/include/aarch64-linux-gnu",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include",
    "/usr/local/tensorrt/include",
    "/usr/local/TensorRT/include",
    "/usr/local/cuda/include",
];

const PROBE: &str = include_str!("probe.cpp");

fn main() -> ExitCode {
    let mut include = Vec::new();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.to_str(), arguments.next()) {
            (Some("--include"), Some(directory)) => include.push(PathBuf::from(directory)),
            (Some("--help" | "-h"), _) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if include.is_empty() {
        include = USUAL.map(PathBuf::from).into();
    }
    if let Some(why) = missing(&include) {
        eprintln!("hanja-slot-check: {why}");
        return ExitCode::from(3);
    }
    match check(&include) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("hanja-slot-check: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The header that is not there, and where it was looked for.
fn missing(include: &[PathBuf]) -> Option<String> {
    for (header, package) in [
        ("NvInfer.h", "libnvinfer-dev"),
        ("NvOnnxParser.h", "libnvonnxparsers-dev"),
    ] {
        if !include
            .iter()
            .any(|directory| directory.join(header).exists())
        {
            let searched: Vec<_> = include
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            return Some(format!(
                "no {header} in {}: install {package} (on JetPack it comes with it), or name its directory with --include",
                searched.join(", ")
            ));
        }
    }
    None
}

fn check(include: &[PathBuf]) -> Result<String, String> {
    let said = probe(include)?;
    let (name, table, facts) = expected(&said)?;
    compare(&name, &table, &facts, &said)
}

/// Compiles the probe with the headers, runs it.
fn probe(include: &[PathBuf]) -> Result<String, String> {
    let work = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    let (source, program) = (work.path().join("probe.cpp"), work.path().join("probe"));
    std::fs::write(&source, PROBE).map_err(|error| format!("{}: {error}", source.display()))?;
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut command = Command::new(&compiler);
    // Unoptimised: the compiler must not conclude anything about objects that are none.
    command.args(["-std=c++17", "-O0", "-w"]);
    // The system's own directories are searched anyway; naming them would change their order.
    let extra = include
        .iter()
        .filter(|path| path.is_dir() && *path != Path::new("/usr/include"));
    for directory in extra {
        command.arg("-isystem").arg(directory);
    }
    let run = command
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .map_err(|error| {
            let compiler = compiler.to_string_lossy();
            format!("no C++ compiler ({compiler}: {error}): install g++, or name one in CXX")
        })?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let first: Vec<_> = said.lines().take(12).collect();
        return Err(format!(
            "the probe does not compile with these headers:\n{}",
            first.join("\n")
        ));
    }
    let run = Command::new(&program)
        .output()
        .map_err(|error| format!("the probe: {error}"))?;
    if !run.status.success() {
        return Err(format!(
            "the probe ended with {}: objects are not laid out as expected",
            run.status
        ));
    }
    Ok(String::from_utf8_lossy(&run.stdout).into_owned())
}

/// The version's name, its table, and the facts beside the slots that the calls rely on.
type Expected = (String, Slots, BTreeMap<&'static str, &'static str>);

/// What this crate assumes of the version that the probe names.
fn expected(said: &str) -> Result<Expected, String> {
    let version = said.lines().next().unwrap_or_default();
    let fields: Vec<_> = version.split(' ').collect();
    let ["version", flavour, major, minor] = fields[..] else {
        return Err(format!("the probe names no version: {version}"));
    };
    let number = minor
        .parse()
        .map_err(|_| format!("the probe names no version: {version}"))?;
    let table = match (flavour, major) {
        ("trt", "8") => slots::V8,
        ("trt", "10") => slots::V10,
        ("trt", "11") => slots::V11,
        ("rtx", "1") if minor == "7" => slots::RTX_1_7,
        _ => {
            return Err(format!(
                "{flavour} {major}.{minor} has no table here; 8, 10, 11 and RTX 1.7 have"
            ));
        }
    };
    let eight = major == "8";
    let mut facts = BTreeMap::from([
        ("delete", "1"),
        ("kLINEAR", "0"),
        ("Dims", if eight { "36 4" } else { "72 8" }),
        ("setDimensions", if eight { "value" } else { "address" }),
    ]);
    let table = table.of_minor(number);
    if table.has_fast_fp16.place().is_some() {
        facts.insert("kFP16", "0");
    }
    if table.set_memory_pool_limit.place().is_some() {
        facts.insert("kWORKSPACE", "0");
    }
    if table.nb_io_tensors.place().is_some() {
        facts.insert("TensorIOMode", "1 2");
    }
    let name = if flavour == "rtx" {
        "TensorRT-RTX"
    } else {
        "TensorRT"
    };
    Ok((format!("{name} {major}.{minor}"), table, facts))
}

/// Every slot and fact of the table must be in what the probe said, and be the same.
fn compare(
    name: &str,
    table: &Slots,
    facts: &BTreeMap<&str, &str>,
    said: &str,
) -> Result<String, String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, ours: String| {
        let theirs = said
            .lines()
            .find_map(|line| line.strip_prefix(&what)?.strip_prefix(' '));
        if theirs != Some(ours.as_str()) {
            let theirs = theirs.unwrap_or("not there");
            wrong.push(format!(
                "  {what}: the table says {ours}, the header {theirs}"
            ));
        }
    };
    let entries = table.entries();
    for (class, method, place) in &entries {
        check(format!("slot {class} {method}"), place.to_string());
    }
    for (fact, value) in facts {
        check(format!("fact {fact}"), (*value).to_owned());
    }
    if wrong.is_empty() {
        return Ok(format!(
            "{name}: all {} slots and {} layouts agree with the installed headers",
            entries.len(),
            facts.len()
        ));
    }
    Err(format!(
        "{name}: {} of the table differ from the installed headers; do not use it here, and report this:\n{}",
        wrong.len(),
        wrong.join("\n")
    ))
}

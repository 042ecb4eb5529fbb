//! The pipeline on a kernel like the first Jetson's, Linux 4.9: no `F_SEAL_FUTURE_WRITE` (5.1), no pidfd (5.3), no
//! `statx`, `clone3`, `close_range`, `openat2`, `io_uring`, `rseq`. A seccomp filter answers as that kernel would; it
//! belongs to a thread and to every process started from it.

use crate::harness::*;
use rustix::fs::{MemfdFlags, SealFlags};
use seccompiler::sock_filter;
use std::time::Duration;

const STAGES: [&str; 3] = ["capture", "infer", "render"];
/// What every stage says there, once.
const WEAKER: &str = "a process allowed to tap could map a ring writable";

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const FCNTL: u32 = 72;
    pub(super) const MEMFD_CREATE: u32 = 319;
    /// `statx`; 4.9 ends with `pkey_free`, 331.
    pub(super) const FIRST_UNKNOWN: u32 = 332;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const FCNTL: u32 = 25;
    pub(super) const MEMFD_CREATE: u32 = 279;
    /// `statx`; 4.9 ends with `pkey_free`, 290.
    pub(super) const FIRST_UNKNOWN: u32 = 291;
}

/// Linux 4.9 as a classic BPF program over `struct seccomp_data`.
fn linux_4_9() -> Vec<sock_filter> {
    const LOAD: u16 = 0x20; // a 32-bit word at offset `k`
    const IF_EQUAL: u16 = 0x15;
    const IF_AT_LEAST: u16 = 0x35;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // Offsets in `seccomp_data`: the number, then the low halves of the second and third argument.
    const NUMBER: u32 = 0;
    const SECOND: u32 = 24;
    const THIRD: u32 = 32;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    const F_ADD_SEALS: u32 = 1033;
    let old_seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let old_flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Jumps count from the next line: jt if true, jf if not.
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        /*  0 */ line(LOAD, 0, 0, NUMBER),
        /*  1 */ line(IF_AT_LEAST, 10, 0, number::FIRST_UNKNOWN),
        /*  2 */ line(IF_EQUAL, 0, 4, number::FCNTL),
        /*  3 */ line(LOAD, 0, 0, SECOND),
        /*  4 */ line(IF_EQUAL, 0, 6, F_ADD_SEALS),
        /*  5 */ line(LOAD, 0, 0, THIRD),
        /*  6 */ line(IF_ANY_BIT, 6, 4, !old_seals.bits()),
        /*  7 */ line(IF_EQUAL, 0, 3, number::MEMFD_CREATE),
        /*  8 */ line(LOAD, 0, 0, SECOND),
        /*  9 */ line(IF_ANY_BIT, 3, 1, !old_flags.bits()),
        /* 10 */ line(RETURN, 0, 0, ALLOW),
        /* 11 */ line(RETURN, 0, 0, ALLOW),
        /* 12 */ line(RETURN, 0, 0, ERRNO | 38), // ENOSYS
        /* 13 */ line(RETURN, 0, 0, ERRNO | 22), // EINVAL
    ]
}

/// Runs `body` on Linux 4.9. It may start processes, but no threads: the C library registered `rseq` for this process
/// when it started, and gives up if a later thread cannot have it.
fn on_linux_4_9<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let filtered = || {
        seccompiler::apply_filter(&linux_4_9()).expect("the kernel takes the filter");
        body()
    };
    std::thread::scope(|scope| scope.spawn(filtered).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A place whose processes run on Linux 4.9.
fn jetson() -> Place {
    Place::with_spawn(|command| on_linux_4_9(|| command.spawn()))
}

/// Without this the other tests could pass on a filter that lets everything through.
#[test]
fn the_filter_answers_like_linux_4_9() {
    use rustix::io::Errno;
    let memfd = |flags| rustix::fs::memfd_create("old", MemfdFlags::ALLOW_SEALING | flags);
    let pidfd = || {
        rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        )
    };
    on_linux_4_9(|| {
        assert_eq!(pidfd().unwrap_err(), Errno::NOSYS);
        assert_eq!(memfd(MemfdFlags::NOEXEC_SEAL).unwrap_err(), Errno::INVAL);
        let fd = memfd(MemfdFlags::CLOEXEC).unwrap();
        let seals = SealFlags::SHRINK | SealFlags::FUTURE_WRITE;
        assert_eq!(
            rustix::fs::fcntl_add_seals(&fd, seals).unwrap_err(),
            Errno::INVAL
        );
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
        let got = rustix::fs::fcntl_get_seals(&fd).unwrap();
        assert_eq!(got, SealFlags::SHRINK);
    });
    assert!(pidfd().is_ok(), "the filter stays with its thread");
}

#[test]
fn the_pipeline_runs_and_survives_kills_there() {
    let place = jetson();
    let summary = place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    let source = "--source=synth:?size=320x240&fps=60";
    let mut running = place.start(&["run", source, "--http=127.0.0.1:0", &flag]);
    running.wait_for("first detection");
    let out = place.output(&["tap", "frames", "--count=2", "--json"]);
    assert!(
        out.status.success() && out.stderr.is_empty(),
        "{}",
        text(&out)
    );
    for (nth, stage) in (1..).zip(STAGES) {
        running.signal(running.stage(stage).expect("the stage runs"), "KILL");
        running.wait_for(&format!("{stage} was killed by signal 9"));
        running.wait_for_nth(WEAKER, STAGES.len() + nth);
    }
    until("detections after all that", || {
        let out = place.output(&["tap", "detections", "--count=3", "--json"]);
        (String::from_utf8_lossy(&out.stdout).lines().count() == 3).then_some(())
    });
    running.signal(running.pid(), "TERM");
    assert!(running.wait(Duration::from_secs(5)).success());
    let log = running.log();
    let complaint = |l: &&str| ["WARN", "ERROR", "panicked"].iter().any(|w| l.contains(w));
    let complaints: Vec<_> = log.lines().filter(complaint).collect();
    assert!(complaints.iter().all(|l| l.contains(WEAKER)), "{log}");
    for stage in STAGES {
        let said = complaints.iter().filter(|l| l.starts_with(stage)).count();
        assert_eq!(said, 2, "{stage}: once in each of its two lives: {log}");
    }
    let summary = read_json(&summary);
    assert_balanced(&summary);
    assert!(summary["frames"]["inferred"].as_u64() > Some(0));
    place.assert_clean();
}

#[test]
fn doctor_names_the_weaker_seal_and_nothing_else() {
    let checks = |place: Place| -> Vec<serde_json::Value> {
        let dir = place.runtime_dir().display().to_string();
        let out = place.output(&["doctor", "--json"]);
        assert!(out.status.success(), "{}", text(&out));
        let report = String::from_utf8(out.stdout).unwrap().replace(&dir, "DIR");
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        report["checks"].as_array().unwrap().clone()
    };
    for (new, old) in checks(Place::new()).iter().zip(&checks(jetson())) {
        if old["name"] == "shared memory" {
            let all = old.to_string();
            for words in ["without F_SEAL_FUTURE_WRITE", "before 5.1", WEAKER] {
                assert!(all.contains(words), "{words} is missing: {all}");
            }
        } else {
            assert_eq!(new, old);
        }
    }
}

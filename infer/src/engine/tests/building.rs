//! A build as its parent sees it, with scripts for the child.

use super::super::building::Building;
use super::*;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub(super) fn job(dir: &Path) -> Job {
    Job {
        model: None,
        shape: "416x320".parse().unwrap(),
        second_size: false,
        precision: Precision::Fp16,
        device: None,
        workspace_mib: None,
        cache: dir.join("cache"),
        out: None,
        refused: None,
        log: "warn".into(),
    }
}

/// A script cannot start while any process has it open for writing, and a child that another test is about to start
/// has everything open that this process has.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A child that is a shell script; it gets the job on its standard input.
fn child(dir: &Path, script: &str) -> Building {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = dir.join("child");
    write_whole(&path, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    set_mode(&path, 0o755);
    Building::start_as(&path, &job(dir)).unwrap()
}

fn until_settled(building: &mut Building) -> State {
    let started = Instant::now();
    loop {
        match building.poll() {
            State::Progress(_) => std::thread::sleep(Duration::from_millis(5)),
            state => return state,
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it does not end"
        );
    }
}

fn outcome(script: &str) -> State {
    let dir = tempfile::tempdir().unwrap();
    until_settled(&mut child(dir.path(), script))
}

fn failure(script: &str) -> String {
    match outcome(script) {
        State::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

const DONE: &str = r#"echo '{"done":{"path":"/e","bytes":3,"cached":false,"notes":[]}}'"#;
const BUILDING: &str = r#"echo '{"progress":{"phase":"building","percent":40,"elapsed_ms":10}}'"#;

#[test]
fn the_job_goes_in_and_lines_come_out() {
    let dir = tempfile::tempdir().unwrap();
    let got = dir.path().join("got");
    let script = format!(
        "read job; echo \"$job\" > {}; echo noise; {BUILDING}; sleep 0.3; {DONE}",
        got.display()
    );
    let mut building = child(dir.path(), &script);
    let started = Instant::now();
    let seen = loop {
        match building.poll() {
            State::Progress(p) if p.phase == Phase::Building => break p,
            State::Progress(_) => std::thread::sleep(Duration::from_millis(2)),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    };
    assert_eq!(seen.percent, Some(40));
    let State::Done(done) = until_settled(&mut building) else {
        panic!("not done");
    };
    assert_eq!((done.path.as_path(), done.cached), (Path::new("/e"), false));
    assert!(matches!(building.poll(), State::Done(_)), "it stays done");
    let job: Job = serde_json::from_slice(&std::fs::read(got).unwrap()).unwrap();
    assert_eq!(job.shape.to_string(), "416x320");
}

#[test]
fn every_end_has_its_message() {
    assert_eq!(
        failure(r#"echo '{"failed":"no library"}'; exit 1"#),
        "no library"
    );
    let killed = failure(&format!("{BUILDING}; kill -9 $$"));
    assert!(
        killed.contains("was killed by signal 9 while building"),
        "{killed}"
    );
    assert!(killed.contains("ran out of memory"), "{killed}");
    let crashed = failure("kill -SEGV $$");
    assert!(
        crashed.contains("signal 11 while starting") && crashed.contains("crash"),
        "{crashed}"
    );
    assert!(failure("exit 7").contains("ended with exit status 7"));
    assert!(failure("exit 0").contains("ended with exit status 0"));
    // Its last line says that it is done, but it did not end well: that is no success.
    assert!(failure(&format!("{DONE}; kill -9 $$")).contains("signal 9"));
    assert!(failure(&format!("{DONE}; exit 1")).contains("exit status 1"));
}

#[test]
fn a_dropped_build_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let building = child(
        dir.path(),
        &format!("echo $$ > {}; exec sleep 60", pid_file.display()),
    );
    let started = Instant::now();
    let pid: u32 = loop {
        let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
        if let Ok(pid) = text.trim().parse() {
            break pid;
        }
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    };
    drop(building);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_known_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let job = Job {
        cache: "/dev/null/cache".into(),
        ..job(dir.path())
    };
    let said = Building::start_as(Path::new("/bin/false"), &job)
        .unwrap_err()
        .to_string();
    assert!(said.contains("/dev/null/cache"), "{said}");
}

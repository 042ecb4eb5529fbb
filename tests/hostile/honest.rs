//! A capture stage under attack, and beside the attacker an honest tap whose frames are counted.

use crate::harness::{Place, Running, until};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FPS: f64 = 30.0;

/// The two of them.
pub struct Scene {
    pub place: Place,
    pub stage: Running,
    tap: Child,
    frames: PathBuf,
    start: Holdings,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub descriptors: usize,
    pub shared_mappings: usize,
}

pub fn holdings(pid: i32) -> Holdings {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process lives");
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    Holdings {
        descriptors: fds.count(),
        shared_mappings: maps.lines().filter(|l| l.contains("memfd:ring-")).count(),
    }
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|command| command)
    }

    /// `alter` may change how the stage is started.
    pub fn with(alter: impl FnOnce(Command) -> Command) -> Self {
        let place = Place::new();
        let source = format!("--source=synth:?size=160x120&fps={FPS}");
        let stage = place.start_command(alter(place.hanja(&["capture", &source])), "out.txt");
        let frames = place.path("frames.jsonl");
        let tap = place
            .hanja(&["tap", "frames", "--json"])
            .stdout(File::create(&frames).expect("a file"))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("hanja starts");
        let mut scene = Self {
            start: Holdings {
                descriptors: 0,
                shared_mappings: 0,
            },
            place,
            stage,
            tap,
            frames,
        };
        until("the first frames", || (scene.count() > 3).then_some(()));
        scene.start = holdings(scene.stage.pid());
        scene
    }

    /// Path of the socket that grants leases.
    pub fn lease_socket(&self) -> PathBuf {
        self.place.runtime_dir().join("capture.sock")
    }

    pub fn tap_socket(&self) -> PathBuf {
        self.place.runtime_dir().join("capture-tap.sock")
    }

    /// Frames that reached the honest tap.
    fn count(&self) -> usize {
        let text = std::fs::read_to_string(&self.frames).expect("the file is there");
        text.lines().count()
    }

    /// Runs `attack`, at least for a while: meanwhile the tap gets its frames, at a rate that a loaded machine still
    /// manages, from the same process.
    pub fn attack<T>(&self, attack: impl FnOnce() -> T) -> T {
        let (started, before) = (Instant::now(), self.count());
        let outcome = attack();
        std::thread::sleep(Duration::from_millis(500).saturating_sub(started.elapsed()));
        let seconds = started.elapsed().as_secs_f64();
        let frames = self.count() - before;
        assert!(
            frames as f64 > 0.5 * FPS * seconds,
            "{frames} frames in {seconds:.1} s"
        );
        outcome
    }

    /// The stage holds what it held before the attack, the tap is still served, and the log has no more to say than
    /// `complaints` lines.
    pub fn assert_recovered(&self, complaints: usize) {
        until("descriptors and mappings to be given back", || {
            (holdings(self.stage.pid()) == self.start).then_some(())
        });
        self.attack(|| ());
        let log = self.stage.log();
        let said = log.lines().filter(|l| l.contains("WARN")).count();
        assert!(said <= complaints && !log.contains("panicked"), "{log}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.tap.kill();
        let _ = self.tap.wait();
    }
}

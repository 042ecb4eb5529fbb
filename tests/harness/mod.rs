//! Spawns the real executable in a directory of its own and watches it from outside.
// Each test file uses its part of this.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Where no library is.
pub const NO_LIBRARY: &str = "/nowhere/library.so";

pub const LONG: Duration = Duration::from_secs(30);

/// How a command becomes a process.
pub type Spawn = fn(&mut Command) -> std::io::Result<Child>;

/// A directory for one test: runtime directory, logs, inputs.
pub struct Place {
    dir: tempfile::TempDir,
    spawn: Spawn,
}

impl Place {
    pub fn new() -> Self {
        Self::with_spawn(Command::spawn)
    }

    pub fn with_spawn(spawn: Spawn) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, spawn }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.path("run")
    }

    /// The command, on this place's runtime directory.
    pub fn hanja(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hanja"));
        command
            .args(arguments)
            .arg("--runtime-dir")
            .arg(self.runtime_dir())
            .stdin(Stdio::null());
        command.env_remove("RUST_BACKTRACE");
        // The same backend on every machine, whatever is installed there.
        command.env("ORT_DYLIB_PATH", NO_LIBRARY);
        command.env("HANJA_TENSORRT_LIB", NO_LIBRARY);
        command
    }

    /// Runs to the end; fails the test if that takes too long.
    pub fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.hanja(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = (self.spawn)(&mut command).expect("hanja starts");
        // Read beside it: a full pipe would stop it.
        let collect = |mut pipe: Box<dyn Read + Send>| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                pipe.read_to_end(&mut all).expect("reading");
                all
            })
        };
        let stdout = collect(Box::new(child.stdout.take().expect("a pipe")));
        let stderr = collect(Box::new(child.stderr.take().expect("a pipe")));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            if started.elapsed() > LONG {
                let _ = child.kill();
                panic!("hanja {arguments:?} does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let joined = |t: std::thread::JoinHandle<Vec<u8>>| t.join().expect("output");
        Output {
            status,
            stdout: joined(stdout),
            stderr: joined(stderr),
        }
    }

    /// Starts in the background with its output in files.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_command(self.hanja(arguments), "out.txt")
    }

    /// The same for a command made by the caller, with the output in file `log`.
    pub fn start_command(&self, mut command: Command, log: &str) -> Running {
        let out = self.path(log);
        let file = File::create(&out).expect("a log file");
        command
            .stdout(file.try_clone().expect("a handle"))
            .stderr(file);
        let child = (self.spawn)(&mut command).expect("hanja starts");
        Running {
            child,
            out,
            runtime_dir: self.runtime_dir(),
        }
    }

    /// Runs a pipeline for a while and gives its summary.
    pub fn summary(&self, source: &str, duration: &str) -> serde_json::Value {
        let path = self.path("summary.json");
        let source = format!("--source={source}");
        let summary = format!("--summary={}", path.display());
        let duration = format!("--duration={duration}");
        let out = self.output(&["run", &source, "--http=off", &duration, &summary]);
        assert!(out.status.success(), "{}", text(&out));
        assert_adds_up(&text(&out));
        read_json(&path)
    }

    /// Nothing of a pipeline is left: no process, no socket, no directory that it made.
    pub fn assert_clean(&self) {
        assert!(
            !self.runtime_dir().exists(),
            "runtime directory left: {:?}",
            listing(&self.runtime_dir())
        );
        assert_eq!(processes(&self.runtime_dir()), Vec::<i32>::new());
    }
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default()
}

pub fn read_json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("it is JSON")
}

pub fn text(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// The command failed with exit status `code` and one last line that says all of `words`.
pub fn assert_refused(out: &Output, code: i32, words: &[&str]) {
    let all = text(out);
    assert_eq!(out.status.code(), Some(code), "{all}");
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let lines: Vec<_> = errors
        .lines()
        .filter(|l| l.starts_with("hanja: "))
        .collect();
    assert_eq!(lines.len(), 1, "one line: {all}");
    for word in words {
        assert!(lines[0].contains(word), "'{word}' is missing: {}", lines[0]);
    }
    assert!(!all.contains("panicked"), "{all}");
}

/// Ids of processes that mention `what` on their command line.
pub fn processes(what: &Path) -> Vec<i32> {
    let what = what.display().to_string();
    let mut found: Vec<_> = std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id() as i32)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&what)
        })
        .collect();
    found.sort_unstable();
    found
}

/// A pipeline in the background; killed when the test ends.
pub struct Running {
    child: Child,
    out: PathBuf,
    runtime_dir: PathBuf,
}

impl Running {
    /// A process started elsewhere, with its output in file `log` of the place.
    pub fn adopt(place: &Place, child: Child, log: &str) -> Self {
        Self {
            child,
            out: place.path(log),
            runtime_dir: place.runtime_dir(),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Waits until the log contains `what`; gives the line.
    pub fn wait_for(&self, what: &str) -> String {
        self.wait_for_nth(what, 1)
    }

    /// Waits until `n` lines contain `what`; gives the last.
    pub fn wait_for_nth(&self, what: &str, n: usize) -> String {
        until(&format!("{n} times '{what}'"), || {
            let log = self.log();
            log.lines()
                .filter(|l| l.contains(what))
                .nth(n - 1)
                .map(str::to_owned)
        })
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Process id of a stage.
    pub fn stage(&self, name: &str) -> Option<i32> {
        processes(&self.runtime_dir).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).nth(1) == Some(name.as_bytes())
        })
    }

    pub fn signal(&self, pid: i32, signal: &str) {
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(pid.to_string())
            .status();
        assert!(status.expect("kill").success());
    }

    /// Waits for the end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(started.elapsed() < limit, "does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in processes(&self.runtime_dir) {
            let _ = Command::new("kill").arg("-9").arg(pid.to_string()).status();
        }
        if !std::thread::panicking() {
            assert_adds_up(&self.log());
        }
    }
}

/// No process has said that a frame's times or counts do not add up: every stage asks that of every frame.
pub fn assert_adds_up(log: &str) {
    let bad: Vec<_> = log.lines().filter(|l| l.contains("not add up")).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// Polls until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < LONG, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A JPEG of one grey level.
pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let picture =
        image::GrayImage::from_fn(width, height, |x, y| image::Luma([(x + y) as u8 / 2 + 60]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode_image(&picture)
        .expect("encodes");
    out
}

/// `captured = inferred + skipped + lost`, nothing unexplained.
pub fn assert_balanced(summary: &serde_json::Value) {
    let frames = &summary["frames"];
    let n = |v: &serde_json::Value| v.as_u64().expect("a count");
    let skipped: u64 = frames["skipped"]
        .as_object()
        .expect("reasons")
        .values()
        .map(n)
        .sum();
    assert_eq!(
        n(&frames["captured"]),
        n(&frames["inferred"]) + skipped + n(&frames["lost"]),
        "{frames}"
    );
    assert!(frames["skipped"].get("unexplained").is_none(), "{frames}");
}

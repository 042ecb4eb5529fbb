//! One stage as a service, from outside: sockets that are handed over, READY and the watchdog, reload, exit statuses.
//! The service manager is this test; `tests/system` has the real one.

use crate::harness::*;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The other end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(place: &Place) -> Self {
        let path = place.path("manager.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket for the stage's words");
        Self { socket, path }
    }

    /// A stage under this manager.
    fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = place.hanja(arguments);
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// The next message within `wait`.
    fn receive(&self, wait: Duration) -> Option<String> {
        let limited = self.socket.set_read_timeout(Some(wait));
        limited.expect("a limit to waiting");
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }

    /// Waits for a message with this line; gives the whole message.
    fn wait_for(&self, running: &Running, line: &str) -> String {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < LONG, "no {line}: {}", running.log());
            if let Some(text) = self.receive(Duration::from_secs(1))
                && text.lines().any(|l| l == line)
            {
                return text;
            }
        }
    }

    fn drain(&self) {
        while self.receive(Duration::from_millis(1)).is_some() {}
    }

    /// Messages with WATCHDOG=1 in this time.
    fn pings(&self, time: Duration) -> usize {
        let started = Instant::now();
        let mut pings = 0;
        while started.elapsed() < time {
            let ping = self.receive(Duration::from_millis(20));
            pings += usize::from(ping.is_some_and(|text| text.contains("WATCHDOG=1")));
        }
        pings
    }
}

fn socket(path: &Path, kind: SocketType) -> OwnedFd {
    let open = || {
        let fd = rustix::net::socket(AddressFamily::UNIX, kind, None)?;
        rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&fd, 64)?;
        Ok::<_, rustix::io::Errno>(fd)
    };
    open().expect("a listening socket")
}

/// The sockets of a stage as systemd makes them: in a directory that is there, with permissions of their own.
struct Doors {
    lease: OwnedFd,
    tap: OwnedFd,
}

impl Doors {
    fn new(place: &Place, stage: &str) -> Self {
        let dir = place.runtime_dir();
        std::fs::create_dir_all(&dir).expect("a directory for sockets");
        let door = |name: &str| {
            let path = dir.join(name);
            let fd = socket(&path, SocketType::SEQPACKET);
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("permissions of the socket");
            fd
        };
        Self {
            lease: door(&format!("{stage}.sock")),
            tap: door(&format!("{stage}-tap.sock")),
        }
    }

    /// `command` with both sockets as descriptors 3 and 4, by way of a shell that has them as 0 and 1.
    fn hand_to(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=lease:tap; exec \"$@\"")
            .arg("sh")
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        let copy = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a copy of a socket"));
        shell.stdin(copy(&self.lease)).stdout(copy(&self.tap));
        shell
    }

    fn start(&self, place: &Place, command: &Command, log: &str) -> Running {
        let mut shell = self.hand_to(command);
        shell.stderr(std::fs::File::create(place.path(log)).expect("a log file"));
        Running::adopt(place, shell.spawn().expect("the stage starts"), log)
    }
}

const SYNTH: &str = "--source=synth:?size=160x120&fps=50&glyphs=1";

#[test]
fn clients_wait_in_sockets_that_outlive_the_stage() {
    let place = Place::new();
    let doors = Doors::new(&place, "capture");
    // Nobody has started the stage yet, and it has a client.
    let tap = place.start_command(
        place.hanja(&["tap", "frames", "--json", "--count=100000"]),
        "tap.txt",
    );
    let command = place.hanja(&["capture", SYNTH]);
    let (mut generations, mut lives) = (Vec::new(), Vec::new());
    for life in 0..3 {
        let mut running = doors.start(&place, &command, &format!("capture{life}.txt"));
        let generation = until("frames of this life", || {
            // The last line may be cut.
            let of = |line: &str| {
                serde_json::from_str::<serde_json::Value>(line).ok()?["generation"].as_u64()
            };
            let newest = tap.log().lines().rev().find_map(of);
            newest.filter(|g| generations.last() != Some(g))
        });
        generations.push(generation);
        running.signal(running.pid(), if life == 0 { "KILL" } else { "TERM" });
        running.wait(LONG);
        for name in ["capture.sock", "capture-tap.sock"] {
            let meta = std::fs::metadata(place.runtime_dir().join(name)).unwrap();
            assert!(meta.file_type().is_socket(), "{name} is left where it is");
            assert_eq!(meta.mode() & 0o777, 0o600, "{name} keeps its permissions");
        }
        lives.push(running); // the end of one is the end of all in its directory
    }
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
}

#[test]
fn sockets_of_another_kind_or_place_are_refused_for_good() {
    let place = Place::new();
    let manager = Manager::new(&place);
    std::fs::create_dir(place.runtime_dir()).unwrap();
    let wrong = |lease: OwnedFd, words: &str| {
        let tap = lease.try_clone().unwrap();
        let doors = Doors { lease, tap };
        let command = manager.command(&place, &["capture", SYNTH]);
        let mut running = doors.start(&place, &command, "out.txt");
        let status = running.wait(LONG);
        assert_eq!(status.code(), Some(78), "{}", running.log());
        assert!(running.log().contains(words), "{}", running.log());
    };
    let here = place.runtime_dir().join("capture.sock");
    wrong(
        socket(&here, SocketType::STREAM),
        "use ListenSequentialPacket=",
    );
    let elsewhere = place.path("elsewhere.sock");
    wrong(
        socket(&elsewhere, SocketType::SEQPACKET),
        "listens elsewhere than clients look",
    );
}

/// Each stage alone: ready by itself, and fed by its own progress, whoever else is missing.
#[test]
fn the_watchdog_hears_of_progress_until_the_process_stops() {
    let stages: [&[&str]; 4] = [
        &["capture", SYNTH],
        &["capture", "--source=v4l2:/dev/video97"],
        &["infer", "--size=64", "--threads=1"],
        &["render", "--http=127.0.0.1:0"],
    ];
    for arguments in stages {
        let place = Place::new();
        let manager = Manager::new(&place);
        let mut command = manager.command(&place, arguments);
        command.env("WATCHDOG_USEC", "2000000");
        let mut running = place.start_command(command, "out.txt");
        let ready = manager.wait_for(&running, "READY=1");
        assert!(ready.contains("STATUS="), "{ready}");
        assert_eq!(
            ready.contains("no camera"),
            arguments[1].contains("video97"),
            "{ready}"
        );
        manager.wait_for(&running, "WATCHDOG=1");
        manager.wait_for(&running, "WATCHDOG=1");
        running.signal(running.pid(), "STOP");
        until("it to stop", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).ok()?;
            stat.contains(") T ").then_some(())
        });
        manager.drain();
        assert_eq!(
            manager.pings(Duration::from_millis(1500)),
            0,
            "{arguments:?}"
        );
        running.signal(running.pid(), "CONT");
        manager.wait_for(&running, "WATCHDOG=1");
        // The figures, once a second.
        let status = until("a status line", || {
            manager
                .receive(Duration::from_secs(2))
                .filter(|text| text.contains("STATUS=") && text.contains(" fps "))
        });
        assert_eq!(
            status.contains("no camera"),
            arguments[1].contains("video97"),
            "{status}"
        );
        running.signal(running.pid(), "TERM");
        assert!(running.wait(LONG).success(), "{}", running.log());
    }
}

/// Nobody asked for it: no datagram but the status.
#[test]
fn without_a_watchdog_there_are_no_pings() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let running = place.start_command(manager.command(&place, &["capture", SYNTH]), "out.txt");
    manager.wait_for(&running, "READY=1");
    assert_eq!(manager.pings(Duration::from_millis(1200)), 0);
}

#[test]
fn a_reload_takes_what_it_can_and_says_what_it_cannot() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let file = place.path("hanja.toml");
    let config = format!("--config={}", file.display());
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("[infer]\nsize = 64\nthreads = 1\n");
    let command = manager.command(&place, &["infer", &config, "--iou=0.5"]);
    let running = place.start_command(command, "out.txt");
    manager.wait_for(&running, "READY=1");
    let hup = || {
        running.signal(running.pid(), "HUP");
        let text = manager.wait_for(&running, "RELOADING=1");
        assert!(text.contains("MONOTONIC_USEC="), "{text}");
        manager.wait_for(&running, "READY=1");
    };
    write("[infer]\nsize = 96\nthreads = 1\nconf = 0.75\niou = 0.1\n");
    hup();
    running.wait_for("reload: infer.conf is now 0.75 (was the default)");
    running.wait_for("reload: infer.size stays 64; for 96: systemctl restart hanja-infer");
    assert!(
        !running.log().contains("infer.iou"),
        "the flag wins: {}",
        running.log()
    );
    write("[infer]\nconf = 7\n");
    hup();
    running.wait_for("reload refused, everything stays as it was");
    running.wait_for("infer.conf = 7 is out of range");
    write("[infer]\nsize = 64\nthreads = 1\nconf = 0.75\n");
    hup();
    running.wait_for("reload: nothing has changed");
    write("log = \"debug\"\n[infer]\nsize = 64\nthreads = 1\nconf = 0.75\n");
    hup();
    running.wait_for("reload: log is now debug (was info)");
}

#[test]
fn capture_goes_over_to_another_source() {
    let place = Place::new();
    let file = place.path("hanja.toml");
    let config = format!("--config={}", file.display());
    let source =
        |uri: &str| std::fs::write(&file, format!("[capture]\nsource = \"{uri}\"\n")).unwrap();
    source("synth:?size=160x120&fps=50");
    let running = place.start(&["capture", &config]);
    let width = || {
        let out = place.output(&["tap", "frames", "--json", "--count=1"]);
        let frame: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        frame["width"].as_u64()
    };
    assert_eq!(width(), Some(160));
    let hup = || running.signal(running.pid(), "HUP");
    source("synth:?size=128x96&fps=50");
    hup();
    running.wait_for("reload: capture.source is now");
    until("the new size", || (width() == Some(128)).then_some(()));
    // Nothing to be had there: the old one goes on.
    source("dir:/nowhere");
    hup();
    running.wait_for("reload: cannot read /nowhere");
    running.wait_for("reload: capture.source stays");
    source("sinth:");
    hup();
    running.wait_for("unknown source 'sinth'");
    assert_eq!(width(), Some(128));
}

/// What must not be tried again has a status of its own; the rest is tried again, but not at once.
#[test]
fn a_failed_start_says_whether_another_makes_sense() {
    let place = Place::new();
    let manager = Manager::new(&place);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = format!("--http={}", taken.local_addr().unwrap());
    let bad = place.path("bad.toml");
    std::fs::write(&bad, "[infer]\ncnof = 0.5\n").unwrap();
    let bad = format!("--config={}", bad.display());
    let cases: [(&[&str], i32, &str); 6] = [
        (&["infer", &bad], 78, "did you mean 'conf'"),
        (&["infer", "--model=/nowhere/m.onnx"], 78, "/nowhere/m.onnx"),
        (&["infer", "--backend=abacus"], 78, "abacus"),
        (&["capture", "--source=sinth:"], 78, "unknown source"),
        (&["render", "--http=nonsense"], 78, "nonsense"),
        (&["render", &in_use], 1, "already in use"),
    ];
    for (arguments, code, words) in cases {
        let started = Instant::now();
        let mut running = place.start_command(manager.command(&place, arguments), "out.txt");
        let status = running.wait(LONG);
        let log = running.log();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {log}");
        assert!(log.contains(words) && !log.contains("panicked"), "{log}");
        let paused = started.elapsed() >= Duration::from_secs(2);
        assert!(
            paused || code == 78,
            "{:?} for {arguments:?}",
            started.elapsed()
        );
        // By hand it is a failure like any other, at once.
        let out = place.output(arguments);
        assert_refused(&out, 1, &[words]);
    }
}

#[test]
fn the_configuration_can_be_checked_alone() {
    let place = Place::new();
    let file = place.path("hanja.toml");
    let config = format!("--config={}", file.display());
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/hanja.toml");
    std::fs::copy(packaged, &file).unwrap();
    let out = place.output(&["check", &config]);
    assert!(
        out.status.success() && text(&out).contains("fine"),
        "{}",
        text(&out)
    );
    for (text, words) in [
        ("[capture]\nsource = \"sinth:\"", "unknown source 'sinth'"),
        ("[infer]\nbackend = \"abacus\"", "no backend of that name"),
        ("[render]\nhttp = \"nonsense\"", "render.http = nonsense"),
        ("log = \"hanja_infer=loud\"", "hanja_infer=loud"),
        ("[infer", "hanja.toml"),
        (
            "[infer]\nmodel = \"/nowhere/m.onnx\"",
            "infer.model = /nowhere",
        ),
        (
            "[infer]\nengine = \"/nowhere/m.plan\"",
            "infer.engine = /nowhere",
        ),
        (
            "[infer]\nmodel = \"/\"",
            "infer.model = /: it is not a file",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_refused(&place.output(&["check", &config]), 1, &[words]);
    }
    // What only infer reads is no business of the others, and names are not looked up.
    let text = "[infer]\nmodel = \"/nowhere/m.onnx\"\n[render]\nhttp = \"board.invalid:80\"";
    std::fs::write(&file, text).unwrap();
    for (stage, fine) in [("capture", true), ("infer", false), ("render", true)] {
        let out = place.output(&["check", &config, "--stage", stage]);
        assert_eq!(out.status.success(), fine, "{stage}: {}", self::text(&out));
    }
}

/// A token that was made up has to be told; one that was configured has not.
#[test]
fn a_configured_token_is_not_logged() {
    for (token, told) in [("", true), ("sesame-open", false)] {
        let place = Place::new();
        let manager = Manager::new(&place);
        let mut command = manager.command(&place, &["render", "--http=0.0.0.0:0"]);
        command.env("HANJA_TOKEN", token);
        let running = place.start_command(command, "out.txt");
        manager.wait_for(&running, "READY=1");
        let log = running.log();
        assert_eq!(log.contains("?token="), told, "{log}");
        assert!(!log.contains("sesame"), "{log}");
    }
}

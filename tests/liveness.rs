//! Is it alive? `hanja status`, `/healthz` and `/metrics` give one answer, from outside, on the real pipeline: with
//! stopped stages, a camera that delivers the same frame again, a frozen clock, and none of these.

use crate::harness::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Frames of a size and rate that a busy machine keeps up with.
const SMALL: &str = "--source=synth:?size=320x240&fps=15&glyphs=1";

/// A pipeline with a web view on a port of its own.
struct Pipeline {
    place: Place,
    running: Running,
    address: String,
}

impl Pipeline {
    fn start(source: &str) -> Self {
        let place = Place::new();
        let running = place.start(&["run", source, "--http=127.0.0.1:0", "--size=160"]);
        let line = running.wait_for("view at http://");
        let address = line.split("http://").nth(1).unwrap_or_default();
        let address = address.split('/').next().unwrap_or_default().to_owned();
        Self {
            place,
            running,
            address,
        }
    }

    /// Status and body of a page; `None` if nobody answers within two seconds.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let limit = Some(Duration::from_secs(2));
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(limit).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn health(&self) -> Option<(u16, Value)> {
        let (status, body) = self.get("/healthz")?;
        Some((status, serde_json::from_str(&body).expect("JSON")))
    }

    /// Exit status and answer of `hanja status --json`.
    fn status(&self) -> (i32, Value) {
        let out = self.place.output(&["status", "--json"]);
        let json =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&out)));
        (out.status.code().expect("an exit status"), json)
    }

    /// Waits until all who are asked agree on `state`; gives the words of `hanja status` and the time it took. A
    /// stopped render cannot be asked.
    fn until_all_say(&self, state: &str, exit: i32, render_answers: bool) -> (Value, Duration) {
        let begin = Instant::now();
        let json = until(&format!("everybody to say {state}"), || {
            let (code, json) = self.status();
            let told = (code, json["state"].as_str()) == (exit, Some(state));
            if !told || !render_answers {
                return told.then_some(json);
            }
            let (http, health) = self.health()?;
            let (_, metrics) = self.get("/metrics")?;
            let healthy = format!("hanja_healthy {}", u8::from(exit == 0));
            let agree = health["state"] == state
                && http == if exit == 0 { 200 } else { 503 }
                && metrics.lines().any(|line| line == healthy);
            agree.then_some(json)
        });
        (json, begin.elapsed())
    }
}

#[test]
fn a_stopped_stage_is_noticed_by_everybody_and_goes_on() {
    let pipeline = Pipeline::start(SMALL);
    pipeline.until_all_say("live", 0, true);
    for name in ["capture", "infer", "render"] {
        let pid = pipeline.running.stage(name).expect("a stage");
        pipeline.running.signal(pid, "STOP");
        let (json, took) = pipeline.until_all_say("stale", 6, name != "render");
        // Two seconds without data, three without statistics; the rest is the machine's.
        assert!(took < Duration::from_secs(12), "{name}: {took:?}");
        assert_eq!(json["stages"][name]["state"], "stale", "{json}");
        let words = json["words"].as_str().expect("words");
        assert!(words.starts_with(&format!("{name} is stopped")), "{json}");
        assert_eq!(
            json["remedy"],
            format!("let it go on with: kill -CONT {pid}"),
            "{json}"
        );
        for (other, judgement) in json["stages"].as_object().expect("stages") {
            let state = judgement["state"].as_str().expect("a state");
            assert!(
                other == name || ["live", "waiting"].contains(&state),
                "{other}: {json}"
            );
        }
        pipeline.running.signal(pid, "CONT");
        pipeline.until_all_say("live", 0, true);
    }
}

/// A camera that breaks and is mended, in every way that can be pretended.
#[test]
fn a_source_that_brings_nothing_new_is_told_from_a_live_one() {
    for (fault, state, exit, words) in [
        (
            "repeat",
            "repeating",
            5,
            "the source delivers the same frame again, for ",
        ),
        (
            "clock",
            "clock_frozen",
            5,
            "the source's time stamps stand still, for ",
        ),
        ("signal", "no_signal", 5, "the source has no picture"),
        (
            "silence",
            "stale",
            6,
            "the source has delivered no frame for ",
        ),
    ] {
        let pipeline = Pipeline::start(&format!("{SMALL}&fault={fault}@6-14"));
        pipeline.until_all_say("live", 0, true);
        let (json, _) = pipeline.until_all_say(state, exit, true);
        assert!(
            json["words"].as_str().expect("words").starts_with(words),
            "{json}"
        );
        assert_eq!(json["stages"]["capture"]["state"], state, "{json}");
        assert_ne!(json["remedy"], "", "{json}");
        pipeline.until_all_say("live", 0, true);
    }
}

/// What may be in order is live, and said.
#[test]
fn a_still_picture_and_missing_numbers_are_notices() {
    let pictures = tempfile::tempdir().expect("a directory");
    std::fs::write(pictures.path().join("desk.jpg"), jpeg(320, 240)).expect("a picture");
    let clip = pictures.path().join("still.y4m");
    let frame = [b"FRAME\n".as_slice(), &[90; 64 * 64 * 3 / 2]].concat();
    std::fs::write(
        &clip,
        [b"YUV4MPEG2 W64 H64 F10:1\n".as_slice(), &frame.repeat(20)].concat(),
    )
    .expect("a clip");
    for (source, code) in [
        (
            format!("--source=dir:{}?fps=10", pictures.path().display()),
            "still_picture",
        ),
        (
            format!("--source=file:{}?loop=1", clip.display()),
            "still_picture",
        ),
        (format!("{SMALL}&fault=picture"), "still_picture"),
        (format!("{SMALL}&fault=number"), "unnumbered"),
    ] {
        let pipeline = Pipeline::start(&source);
        let notice = until(&format!("a notice of {source}"), || {
            let (exit, json) = pipeline.status();
            let (_, health) = pipeline.health()?;
            let told = json["notices"][0]["code"] == code && health["notices"][0]["code"] == code;
            told.then_some((exit, json))
        });
        assert_eq!(
            (notice.0, &notice.1["state"]),
            (0, &Value::from("live")),
            "{}",
            notice.1
        );
        let lines = text(&pipeline.place.output(&["status"]));
        assert!(
            lines.starts_with("live: ") && lines.contains("\nnote: the "),
            "{lines}"
        );
    }
}

/// From the first answer on: not live until data flows, live from then on.
#[test]
fn health_does_not_flap_at_the_start() {
    let pipeline = Pipeline::start(SMALL);
    let mut answers = Vec::new();
    let mut first_live = None;
    until("eight seconds of live", || {
        let (status, json) = pipeline.health()?;
        if status == 200 {
            first_live.get_or_insert_with(Instant::now);
        }
        let state = json["state"].as_str().expect("a state").to_owned();
        if answers.last() != Some(&(status, state.clone())) {
            answers.push((status, state));
        }
        first_live.filter(|t| t.elapsed() > Duration::from_secs(8))
    });
    let (live, before) = answers.split_last().expect("answers");
    assert_eq!(live, &(200, "live".to_owned()), "{answers:?}");
    // A stage that the supervisor has not started yet does not run.
    let early = |(status, state): &(u16, String)| {
        *status == 503 && ["starting", "not_running"].contains(&state.as_str())
    };
    assert!(before.iter().all(early), "{answers:?}");
}

#[test]
fn status_of_nothing_of_a_part_and_of_the_end() {
    let place = Place::new();
    let out = place.output(&["status"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out));
    assert!(
        text(&out).starts_with("not running: no pipeline runs in "),
        "{}",
        text(&out)
    );
    let out = place.output(&["status", "--json", "--wait=300ms"]);
    let json: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(
        (out.status.code(), &json["state"]),
        (Some(3), &Value::from("not_running"))
    );

    let running = place.start(&["capture", SMALL]);
    let lines = until("capture alone", || {
        let out = place.output(&["status"]);
        let all = text(&out);
        (out.status.code() == Some(3) && all.contains("capture  live")).then_some(all)
    });
    assert!(
        lines.starts_with("not running: infer does not run\n"),
        "{lines}"
    );
    assert!(lines.contains("\nrender   not running\n"), "{lines}");
    drop(running);

    let running = place.start(&["run", SMALL, "--http=off", "--size=160"]);
    let out = place.output(&["status", "--wait=25s"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    let all = text(&out);
    assert!(all.starts_with("live: what is shown is "), "{all}");
    for stage in ["capture  live", "infer    live", "render   live"] {
        assert!(all.contains(stage), "{all}");
    }
    drop(running);
}

/// Whoever may not tap is told so, which is no state of the pipeline.
#[test]
fn status_without_permission_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    if rustix_is_root() {
        return status_as_nobody();
    }
    let place = Place::new();
    std::fs::create_dir(place.runtime_dir()).expect("a directory");
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(place.runtime_dir(), closed).expect("permissions");
    assert_refused(
        &place.output(&["status"]),
        1,
        &["cannot look", "Permission denied", "hanja-tap"],
    );
}

fn rustix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// Root may everything: the question is asked as another user.
fn status_as_nobody() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    let running = place.start(&["run", SMALL, "--http=off", "--size=160"]);
    running.wait_for("first detection");
    let copy = place.path("hanja");
    std::fs::copy(env!("CARGO_BIN_EXE_hanja"), &copy).expect("a copy");
    let mut command = std::process::Command::new(&copy);
    command
        .arg("status")
        .arg("--runtime-dir")
        .arg(place.runtime_dir());
    let out = command.uid(65534).gid(65534).output().expect("it runs");
    assert_refused(&out, 1, &["cannot look", "Permission denied", "hanja-tap"]);
    drop(running);
}

/// A stage whose watchdog is this test.
struct Watched {
    name: &'static str,
    socket: std::os::unix::net::UnixDatagram,
    running: Running,
}

impl Watched {
    fn start(place: &Place, name: &'static str, argument: &str) -> Self {
        let path = place.path(&format!("{name}.notify"));
        let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
        let mut command = place.hanja(&[name, argument]);
        // A ping at least every 300 ms.
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1200000");
        let running = place.start_command(command, &format!("{name}.txt"));
        Self {
            name,
            socket,
            running,
        }
    }

    /// Whether the watchdog is fed in the next second and a half.
    fn fed(&self) -> bool {
        let receive = |wait| {
            self.socket
                .set_read_timeout(Some(wait))
                .expect("a time-out");
            let mut buffer = [0; 4096];
            let len = self.socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..len]).contains("WATCHDOG=1"))
        };
        while receive(Duration::from_millis(1)).is_some() {}
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1500) {
            if receive(Duration::from_millis(50)) == Some(true) {
                return true;
            }
        }
        false
    }
}

/// A stage's watchdog is fed exactly as long as a new process would be no remedy.
#[test]
fn the_watchdogs_agree() {
    for (fault, stop, want) in [
        ("", None, ["live", "live", "live"]),
        ("&fault=signal", None, ["no_signal", "live", "live"]),
        ("&fault=repeat", None, ["repeating", "live", "live"]),
        ("&fault=clock", None, ["clock_frozen", "live", "live"]),
        ("&fault=silence@4", None, ["stale", "waiting", "waiting"]),
        ("", Some("capture"), ["stale", "waiting", "waiting"]),
        ("", Some("infer"), ["live", "stale", "waiting"]),
        ("", Some("render"), ["live", "live", "stale"]),
    ] {
        let place = Place::new();
        let stages = [
            Watched::start(&place, "capture", &format!("{SMALL}{fault}")),
            Watched::start(&place, "infer", "--size=160"),
            Watched::start(&place, "render", "--http=off"),
        ];
        let states = || -> Vec<String> {
            let json: Value =
                serde_json::from_slice(&place.output(&["status", "--json"]).stdout).expect("JSON");
            let state = |s: &Watched| {
                json["stages"][s.name]["state"]
                    .as_str()
                    .expect("a state")
                    .to_owned()
            };
            stages.iter().map(state).collect()
        };
        if let Some(name) = stop {
            until("a live pipeline", || {
                (states() == ["live", "live", "live"]).then_some(())
            });
            let stage = stages.iter().find(|s| s.name == name).expect("a stage");
            stage.running.signal(stage.running.pid(), "STOP");
        }
        until(
            &format!("{fault} {stop:?}: {want:?}, and watchdogs that agree"),
            || {
                let fed: Vec<_> = stages.iter().map(Watched::fed).collect();
                let told = states();
                let agree = told
                    .iter()
                    .zip(&fed)
                    .all(|(state, fed)| (state != "stale") == *fed);
                (agree && told == want).then_some(())
            },
        );
    }
}

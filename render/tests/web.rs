//! The whole of render over a real connection, fed by pretended stages through the real rings.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

mod fake;

use fake::Fake;
use hanja_record::StageName;
use hanja_render::{RenderError, run};
use hanja_stage::Stage;
use hanja_stage::config::RenderConfig;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running render with pretended stages; ends when dropped.
struct Rig {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn start(silent: bool, token: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A port that is free now; nobody else asks for it in the meantime.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let stage = Stage::start(StageName::Render, dir.path()).unwrap();
        let stop = stage.stop_flag();
        let config = RenderConfig {
            http: address.to_string(),
            token: token.map(str::to_owned),
        };
        let render = std::thread::spawn(move || run(&stage, &config).unwrap());
        let mut fake = Fake::start(dir.path()).unwrap();
        let ended = Arc::clone(&stop);
        let pretend = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                fake.step(silent).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            address,
            stop,
            threads: vec![render, pretend],
            _dir: dir,
        }
    }

    /// Sends a GET and leaves the answer to be read; `extra` are header lines.
    fn open(&self, path: &str, extra: &str) -> BufReader<TcpStream> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut stream = loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => break stream,
                Err(e) if Instant::now() > deadline => panic!("no server: {e}"),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let host = if extra.contains("Host:") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        // HTTP/1.0: no chunks, so that the bytes are the body.
        write!(stream, "GET {path} HTTP/1.0\r\n{host}{extra}\r\n").unwrap();
        BufReader::new(stream)
    }

    fn get(&self, path: &str, extra: &str) -> (u16, String, Vec<u8>) {
        let mut reader = self.open(path, extra);
        let head = head(&mut reader);
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, body)
    }

    /// Asks again until `good` is content; the stages take a second to report.
    fn json(&self, path: &str, good: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (status, _, body) = self.get(path, "");
            let value: Value = serde_json::from_slice(&body).unwrap();
            if good(status, &value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{status} {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads up to and without the empty line.
fn head(reader: &mut impl BufRead) -> String {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        assert!(
            reader.read_line(&mut line).unwrap() > 0,
            "cut off after {text:?}"
        );
        if line == "\r\n" {
            return text;
        }
        text.push_str(&line);
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let prefix = format!("{name}: ");
    head.lines().find_map(|l| l.strip_prefix(&prefix))
}

/// The next part of the stream: its record, its frame, its picture.
fn part(reader: &mut impl BufRead) -> (Option<Value>, Value, Vec<u8>) {
    let head = head(reader);
    assert!(head.starts_with("--hanja\r\n"), "{head}");
    let mut body = vec![0; field(&head, "Content-Length").unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let mut end = [0; 2];
    reader.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"\r\n");
    let json = |name| field(&head, name).map(|text| serde_json::from_str(text).unwrap());
    (json("X-Record"), json("X-Frame").unwrap(), body)
}

#[test]
fn each_picture_comes_with_its_own_record() {
    let rig = Rig::start(false, None);
    let mut stream = rig.open("/stream.mjpg", "");
    assert!(head(&mut stream).contains("multipart/x-mixed-replace; boundary=hanja"));
    let mut last = 0;
    for _ in 0..5 {
        let (record, frame, picture) = part(&mut stream);
        let record = record.unwrap();
        assert_eq!(record["frame"]["seq"], frame["seq"]);
        assert_eq!(record["frame"]["generation"], frame["generation"]);
        assert!(
            record["frame"]["seq"].as_u64() > Some(last),
            "pictures go forward"
        );
        last = record["frame"]["seq"].as_u64().unwrap();
        let rgb = image::load_from_memory(&picture).unwrap().into_rgb8();
        assert_eq!(rgb.dimensions(), (640, 480));
        // The pretended 三 is dark where its box says: the boxes belong to this very picture.
        let b = &record["detections"][0]["box"];
        let at = |x: f64, y: f64| {
            let mix = |lo: usize, hi: usize, t: f64| {
                let (lo, hi) = (b[lo].as_f64().unwrap(), b[hi].as_f64().unwrap());
                (lo + (hi - lo) * t) as u32
            };
            rgb.get_pixel(mix(0, 2, x), mix(1, 3, y)).0[1]
        };
        assert!(
            at(0.5, 0.5) < 110 && at(0.5, 0.3) > 140,
            "{} {}",
            at(0.5, 0.5),
            at(0.5, 0.3)
        );
    }
    let (status, _, jpeg) = rig.get("/snapshot.jpg", "");
    assert_eq!(status, 200);
    assert_eq!(image::load_from_memory(&jpeg).unwrap().width(), 640);
}

#[test]
fn frames_without_records_are_shown_bare() {
    let rig = Rig::start(true, None);
    let mut stream = rig.open("/stream.mjpg", "");
    head(&mut stream);
    let (record, frame, _) = part(&mut stream);
    assert_eq!((record, &frame["synthetic"]), (None, &Value::Bool(true)));
    let health = rig.json("/healthz", |status, v| status == 503 && v["ok"] == false);
    assert!(
        health["reasons"]
            .to_string()
            .contains("infer starts: no detections yet"),
        "{health}"
    );
}

#[test]
fn events_come_in_order_and_resume() {
    let rig = Rig::start(false, None);
    let read = |extra: &str, count: usize| {
        let mut stream = rig.open("/detections", extra);
        assert!(head(&mut stream).contains("text/event-stream"));
        let mut lines = stream.lines().map(Result::unwrap).filter(|l| !l.is_empty());
        lines.by_ref().take(2 * count).collect::<Vec<_>>()
    };
    let first = read("", 3);
    let id = |line: &str| line.strip_prefix("id: ").map(str::to_owned);
    let ids: Vec<_> = first.iter().filter_map(|l| id(l)).collect();
    assert_eq!(ids.len(), 3, "{first:?}");
    let seq = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(seq(&ids[2]), seq(&ids[0]) + 2);
    let data = first.iter().find_map(|l| l.strip_prefix("data: ")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(data).unwrap()["detections"][0]["label"],
        "三"
    );
    let resumed = read(&format!("Last-Event-ID: {}\r\n", ids[0]), 2);
    assert!(
        resumed.iter().any(|l| *l == format!("id: {}", ids[1])),
        "{resumed:?}"
    );
    let lost = read("Last-Event-ID: 7-7\r\n", 1);
    assert!(
        lost.contains(&"event: gap".to_owned()) || seq(&id(&lost[0]).unwrap_or("0-0".into())) == 1,
        "{lost:?}"
    );
}

#[test]
fn numbers_metrics_and_health() {
    let rig = Rig::start(false, None);
    rig.json("/healthz", |status, v| {
        status == 200 && v["ok"] == true && v["backend"] == "rten; not tensorrt: no GPU"
    });
    let stats = rig.json("/stats.json", |_, v| {
        v["render"]["fps"].as_f64() > Some(5.0)
    });
    assert_eq!(stats["capture"]["stage"], "capture");
    assert!(stats["infer"]["metrics"]["inference"]["p50_ms"].as_f64() > Some(1.0));
    assert!(
        stats["render"]["metrics"]["deliver"]["count"].as_u64() > Some(0),
        "{stats}"
    );
    assert_eq!(stats["pictures"], 0, "nobody watches, nothing is encoded");
    let history = rig.json("/history.json", |_, v| {
        v["infer"]["end_to_end_us"]
            .as_array()
            .is_some_and(|points| points.iter().any(|p| p[0].as_u64() > Some(10_000)))
    });
    assert_eq!(history["kept_s"], 600);
    let newest = history["infer"]["t_ms"].as_array().unwrap().last().unwrap();
    let later = rig.json(&format!("/history.json?infer={newest}"), |_, _| true);
    assert!(later["infer"]["t_ms"].as_array().unwrap().len() < 4);
    let (_, head, body) = rig.get("/metrics", "");
    assert!(head.contains("text/plain; version=0.0.4"));
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("hanja_fps{stage=\"infer\"}")
    );
}

#[test]
fn the_page_is_served_with_its_rules() {
    let rig = Rig::start(false, None);
    for path in ["/", "/app.js", "/words.ko.js", "/app.css", "/icon.svg"] {
        let (status, head, body) = rig.get(path, "");
        assert_eq!(status, 200, "{path}");
        assert!(
            head.contains("content-security-policy: default-src 'none'"),
            "{head}"
        );
        assert!(head.contains("require-trusted-types-for 'script'; trusted-types 'none'"));
        assert!(
            !body.is_empty() && !body.windows(4).any(|w| w == b"http" && path == "/"),
            "{path}"
        );
    }
    assert_eq!(rig.get("/nothing", "").0, 404);
    assert_eq!(rig.get("/", "Host: evil.example\r\n").0, 403);
}

#[test]
fn a_token_is_asked_for() {
    let rig = Rig::start(false, Some("sesame"));
    assert_eq!(rig.get("/stats.json", "").0, 401);
    let (status, head, _) = rig.get("/?token=sesame", "");
    assert_eq!(status, 200);
    let cookie = field(&head, "set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(
        rig.get("/stats.json", &format!("Cookie: {pair}\r\n")).0,
        200
    );
}

#[test]
fn it_ends_at_once_with_streams_open() {
    let rig = Rig::start(false, None);
    let mut stream = rig.open("/stream.mjpg", "");
    head(&mut stream);
    part(&mut stream);
    let _events = rig.open("/detections", "");
    let start = Instant::now();
    drop(rig);
    // Streams never end by themselves: a server that waited for them would wait for ever.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = taken.local_addr().unwrap().to_string();
    let stage = Stage::start(StageName::Render, dir.path()).unwrap();
    let fail = |http: &str| {
        run(
            &stage,
            &RenderConfig {
                http: http.into(),
                token: None,
            },
        )
        .unwrap_err()
    };
    let error = fail(&http);
    assert!(matches!(error, RenderError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!("address {http} is already in use: choose another with --http ADDR or --http off")
    );
    assert!(fail("nonsense").to_string().contains("nonsense"));
    stage.stop_flag().store(true, Ordering::Relaxed);
    run(
        &stage,
        &RenderConfig {
            http: "off".into(),
            token: None,
        },
    )
    .unwrap();
}

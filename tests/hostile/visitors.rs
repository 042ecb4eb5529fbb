//! Visitors of the web view who say nothing, never finish, never read, or guess: the next one is answered within a second,
//! and render's memory and descriptors stay bounded.

use super::viewer::address;
use crate::harness::{Place, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// More than there are places, and than the process has descriptors by default.
const CROWD: usize = 1050;

/// This process may have as many descriptors as its crowds need; its children inherit the old limit.
fn allow_crowds() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.or(Some(4096));
    let more = Rlimit { current, ..limit };
    setrlimit(Resource::Nofile, more).expect("up to the hard limit");
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the listener is there");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// The status of an answer, or `None` where the connection was cut.
fn ask(stream: &mut TcpStream, request: &str) -> Option<u16> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}

fn get(address: &str, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    ask(&mut connect(address), &request)
}

/// A visitor like any other; at once, or as good as.
fn assert_answered(address: &str, while_: &str) {
    let started = Instant::now();
    assert_eq!(get(address, "/stats.json"), Some(200), "{while_}");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{while_}: {took:?}");
}

fn kilobytes(pid: i32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status
        .lines()
        .find(|l| l.starts_with(what))
        .expect("a line");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("it lives")
        .count()
}

#[test]
fn silent_and_endless_visitors_keep_nobody_out() {
    let place = Place::new();
    let render = place.start(&["render", "--http=127.0.0.1:0"]);
    let address = address(&render);
    allow_crowds();
    let silent: Vec<_> = (0..CROWD).map(|_| connect(&address)).collect();
    assert_answered(&address, "silent connections");
    assert!(
        descriptors(render.pid()) < 300,
        "{}",
        descriptors(render.pid())
    );
    // The stage's own doors are open meanwhile.
    let tap = place.output(&["tap", "stats", "--count=1", "--json"]);
    assert!(tap.status.success(), "{tap:?}");
    drop(silent);

    // Heads that never end. At 16 kB each is told so; the memory is given back.
    let before = kilobytes(render.pid(), "VmRSS");
    let mut endless: Vec<_> = (0..200).map(|_| connect(&address)).collect();
    let line = format!("X-Padding: {}\r\n", "x".repeat(8000));
    for stream in &mut endless {
        let _ = write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\n");
        for _ in 0..40 {
            if stream.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
    }
    assert_answered(&address, "endless heads");
    let grown = kilobytes(render.pid(), "VmHWM").saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} kB for {} heads", endless.len());
    drop(endless);
    assert!(!render.log().contains("panicked"), "{}", render.log());
}

/// Half a head, and then nothing: cut after ten seconds.
#[test]
fn a_head_has_its_time() {
    let place = Place::new();
    let render = place.start(&["render", "--http=127.0.0.1:0"]);
    let address = address(&render);
    let mut stream = connect(&address);
    write!(stream, "GET / HTTP/1.1\r\nHost: ").unwrap();
    let started = Instant::now();
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let took = started.elapsed();
    let cut = end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
    assert!(cut && (8..15).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn viewers_who_do_not_read_are_counted_and_cut() {
    let place = Place::new();
    let run = place.start(&[
        "run",
        "--source=synth:?size=1920x1080&fps=10",
        "--http=127.0.0.1:0",
    ]);
    let address = address(&run);
    let render = until("render", || run.stage("render"));
    until("a picture", || {
        (get(&address, "/snapshot.jpg") == Some(200)).then_some(())
    });
    allow_crowds();
    let request = format!("GET /stream.mjpg HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut viewers: Vec<_> = (0..300).map(|_| connect(&address)).collect();
    let mut answers = std::collections::BTreeMap::new();
    for stream in &mut viewers {
        *answers.entry(ask(stream, &request)).or_insert(0) += 1;
        if answers.len() > 3 {
            break;
        }
    }
    assert_eq!(answers.get(&Some(200)), Some(&32), "{answers:?}");
    assert!(
        answers.get(&Some(503)).is_some_and(|n| *n > 50),
        "{answers:?}"
    );
    assert_answered(&address, "viewers who do not read");
    let peak = kilobytes(render, "VmHWM");
    assert!(peak < 192 << 10, "{peak} kB, where MemoryHigh is 192 MB");
    // Those who take nothing for ten seconds have left their places to others.
    until("a place", || {
        (get(&address, "/stream.mjpg") == Some(200)).then_some(())
    });
}

#[test]
fn guesses_are_slowed_and_said_once() {
    let place = Place::new();
    let render = place.start(&[
        "render",
        "--http=127.0.0.1:0",
        "--token=a token of some length",
    ]);
    let address = address(&render);
    let guess = |n: u32| get(&address, &format!("/?token=guess-{n}"));
    let started = Instant::now();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..40).map(|n| scope.spawn(move || guess(n))).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let slowly = answers.iter().filter(|a| **a == Some(401)).count();
    let away = answers.iter().filter(|a| **a == Some(429)).count();
    assert_eq!(slowly + away, 40, "{answers:?}");
    assert!((1..=20).contains(&slowly), "{answers:?}");
    let least = Duration::from_millis(250) * u32::try_from(slowly).unwrap();
    assert!(
        started.elapsed() >= least,
        "{slowly} in {:?}",
        started.elapsed()
    );
    let log = render.log();
    assert_eq!(log.matches("wrong token").count(), 1, "{log}");
    assert!(
        !log.contains("guess-"),
        "a guess may be nearly right: {log}"
    );
    assert_eq!(
        get(&address, "/?token=a%20token%20of%20some%20length"),
        Some(200)
    );
}

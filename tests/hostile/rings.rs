//! Rings that are in order as far as the header goes, and mad inside: states that point nowhere, slots that never
//! settle, records and frames of any content. The reader stays inside, alive and idle, and goes on.

use super::forge::{Ring, frame, record, stats};
use super::liars::{FakeServer, cpu_time};
use super::wire::*;
use crate::harness::{Place, Running, until};
use std::time::Duration;

const CAPTURE: &str = "capture-tap.sock";
const CAPTURE_LEASES: &str = "capture.sock";

fn socket(topic: u16) -> (&'static str, &'static str) {
    match topic {
        FRAMES => ("frames", CAPTURE),
        DETECTIONS => ("detections", "infer-tap.sock"),
        _ => ("stats", CAPTURE),
    }
}

/// A tap on this ring, then on a good one, which ends it.
fn tap(ring: Ring, options: &[&str], meanwhile: impl FnOnce(&Running)) -> String {
    let topic = ring.topic;
    let (name, socket) = socket(topic);
    let place = Place::new();
    let mad = FakeServer::ring(&place, socket, ring);
    let mut tap = place.start(&[&["tap", name, "--count=1"], options].concat());
    meanwhile(&tap);
    drop(mad);
    let _good = FakeServer::ring(&place, socket, Ring::good(topic));
    let ended = tap.wait(Duration::from_secs(10));
    let log = tap.log();
    assert!(ended.success() && !log.contains("panicked"), "{log}");
    log
}

/// Where `newest` points nowhere, or to a slot that does not hold what it says, there is nothing to read.
/// (A5)
#[test]
fn a_newest_that_cannot_be_read() {
    for topic in [FRAMES, DETECTIONS, STATS] {
        let good = || Ring::good(topic);
        let slot = good().slot();
        let rings = [
            good().damaged(128, 5 << 8 | 4 << 1), // slot 4 of 4
            good().damaged(128, u64::MAX),
            good().damaged(128, 5 << 8 | 1 << 1 | 1), // being written
            good().damaged(128, 9 << 8 | 2 << 1),     // a slot never written
            good().damaged(slot, 5 << 8 | 1 << 1 | 1), // a writer that died in the middle
            good().damaged(slot, u64::MAX),
        ];
        for (index, ring) in rings.into_iter().enumerate() {
            tap(ring, &["--json"], |tap| {
                std::thread::sleep(Duration::from_millis(400));
                let burnt = cpu_time(tap.pid());
                let most = Duration::from_millis(150); // its start included
                assert!(
                    burnt < most,
                    "topic {topic}, ring {index}: it spins, {burnt:?}"
                );
                assert_eq!(tap.log(), "", "topic {topic}, ring {index}");
            });
        }
    }
}

/// (A6)
#[test]
fn a_payload_longer_than_its_slot_is_cut() {
    let mut ring = Ring::good(FRAMES);
    ring.payload_len = Some(u64::MAX);
    let place = Place::new();
    let _server = FakeServer::ring(&place, CAPTURE, ring);
    let out = place.output(&["tap", "frames", "--count=1"]);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(0), 1 << 16));
}

fn damaged(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Left out with a word each; the tap goes on to the good one.
#[test]
fn records_that_are_none() {
    let cases = [
        (
            DETECTIONS,
            damaged(record(2), 0, b"JUNK"),
            "not a detection record",
        ),
        (DETECTIONS, damaged(record(2), 4, &[9]), "ABI version 9"),
        (
            DETECTIONS,
            damaged(record(2), 12, &[255; 4]),
            "impossible lengths",
        ),
        (
            DETECTIONS,
            damaged(record(2), 8, &[0, 0]),
            "impossible lengths",
        ),
        (
            DETECTIONS,
            damaged(record(2), 10, &[0, 0]),
            "impossible lengths",
        ),
        (
            DETECTIONS,
            damaged(record(2), 8, &[255, 255]),
            "is cut short",
        ),
        (
            DETECTIONS,
            damaged(record(2), 10, &[255, 255]),
            "is cut short",
        ),
        (DETECTIONS, record(2)[..300].to_vec(), "is cut short"),
        (DETECTIONS, Vec::new(), "is cut short"),
        (STATS, damaged(stats(), 0, b"JUNK"), "not a stats record"),
        (STATS, damaged(stats(), 4, &[9]), "ABI version 9"),
        (STATS, stats()[..639].to_vec(), "is cut short"),
    ];
    for (topic, payload, words) in cases {
        let mut ring = Ring::good(topic);
        ring.payload = payload;
        let log = tap(ring, &["--json"], |tap| {
            tap.wait_for(words);
        });
        assert_eq!(log.matches("left out").count(), 1, "{log}");
    }
}

/// Numbers that are none are still JSON.
#[test]
fn mad_numbers_in_good_records() {
    let mut detections = record(300);
    detections[256..].fill(0xff); // NaN everywhere, class 65535
    let mut numbers = stats();
    numbers[8..].fill(0xff); // a stage unknown, text that is not UTF-8, counts beyond belief
    for (topic, payload) in [(DETECTIONS, detections), (STATS, numbers)] {
        let place = Place::new();
        let mut ring = Ring::good(topic);
        ring.payload = payload;
        let (name, socket) = socket(topic);
        let _server = FakeServer::ring(&place, socket, ring);
        let out = place.output(&["tap", name, "--count=1", "--json"]);
        serde_json::from_slice::<serde_json::Value>(&out.stdout).expect("JSON");
        let words = place.output(&["tap", name, "--count=1"]);
        assert!(words.status.success() && !words.stdout.is_empty());
    }
}

pub type Shape = (u32, u32, u32);

/// Frames that cannot be: format, (width, height, stride), what is said about them.
pub const MAD_FRAMES: [(&[u8; 4], Shape, &str); 10] = [
    (b"\0\0\0\0", (4, 2, 8), "unknown pixel format"),
    (b"\xff\xff\xff\xff", (4, 2, 8), "unknown pixel format"),
    (b"YUYV", (0, 2, 8), "cannot be used"),
    (b"YUYV", (u32::MAX, u32::MAX, u32::MAX), "cannot be used"),
    (b"YUYV", (u32::MAX, 1, 8), "cannot be used"),
    (b"YUYV", (4, 2, 0), "cannot hold"),
    (b"GREY", (4, 2, u32::MAX), "cannot hold"),
    (b"NV12", (640, 480, 640), "is cut short"),
    (b"RGB3", (8192, 8192, 24576), "is cut short"),
    (b"MJPG", (4, 2, 0), "cannot be decoded"),
];

#[test]
fn frames_that_cannot_be() {
    for (fourcc, shape, words) in MAD_FRAMES {
        for format in ["--format=y4m", "--format=jpeg"] {
            if (fourcc, format) == (b"MJPG", "--format=jpeg") {
                continue; // passed on unopened
            }
            tap(frame(fourcc, shape, &[7; 64]), &[format], |tap| {
                tap.wait_for(words);
            });
        }
        tap(frame(fourcc, shape, &[7; 64]), &["--json"], |_| ());
        tap(frame(fourcc, shape, &[7; 64]), &["--format=raw"], |_| ());
    }
}

/// Infer says what is wrong and makes a record of it; then it makes one of a good frame.
#[test]
fn infer_on_frames_that_cannot_be() {
    let place = Place::new();
    let infer = place.start(&["infer"]);
    let wait_for = |status: &str, nth: usize| {
        until(&format!("a record of frame {nth} that is {status}"), || {
            let out = place.output(&["tap", "detections", "--json", "--count=1"]);
            let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("a record");
            (record["status"] == status).then_some(())
        });
    };
    for (nth, (fourcc, shape, _)) in (1..).zip(MAD_FRAMES) {
        let mad = FakeServer::ring(&place, CAPTURE_LEASES, frame(fourcc, shape, &[7; 64]));
        wait_for("undecodable", nth);
        drop(mad);
        let _good = FakeServer::ring(&place, CAPTURE_LEASES, Ring::good(FRAMES));
        wait_for("ok", nth);
    }
    assert!(!infer.log().contains("panicked"), "{}", infer.log());
}

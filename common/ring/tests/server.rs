//! A server and its readers in one process, over the real sockets.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report
#![allow(unsafe_code, reason = "looks into memory that was uninitialised")]

use hanja_ring::{
    Advice, Geometry, LeaseSubscriber, Listeners, RingError, Sample, Server, Stamp, TapSubscriber,
    Topic,
};
use std::mem::MaybeUninit;
use std::time::Duration;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(2);
const FRAMES: Topic = Topic::new(1, "frames");
const NUMBERS: Topic = Topic::new(3, "numbers");
const G: Geometry = Geometry {
    slots: 4,
    meta_len: 16,
    payload_capacity: 1024,
};

fn server(dir: &TempDir) -> Server {
    Server::start(
        dir.path(),
        "writer",
        &[FRAMES, NUMBERS],
        Listeners::default(),
    )
    .unwrap()
}

fn lease(dir: &TempDir, quota: u32) -> LeaseSubscriber {
    LeaseSubscriber::new(dir.path(), "writer", FRAMES, quota, Advice::default())
}

fn tap(dir: &TempDir, topic: Topic) -> TapSubscriber {
    let advice = Advice {
        absent: "start it",
        denied: "",
    };
    TapSubscriber::new(dir.path(), "writer", topic, advice)
}

fn meta(stamp: Stamp) -> [u64; 2] {
    [stamp.generation, stamp.seq]
}

#[test]
fn lease_and_tap_across_the_control_socket() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    let mut reader = lease(&dir, 2);
    let mut tapped = tap(&dir, FRAMES);
    assert!(reader.newest(Duration::from_millis(50)).is_none());
    publisher
        .publish(&[b"hello ", b"ring"], meta)
        .unwrap()
        .unwrap();
    let held = reader.newest(WAIT).unwrap();
    assert_eq!(held.payload(), b"hello ring");
    assert_eq!(held.meta()[8], 1);
    // The held slot survives many laps of the ring.
    for n in 0..20u8 {
        publisher.publish(&[&[n; 100]], meta).unwrap().unwrap();
    }
    assert_eq!(held.payload(), b"hello ring");
    assert_eq!(reader.newest(WAIT).unwrap().payload(), [19; 100]);
    let mut sample = Sample::default();
    assert!(tapped.newest(&mut sample, WAIT));
    assert_eq!(
        (sample.seq, sample.payload.as_slice()),
        (21, [19; 100].as_slice())
    );
    assert!(
        !tapped.newest(&mut sample, Duration::from_millis(20)),
        "nothing newer"
    );
    assert_eq!(server.attached(), (1, 1));
}

#[test]
fn a_mapping_outlives_its_lease_and_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    publisher.publish(&[&[7; 100]], meta).unwrap().unwrap();
    let mut subscriber = lease(&dir, 1);
    let lease = subscriber.newest(WAIT).unwrap();
    let mapping = lease.mapping();
    assert_eq!(mapping.generation(), lease.generation());
    let range = mapping.start().addr()..mapping.start().addr() + mapping.len();
    assert!(range.start.is_multiple_of(4096));
    let payload = lease.payload().as_ptr_range();
    assert!(range.start < payload.start.addr() && payload.end.addr() <= range.end);
    drop((lease, subscriber, publisher, server));
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = format!("{:x}-", range.start);
    assert!(maps().contains(&line), "{line} in {}", maps());
    drop(mapping);
    assert!(!maps().contains(&line), "{line} in {}", maps());
}

#[test]
fn quota_bounds_the_leases_and_a_full_ring_drops() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    let mut reader = lease(&dir, 4);
    let mut held = Vec::new();
    for n in 0..3u8 {
        publisher.publish(&[&[n]], meta).unwrap().unwrap();
        held.push(reader.newest(WAIT).unwrap());
    }
    publisher.publish(&[b"x"], meta).unwrap().unwrap();
    assert!(
        publisher.publish(&[b"y"], meta).unwrap().is_none(),
        "three leased, one newest"
    );
    drop(held.remove(0));
    assert!(publisher.publish(&[b"y"], meta).unwrap().is_some());
}

#[test]
fn a_new_generation_reaches_every_reader_and_old_leases_stay_good() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    let mut reader = lease(&dir, 2);
    let mut tapped = tap(&dir, FRAMES);
    publisher.publish(&[b"old"], meta).unwrap();
    let old = reader.newest(WAIT).unwrap();
    let mut sample = Sample::default();
    assert!(tapped.next(&mut sample, WAIT));
    publisher
        .renew(Geometry {
            payload_capacity: 1 << 20,
            ..G
        })
        .unwrap();
    publisher.publish(&[&[7; 1 << 20]], meta).unwrap();
    let new = reader.newest(WAIT).unwrap();
    assert_ne!(new.generation(), old.generation());
    assert_eq!((new.seq(), new.payload().len()), (1, 1 << 20));
    assert_eq!(old.payload(), b"old");
    assert!(tapped.next(&mut sample, WAIT));
    assert_eq!(sample.generation, new.generation());
}

#[test]
fn taps_in_order_count_what_they_missed() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(NUMBERS, G).unwrap();
    let mut tapped = tap(&dir, NUMBERS);
    let mut sample = Sample::default();
    publisher.publish(&[b"1"], meta).unwrap();
    assert!(tapped.next(&mut sample, WAIT));
    for _ in 0..10 {
        publisher.publish(&[b"n"], meta).unwrap();
    }
    let (mut seen, mut lapped) = (0, 0);
    while tapped.next(&mut sample, Duration::from_millis(20)) {
        seen += 1;
        lapped += sample.lapped;
    }
    assert_eq!(seen + lapped, 10);
    assert!(seen >= 3, "the ring holds four");
}

#[test]
fn a_tap_socket_never_leases() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    publisher.publish(&[b"x"], meta).unwrap();
    // Put the tap socket where a leasing client looks.
    let (lease_socket, tap_socket) = (
        dir.path().join("writer.sock"),
        dir.path().join("writer-tap.sock"),
    );
    std::fs::rename(tap_socket, lease_socket).unwrap();
    let mut reader = lease(&dir, 1);
    assert!(reader.newest(Duration::from_millis(200)).is_none());
}

#[test]
fn a_peek_is_followed_by_one_copy_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut tapped = tap(&dir, FRAMES);
    let mut sample = Sample::default();
    assert!(tapped.peek_next(&mut sample, Duration::ZERO).is_none());
    let problem = tapped.problem().unwrap();
    assert!(
        problem.contains("writer-tap.sock (frames)") && problem.ends_with("; start it"),
        "{problem}"
    );
    let server = server(&dir);
    assert!(
        tapped
            .peek_next(&mut sample, Duration::from_millis(50))
            .is_none()
    );
    assert!(
        tapped
            .problem()
            .unwrap()
            .contains("does not have this topic")
    );
    assert!(tapped.is_idle(), "nobody there is nothing to do");
    let mut publisher = server.publisher(FRAMES, G).unwrap();
    publisher.publish(&[&[7; 100]], meta).unwrap();
    let _ = tapped.peek_newest(&mut Sample::default(), WAIT);
    tapped.rewind();
    assert!(!tapped.is_idle(), "there is something, not read");
    assert_eq!(tapped.peek_next(&mut sample, WAIT), Some(100));
    assert_eq!((tapped.problem(), sample.meta[8]), (None, 1));
    assert!(tapped.is_idle());
    let stamp = Stamp {
        generation: sample.generation,
        seq: sample.seq,
    };
    let mut out = [MaybeUninit::new(0); 120];
    assert_eq!(tapped.copy_payload(stamp, &mut out), Some(100));
    // SAFETY: initialised above.
    let bytes = out.map(|b| unsafe { b.assume_init() });
    assert_eq!((bytes[99], bytes[100]), (7, 0));
    assert_eq!(
        tapped.copy_payload(stamp, &mut out[..10]),
        Some(100),
        "cut, and told"
    );
    // The writer laps the ring: what was peeked at is gone, and nothing else is taken for it.
    for _ in 0..4 {
        publisher.publish(&[b"later"], meta).unwrap();
    }
    assert_eq!(tapped.copy_payload(stamp, &mut out), None);
    assert_eq!(tapped.peek_newest(&mut sample, WAIT), Some(5));
    assert_eq!(sample.seq, 5);
}

/// What a server will have is waited for; what it will never have is refused at once.
#[test]
fn only_topics_that_were_announced() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let other = Topic::new(9, "others");
    let refused = server.publisher(other, G).unwrap_err();
    assert!(
        matches!(refused, RingError::Unannounced("others")),
        "{refused}"
    );
    let mut sample = Sample::default();
    let (mut later, mut never) = (tap(&dir, NUMBERS), tap(&dir, other));
    assert!(!later.next(&mut sample, Duration::from_millis(50)));
    assert!(!never.next(&mut sample, Duration::from_millis(50)));
    let problem = |tap: &TapSubscriber| tap.problem().unwrap();
    assert!(
        problem(&later).contains("does not have this topic yet"),
        "{}",
        problem(&later)
    );
    assert!(
        problem(&never).contains("no such topic"),
        "{}",
        problem(&never)
    );
    let mut publisher = server.publisher(NUMBERS, G).unwrap();
    publisher.publish(&[b"1"], meta).unwrap();
    assert!(later.next(&mut sample, WAIT));
}

/// A publisher keeps its server: the sockets go with the last of both.
#[test]
fn sockets_go_with_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir);
    let publisher = server.publisher(FRAMES, G).unwrap();
    let sockets = || std::fs::read_dir(dir.path()).unwrap().count();
    drop(server);
    assert_eq!(sockets(), 2);
    drop(publisher);
    assert_eq!(sockets(), 0);
}

//! A stage and its readers in one process, over the real sockets.

use super::*;
use crate::ring::Sample;
use crate::subscribe::{LeaseSubscriber, TapSubscriber};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(2);
const G: Geometry = Geometry {
    slots: 4,
    meta_len: 16,
    payload_capacity: 1024,
};

fn stage(dir: &tempfile::TempDir) -> Stage {
    Stage::start(StageName::Capture, dir.path()).unwrap()
}

fn meta(stamp: Stamp) -> [u64; 2] {
    [stamp.generation, stamp.seq]
}

#[test]
fn records_call_the_stages_by_the_same_names() {
    for stage in StageName::ALL {
        let stats = crate::record::StageStats::new(stage as u16);
        assert_eq!(stats.stage_name(), stage.name());
    }
}

#[test]
fn lease_and_tap_across_the_control_socket() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
    let mut lease = LeaseSubscriber::new(dir.path(), StageName::Capture, Topic::Frames, 2);
    let mut tap = TapSubscriber::new(dir.path(), StageName::Capture, Topic::Frames);
    assert!(lease.newest(Duration::from_millis(50)).is_none());
    publisher
        .publish(&[b"hello ", b"ring"], meta)
        .unwrap()
        .unwrap();
    let held = lease.newest(WAIT).unwrap();
    assert_eq!(held.payload(), b"hello ring");
    assert_eq!(held.meta()[8], 1);
    // The held slot survives many laps of the ring.
    for n in 0..20u8 {
        publisher.publish(&[&[n; 100]], meta).unwrap().unwrap();
    }
    assert_eq!(held.payload(), b"hello ring");
    assert_eq!(lease.newest(WAIT).unwrap().payload(), [19; 100]);
    let mut sample = Sample::default();
    assert!(tap.newest(&mut sample, WAIT));
    assert_eq!(
        (sample.seq, sample.payload.as_slice()),
        (21, [19; 100].as_slice())
    );
    assert!(
        !tap.newest(&mut sample, Duration::from_millis(20)),
        "nothing newer"
    );
    assert_eq!(stage.readers(), 2);
}

#[test]
fn a_mapping_outlives_its_lease_and_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
    publisher.publish(&[&[7; 100]], meta).unwrap().unwrap();
    let mut subscriber = LeaseSubscriber::new(dir.path(), StageName::Capture, Topic::Frames, 1);
    let lease = subscriber.newest(WAIT).unwrap();
    let mapping = lease.mapping();
    assert_eq!(mapping.generation(), lease.generation());
    let range = mapping.start().addr()..mapping.start().addr() + mapping.len();
    assert!(range.start.is_multiple_of(4096));
    let payload = lease.payload().as_ptr_range();
    assert!(range.start < payload.start.addr() && payload.end.addr() <= range.end);
    drop((lease, subscriber, publisher, stage));
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = format!("{:x}-", range.start);
    assert!(maps().contains(&line), "{line} in {}", maps());
    drop(mapping);
    assert!(!maps().contains(&line), "{line} in {}", maps());
}

#[test]
fn quota_bounds_the_leases_and_a_full_ring_drops() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
    let mut lease = LeaseSubscriber::new(dir.path(), StageName::Capture, Topic::Frames, 4);
    let mut held = Vec::new();
    for n in 0..3u8 {
        publisher.publish(&[&[n]], meta).unwrap().unwrap();
        held.push(lease.newest(WAIT).unwrap());
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
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
    let mut lease = LeaseSubscriber::new(dir.path(), StageName::Capture, Topic::Frames, 2);
    let mut tap = TapSubscriber::new(dir.path(), StageName::Capture, Topic::Frames);
    publisher.publish(&[b"old"], meta).unwrap();
    let old = lease.newest(WAIT).unwrap();
    let mut sample = Sample::default();
    assert!(tap.next(&mut sample, WAIT));
    publisher
        .renew(Geometry {
            payload_capacity: 1 << 20,
            ..G
        })
        .unwrap();
    publisher.publish(&[&[7; 1 << 20]], meta).unwrap();
    let new = lease.newest(WAIT).unwrap();
    assert_ne!(new.generation(), old.generation());
    assert_eq!((new.seq(), new.payload().len()), (1, 1 << 20));
    assert_eq!(old.payload(), b"old");
    assert!(tap.next(&mut sample, WAIT));
    assert_eq!(sample.generation, new.generation());
}

#[test]
fn taps_in_order_count_what_they_missed() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Stats, G).unwrap();
    let mut tap = TapSubscriber::new(dir.path(), StageName::Capture, Topic::Stats);
    let mut sample = Sample::default();
    publisher.publish(&[b"1"], meta).unwrap();
    assert!(tap.next(&mut sample, WAIT));
    for _ in 0..10 {
        publisher.publish(&[b"n"], meta).unwrap();
    }
    let (mut seen, mut lapped) = (0, 0);
    while tap.next(&mut sample, Duration::from_millis(20)) {
        seen += 1;
        lapped += sample.lapped;
    }
    assert_eq!(seen + lapped, 10);
    assert!(seen >= 3, "the ring holds four");
}

#[test]
fn a_second_stage_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = stage(&dir);
    let error = Stage::start(StageName::Capture, dir.path()).unwrap_err();
    assert!(matches!(error, StageError::InUse { pid, .. } if pid == std::process::id() as i32));
    assert!(Stage::start(StageName::Infer, dir.path()).is_ok());
}

#[test]
fn nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("run");
    let stage = Stage::start(StageName::Infer, &inner).unwrap();
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 2);
    drop(stage);
    assert!(!inner.exists());
}

#[test]
fn a_tap_socket_never_leases() {
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&dir);
    let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
    publisher.publish(&[b"x"], meta).unwrap();
    // Put the tap socket where a leasing client looks.
    let (lease, tap) = (
        dir.path().join("capture.sock"),
        dir.path().join("capture-tap.sock"),
    );
    std::fs::rename(tap, lease).unwrap();
    let mut lease = LeaseSubscriber::new(dir.path(), StageName::Capture, Topic::Frames, 1);
    assert!(lease.newest(Duration::from_millis(200)).is_none());
}

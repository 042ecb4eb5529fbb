//! The scenes that must hold, and those that must not.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One leasing reader; slots are reused from the third frame on.
const LEASE: Scene = Scene {
    slots: 2,
    frames: 3,
    leases: 2,
    handed_on: false,
    finder: false,
    taps: 0,
    tap_finder: false,
    listener: false,
    preemptions: 3,
    writer_dies_after: None,
    reader_dies_after: None,
    no_scan: false,
    release_early: false,
};

/// Two leasing readers, one of which comes by a sequence number, not through `newest`.
const TWO: Scene = Scene {
    leases: 1,
    finder: true,
    preemptions: 2,
    ..LEASE
};

/// One reader with two threads: leases are taken by one and end on the other, in the same cell.
const HANDED_ON: Scene = Scene {
    handed_on: true,
    preemptions: 4,
    ..LEASE
};

/// One tap.
const TAP: Scene = Scene {
    leases: 0,
    taps: 2,
    ..LEASE
};

/// One tap that comes by a sequence number, not through `newest`.
const TAP_BY_NUMBER: Scene = Scene {
    leases: 0,
    tap_finder: true,
    ..LEASE
};

/// Somebody who waits for news.
const LISTEN: Scene = Scene {
    leases: 0,
    listener: true,
    frames: 2,
    ..LEASE
};

#[test]
fn one_leasing_reader() {
    LEASE.run();
}

/// (D2)
#[test]
fn a_lease_that_ends_on_another_thread() {
    HANDED_ON.run();
}

#[test]
fn two_leasing_readers() {
    TWO.run();
}

#[test]
fn two_leasing_readers_with_room() {
    Scene {
        slots: 3,
        frames: 4,
        ..TWO
    }
    .run();
}

/// With one slot more than leases and the newest take, no frame is dropped.
#[test]
fn one_leasing_reader_with_room() {
    Scene {
        slots: 3,
        frames: 4,
        ..LEASE
    }
    .run();
}

/// (A7) (D3)
#[test]
fn one_tap() {
    TAP.run();
}

/// (D4)
#[test]
fn one_tap_by_number() {
    TAP_BY_NUMBER.run();
}

/// (D5)
#[test]
fn a_listener() {
    LISTEN.run();
}

#[test]
fn two_leasing_readers_and_a_tap() {
    Scene { taps: 1, ..TWO }.run();
}

/// MARK, payload, metadata, length, PUBLISH, ANNOUNCE, RING.
const STORES_PER_PUBLISH: u32 = 7;

#[test]
fn a_writer_that_dies_after_any_store() {
    for stores in 0..=STORES_PER_PUBLISH * LEASE.frames {
        let dies = Some(stores);
        Scene {
            leases: 1,
            taps: 1,
            writer_dies_after: dies,
            preemptions: 2,
            ..LEASE
        }
        .run();
        Scene {
            leases: 0,
            finder: true,
            listener: true,
            writer_dies_after: dies,
            preemptions: 2,
            ..LEASE
        }
        .run();
    }
}

#[test]
fn a_writer_that_dies_after_any_store_before_everybody() {
    for stores in 0..=STORES_PER_PUBLISH * LEASE.frames {
        let dies = Some(stores);
        Scene {
            taps: 1,
            writer_dies_after: dies,
            preemptions: 1,
            ..TWO
        }
        .run();
    }
}

#[test]
fn a_reader_that_dies_after_any_store() {
    for stores in 0..=4 {
        Scene {
            reader_dies_after: Some(stores),
            ..LEASE
        }
        .run();
        Scene {
            reader_dies_after: Some(stores),
            ..TWO
        }
        .run();
    }
}

fn fails(scene: Scene) -> bool {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let failed = catch_unwind(AssertUnwindSafe(|| scene.run())).is_err();
    std::panic::set_hook(quiet);
    failed
}

/// The scene in which each site is missed. Sites that are Relaxed as they are have nothing to lose.
const MISSED: &[(&str, Scene)] = &[
    ("MARK_FENCE", LEASE),
    ("MARK_FENCE", TAP),
    ("LEASE_FENCE", LEASE),
    ("TAP_FENCE", TAP),
    ("PUBLISH", TAP_BY_NUMBER),
    ("ANNOUNCE", LISTEN),
    ("RING", LISTEN),
    ("SCAN", LEASE),
    ("NEWEST", LISTEN),
    ("HEAR", LISTEN),
    ("CHECK", TAP_BY_NUMBER),
    ("HOLD", LEASE),
    ("RELEASE", LEASE),
    ("FREE", HANDED_ON),
];
const RELAXED: &[&str] = &[
    "MARK", "RESTORE", "FIND", "FILL", "RECHECK", "READ", "OWN", "SET",
];

#[test]
fn broken_every_ordering_is_needed() {
    for site in SITES {
        let scenes: Vec<_> = MISSED.iter().filter(|(s, _)| s == site).collect();
        assert_eq!(scenes.is_empty(), RELAXED.contains(site), "{site}");
        for (_, scene) in scenes {
            WEAKENED.set(Some(site));
            let failed = fails(*scene);
            WEAKENED.set(None);
            assert!(failed, "the model does not notice that {site} is gone");
        }
    }
}

#[test]
fn broken_the_hazard_scan_is_needed() {
    assert!(fails(Scene {
        no_scan: true,
        ..LEASE
    }));
}

#[test]
fn broken_a_lease_released_early_is_noticed() {
    assert!(fails(Scene {
        release_early: true,
        ..LEASE
    }));
}

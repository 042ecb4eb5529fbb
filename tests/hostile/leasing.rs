//! What a leasing client can do with its hazard page: waste its own leases. The writer goes on.

#![allow(unsafe_code)]

use super::descriptors::mapped;
use super::honest::Scene;
use super::wire::*;
use crate::harness::until;
use rustix::mm::ProtFlags;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NEWEST: usize = 128;
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// A connection that leases, its ring and its hazard page.
struct Seat {
    _socket: OwnedFd,
    fds: Vec<OwnedFd>,
}

impl Seat {
    fn take(path: &Path) -> Self {
        let (_socket, reply) = ask(path, &request(FRAMES, 4));
        let (_, fds) = reply.attached();
        Self { _socket, fds }
    }

    fn newest(&self) -> u64 {
        mapped(&self.fds[0], ProtFlags::READ, |base| {
            // SAFETY: inside the page, aligned; a load from a read-only mapping.
            Ok(unsafe { &*base.add(NEWEST).cast::<AtomicU64>() }.load(Ordering::Acquire))
        })
        .expect("a ring can be mapped")
    }

    /// Writes the page: `word(i)` into its `i`th cell.
    fn fill(&self, cells: usize, word: impl Fn(usize) -> u64) {
        mapped(&self.fds[1], READ_WRITE, |base| {
            for i in 0..cells {
                // SAFETY: `i` is below 512: inside the page, aligned; the writer only loads from it.
                let cell = unsafe { &*base.cast::<AtomicU64>().add(i) };
                cell.store(word(i), Ordering::SeqCst);
            }
            Ok(())
        })
        .expect("a hazard page can be mapped");
    }

    /// Leases so many frames, one after the other, for ever.
    fn hold(&self, leases: usize) {
        let mut held: Vec<u64> = Vec::new();
        while held.len() < leases {
            let newest = until("another frame", || {
                Some(self.newest()).filter(|state| !held.contains(state))
            });
            held.push(newest);
            self.fill(held.len(), |i| held[i]);
        }
    }
}

#[test]
fn rubbish_in_every_cell() {
    let scene = Scene::new();
    scene.attack(|| {
        let seat = Seat::take(&scene.lease_socket());
        for word in [u64::MAX, 0x0101_0101_0101_0101, 1, 0xfe] {
            seat.fill(512, |i| word.rotate_left(i as u32));
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    scene.assert_recovered(0);
}

#[test]
fn a_hazard_page_cannot_be_cut() {
    let scene = Scene::new();
    scene.attack(|| {
        let seat = Seat::take(&scene.lease_socket());
        for len in [0, 1, 4095, 8192] {
            assert!(rustix::fs::ftruncate(&seat.fds[1], len).is_err(), "{len}");
        }
        let seals = rustix::fs::SealFlags::WRITE;
        assert!(rustix::fs::fcntl_add_seals(&seat.fds[1], seals).is_err());
        // A hole is a page of zeros: no leases, which is the client's own loss.
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&seat.fds[1], hole, 0, 4096).expect("its own page");
    });
    scene.assert_recovered(0);
}

#[test]
fn a_quota_held_for_ever_costs_the_others_no_frame() {
    let scene = Scene::new();
    scene.attack(|| {
        let seat = Seat::take(&scene.lease_socket());
        seat.hold(4);
        scene.attack(|| std::thread::sleep(Duration::from_secs(1)));
        assert_eq!(dropped(&scene), 0);
    });
    scene.assert_recovered(0);
}

/// Two such clients can hold all eight slots. Then frames are dropped and counted, and the writer still does not wait;
/// when the clients go, frames come again.
/// (D7)
#[test]
fn every_slot_held_for_ever_drops_frames_and_stalls_nobody() {
    let scene = Scene::new();
    let seats = [(); 2].map(|()| Seat::take(&scene.lease_socket()));
    seats[0].hold(4);
    seats[1].hold(4);
    until("frames to be dropped", || {
        (dropped(&scene) > 20).then_some(())
    });
    drop(seats);
    scene.assert_recovered(1); // that frames were dropped, and why
}

/// Capture's own count, which it still publishes once a second.
fn dropped(scene: &Scene) -> u64 {
    let out = scene.place.output(&["tap", "stats", "--json", "--count=1"]);
    let stats: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one record");
    assert_eq!(stats["stage"], "capture");
    stats["counters"]["dropped"].as_u64().expect("a count")
}

//! Very many clients at once.

use super::honest::{Scene, holdings};
use super::wire::*;
use crate::harness::until;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

/// This test's own descriptors must not be the limit.
fn many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit
        .maximum
        .map_or(Some(8192), |most| Some(most.min(8192)));
    setrlimit(Resource::Nofile, limit).expect("more descriptors");
}

/// Connects and asks; those who are let in, and how many are told that there is no place.
fn crowd(path: &Path, message: &[u8], size: usize) -> (Vec<OwnedFd>, usize) {
    let (mut inside, mut turned_away) = (Vec::new(), 0);
    for _ in 0..size {
        match ask(path, message) {
            (fd, Answer::Reply { status, .. }) if status == ATTACHED => inside.push(fd),
            (_, Answer::Reply { status, .. }) if status == FULL => turned_away += 1,
            (_, other) => panic!("neither let in nor told why not: {other:?}"),
        }
    }
    (inside, turned_away)
}

#[test]
fn a_crowd_of_taps_leaves_room_for_the_pipeline() {
    many_descriptors();
    let scene = Scene::new();
    let (inside, turned_away) =
        scene.attack(|| crowd(&scene.tap_socket(), &request(FRAMES, 0), 400));
    // 256 places, 16 of them for leases; the honest tap has one.
    assert_eq!((inside.len(), turned_away), (239, 161));
    let (seat, reply) = ask(&scene.lease_socket(), &request(FRAMES, 2));
    assert_eq!(reply.attached().1.len(), 2);
    drop(inside);
    until("room for taps again", || {
        let (_fd, reply) = ask(&scene.tap_socket(), &request(FRAMES, 0));
        (reply.status() == Some(ATTACHED)).then_some(())
    });
    drop(seat);
    scene.assert_recovered(0);
}

#[test]
fn thousands_of_connections_that_ask_for_nothing() {
    many_descriptors();
    let scene = Scene::new();
    scene.attack(|| {
        for _ in 0..4000 {
            connect(&scene.tap_socket()); // and closed at once
        }
        let silent: Vec<_> = (0..1000).map(|_| connect(&scene.tap_socket())).collect();
        // Those inside are sent away for their silence, the others at the door.
        for fd in &silent {
            assert!(!matches!(answer(fd, SOON), Answer::Silence));
        }
    });
    let (_fd, reply) = ask(&scene.tap_socket(), &request(FRAMES, 0));
    reply.attached();
    drop(_fd);
    scene.assert_recovered(0);
}

/// With few descriptors the stage keeps half for itself, and a crowd finds fewer places.
#[test]
fn a_crowd_cannot_use_up_the_descriptors_of_a_stage() {
    const LIMIT: usize = 64;
    let scene = Scene::with(|command| {
        let mut limited = Command::new("sh");
        let script = format!("ulimit -n {LIMIT} && exec \"$0\" \"$@\"");
        limited.args(["-c", &script]).arg(command.get_program());
        limited.args(command.get_args());
        limited
    });
    let (inside, turned_away) =
        scene.attack(|| crowd(&scene.tap_socket(), &request(FRAMES, 0), 200));
    assert_eq!((inside.len(), turned_away), (15, 185));
    let (leasing, turned_away) =
        scene.attack(|| crowd(&scene.lease_socket(), &request(FRAMES, 0), 200));
    assert_eq!((leasing.len(), turned_away), (16, 184));
    let held = holdings(scene.stage.pid()).descriptors;
    assert!(held < LIMIT - 10, "{held} of {LIMIT} descriptors");
    drop((inside, leasing));
    scene.assert_recovered(0);
}

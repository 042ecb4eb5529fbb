//! Clients of a stage that do not behave. Each is told so or hung up on; the stage and its readers do not notice.

use super::honest::{Scene, holdings};
use super::wire::*;
use crate::harness::until;
use std::os::fd::AsFd;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

/// A good request with other bytes in some place.
fn with(at: usize, bytes: &[u8]) -> Message {
    let mut message = request(FRAMES, 0);
    message[at..at + bytes.len()].copy_from_slice(bytes);
    message
}

#[test]
fn nonsense_is_named() {
    let scene = Scene::new();
    let long = [request(FRAMES, 0), request(FRAMES, 0)].concat();
    let cases: [(&[u8], u16); 8] = [
        (b"GET / HTTP/1.1\r\n\r\n", MALFORMED),
        (&[0xff; 64], MALFORMED),
        (&request(FRAMES, 0)[..32], MALFORMED),
        (&long, MALFORMED),
        (&vec![7; 100_000], MALFORMED),
        (&with(0, b"HJRP"), MALFORMED),
        (&with(4, &[9, 0]), VERSION),
        (&with(8, &[0xff, 0xff]), NO_TOPIC),
    ];
    for path in [scene.lease_socket(), scene.tap_socket()] {
        scene.attack(|| {
            for (message, status) in &cases {
                let (fd, reply) = ask(&path, message);
                assert_eq!(reply.status(), Some(*status), "{:?}", &message[..16]);
                assert!(matches!(answer(&fd, SOON), Answer::HungUp));
            }
        });
    }
    scene.assert_recovered(0);
}

#[test]
fn who_asks_twice_is_hung_up_on() {
    let scene = Scene::new();
    for (path, quota) in [(scene.tap_socket(), 0), (scene.lease_socket(), 2)] {
        scene.attack(|| {
            let (fd, reply) = ask(&path, &request(FRAMES, quota));
            reply.attached();
            send(&fd, &request(FRAMES, quota), &[]);
            assert!(matches!(answer(&fd, SOON), Answer::HungUp));
        });
    }
    // Both requests at once, before the first is answered.
    let fd = connect(&scene.tap_socket());
    assert!(send(&fd, &request(FRAMES, 0), &[]) && send(&fd, &request(FRAMES, 0), &[]));
    assert!(!matches!(answer(&fd, SOON), Answer::Silence));
    drop(fd);
    scene.assert_recovered(0);
}

#[test]
fn who_never_asks_is_sent_away() {
    let scene = Scene::new();
    scene.attack(|| {
        let fd = connect(&scene.lease_socket());
        assert!(matches!(answer(&fd, SOON), Answer::HungUp));
    });
    scene.assert_recovered(0);
}

#[test]
fn who_waits_for_a_topic_that_never_comes_waits_in_peace() {
    let scene = Scene::new();
    scene.attack(|| {
        let fd = connect(&scene.tap_socket());
        send(&fd, &request(DETECTIONS, 0), &[]); // infer's topic, asked of capture
        let reply = answer(&fd, Duration::from_millis(300));
        assert!(matches!(reply, Answer::Silence), "{reply:?}");
    });
    scene.assert_recovered(0);
}

/// Fills its own socket with requests and reads nothing.
#[test]
fn who_never_reads_costs_a_place_and_no_more() {
    let scene = Scene::new();
    scene.attack(|| {
        let mut attached = Vec::new();
        for _ in 0..50 {
            let fd = connect(&scene.tap_socket());
            send(&fd, &request(FRAMES, 0), &[]);
            attached.push(fd);
        }
        std::thread::sleep(Duration::from_millis(300));
        for fd in &attached {
            while send(fd, &request(STATS, 0), &[]) {}
        }
    });
    scene.assert_recovered(0);
}

#[test]
fn half_closed_connections_are_closed() {
    use rustix::net::{Shutdown, shutdown};
    let scene = Scene::new();
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        for ask_first in [false, true] {
            scene.attack(|| {
                let fd = connect(&scene.lease_socket());
                if ask_first {
                    send(&fd, &request(FRAMES, 1), &[]);
                }
                shutdown(&fd, how).expect("shutdown");
                if !ask_first {
                    send(&fd, &request(FRAMES, 1), &[]);
                }
                std::thread::sleep(Duration::from_millis(100));
            });
        }
    }
    scene.assert_recovered(0);
}

#[test]
fn descriptors_passed_along_are_not_kept() {
    let scene = Scene::new();
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    let (pipe, _other_end) = rustix::pipe::pipe().expect("a pipe");
    let fds = [null.as_fd(), pipe.as_fd(), null.as_fd(), pipe.as_fd()];
    let mut attached = Vec::new();
    let before = holdings(scene.stage.pid()).descriptors;
    scene.attack(|| {
        for message in [&request(FRAMES, 0)[..], b"rubbish"] {
            for _ in 0..20 {
                let fd = connect(&scene.tap_socket());
                assert!(send(&fd, message, &fds));
                assert!(answer(&fd, SOON).status().is_some());
                attached.push(fd);
            }
        }
        // The 20 who asked properly are attached: so many connections, and nothing beside them.
        until("passed descriptors to be closed", || {
            let more = holdings(scene.stage.pid()).descriptors - before;
            (more == 20).then_some(())
        });
    });
    attached.clear();
    scene.assert_recovered(0);
}

#[test]
fn a_tap_socket_never_grants_leases() {
    let scene = Scene::new();
    scene.attack(|| {
        for quota in [1, 4, u16::MAX] {
            let (fd, reply) = ask(&scene.tap_socket(), &request(FRAMES, quota));
            assert_eq!(reply.status(), Some(FORBIDDEN));
            assert!(matches!(answer(&fd, SOON), Answer::HungUp));
        }
    });
    scene.assert_recovered(0);
}

#[test]
fn greed_gets_four_leases_and_one_of_eight_seats() {
    let scene = Scene::new();
    for _ in 0..2 {
        scene.attack(|| {
            let mut seats = Vec::new();
            for seat in 0..8 {
                // The writer has to hear of each; its mailbox is emptied with every frame.
                let (fd, reply) = ask(&scene.lease_socket(), &request(FRAMES, u16::MAX));
                let (quota, fds) = reply.attached();
                assert_eq!((quota, fds.len()), (4, 2), "seat {seat}");
                seats.push(fd);
            }
            let (fd, reply) = ask(&scene.lease_socket(), &request(FRAMES, 1));
            assert_eq!(reply.status(), Some(FULL));
            assert!(matches!(answer(&fd, SOON), Answer::HungUp));
            let (_fd, reply) = ask(&scene.lease_socket(), &request(FRAMES, 0));
            reply.attached(); // a tap needs no seat
        });
        scene.assert_recovered(0);
    }
}

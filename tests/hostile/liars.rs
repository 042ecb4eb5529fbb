//! Servers that hand out the wrong thing. The reader says once what is wrong, waits, and attaches when a good server
//! has taken the liar's place.

use super::forge::{ALL_SEALS, Ring, good_hazard_page, hazard_page};
use super::wire::*;
use crate::harness::{Place, text};
use rustix::fs::{Mode, OFlags, SealFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server gives to whoever asks: bytes and descriptors, then silence. `None`: it hangs up.
pub type Lie = Box<dyn Fn() -> Option<(Vec<u8>, Vec<OwnedFd>)> + Send>;

/// A server on one socket. Changing what it says hangs up on those who heard the old.
pub struct FakeServer {
    path: PathBuf,
    says: Arc<Mutex<Option<Lie>>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub fn start(place: &Place, socket: &str, lie: Lie) -> Self {
        std::fs::create_dir_all(place.runtime_dir()).expect("the directory");
        let path = place.runtime_dir().join(socket);
        let listener = listen(&path);
        let says = Arc::new(Mutex::new(Some(lie)));
        let shared = Arc::clone(&says);
        let serve = move || {
            let mut kept = Vec::new();
            loop {
                let called = readable(&listener, Duration::from_millis(20));
                let says = shared.lock().expect("the lie");
                let Some(lie) = &*says else { return };
                if called {
                    let client = rustix::net::accept(&listener).expect("a client");
                    readable(&client, Duration::from_secs(5)); // its request
                    if let Some((bytes, fds)) = lie() {
                        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                        send(&client, &bytes, &fds);
                        kept.push(client);
                    }
                }
            }
        };
        let thread = Some(std::thread::spawn(serve));
        Self { path, says, thread }
    }

    /// A server that gives out this ring.
    pub fn ring(place: &Place, socket: &str, ring: Ring) -> Self {
        Self::start(place, socket, ring_lie(ring, !socket.contains("-tap")))
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        *self.says.lock().expect("the lie") = None;
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn ring_lie(ring: Ring, leases: bool) -> Lie {
    Box::new(move || {
        let mut fds = vec![ring.build()];
        fds.extend(leases.then(good_hazard_page));
        Some((ring.reply(2 * u16::from(leases)).to_vec(), fds))
    })
}

/// CPU time of a process so far.
pub fn cpu_time(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let after_name = &stat[stat.rfind(')').expect("a name") + 2..];
    let fields: Vec<_> = after_name.split(' ').collect();
    let ticks = |n: usize| fields[n].parse::<u64>().expect("a number");
    Duration::from_millis(10 * (ticks(11) + ticks(12))) // utime and stime, 100 a second
}

/// `hanja tap` on a place whose server tells this lie: it says so in `words`, once, and does not spin; it is served as
/// soon as there is a good server.
fn assert_named(lie: Lie, words: &str) {
    const SOCKET: &str = "capture-tap.sock";
    let place = Place::new();
    let liar = FakeServer::start(&place, SOCKET, lie);
    let mut tap = place.start(&["tap", "frames", "--json", "--count=1"]);
    tap.wait_for(words);
    let before = cpu_time(tap.pid());
    std::thread::sleep(Duration::from_millis(200)); // ten retries
    let burnt = cpu_time(tap.pid()) - before;
    assert!(
        burnt < Duration::from_millis(100),
        "{words}: it spins, {burnt:?}"
    );
    let log = tap.log();
    assert_eq!(log.matches("trying again").count(), 1, "{words}: {log}");
    drop(liar);
    let _good = FakeServer::ring(&place, SOCKET, Ring::good(FRAMES));
    let ended = tap.wait(Duration::from_secs(10));
    let log = tap.log();
    assert!(
        ended.success() && log.contains("\"width\":4") && !log.contains("panicked"),
        "{log}"
    );
}

/// A good reply with this descriptor.
fn with_fd(fd: impl Fn() -> OwnedFd + Send + 'static) -> Lie {
    Box::new(move || Some((Ring::good(FRAMES).reply(0).to_vec(), vec![fd()])))
}

fn with_ring(alter: impl Fn(&mut Ring) + Send + 'static) -> Lie {
    Box::new(move || {
        let mut ring = Ring::good(FRAMES);
        alter(&mut ring);
        Some((ring.reply(0).to_vec(), vec![ring.build()]))
    })
}

fn with_reply(alter: impl Fn(&mut Vec<u8>) + Send + 'static) -> Lie {
    Box::new(move || {
        let ring = Ring::good(FRAMES);
        let mut reply = ring.reply(0).to_vec();
        alter(&mut reply);
        Some((reply, vec![ring.build()]))
    })
}

#[test]
fn no_ring_at_all() {
    let open = |path: &'static str| {
        move || rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).expect("it is there")
    };
    assert_named(with_fd(open("/dev/null")), "F_GET_SEALS");
    assert_named(with_fd(open("/")), "F_GET_SEALS");
    assert_named(
        with_fd(|| rustix::pipe::pipe().expect("a pipe").0),
        "F_GET_SEALS",
    );
    let socket = || {
        std::os::unix::net::UnixDatagram::unbound()
            .expect("a socket")
            .into()
    };
    assert_named(with_fd(socket), "F_GET_SEALS");
    let none = || Some((Ring::good(FRAMES).reply(0).to_vec(), Vec::new()));
    assert_named(Box::new(none), "a reply with 0 descriptors");
    let two = || {
        let ring = Ring::good(FRAMES);
        Some((
            ring.reply(0).to_vec(),
            vec![ring.build(), good_hazard_page()],
        ))
    };
    assert_named(Box::new(two), "a reply with 2 descriptors");
    assert_named(Box::new(|| None), "the server hung up");
}

#[test]
fn replies_that_are_none() {
    assert_named(with_reply(|reply| reply.truncate(10)), "malformed");
    assert_named(with_reply(|reply| reply.push(0)), "malformed");
    assert_named(with_reply(|reply| reply[0] ^= 1), "malformed");
    assert_named(with_reply(|reply| reply[4] = 9), "another ABI version");
    assert_named(with_reply(|reply| reply[8] = 5), "too many readers");
    assert_named(with_reply(|reply| reply[8] = 77), "malformed");
    assert_named(
        with_reply(|reply| reply[25] ^= 1),
        "another ring than the one",
    );
    assert_named(
        with_reply(|reply| reply[16] ^= 1),
        "another ring than the one",
    );
}

/// (A2)
#[test]
fn files_that_could_change_under_the_reader() {
    let seals = |seals: SealFlags| with_ring(move |ring| ring.seals = seals);
    assert_named(seals(SealFlags::empty()), "is not sealed");
    assert_named(seals(SealFlags::SHRINK | SealFlags::GROW), "is not sealed");
    assert_named(seals(SealFlags::GROW | SealFlags::SEAL), "is not sealed");
}

/// (A3)
#[test]
fn sizes_that_disagree() {
    for len in [0, 8, 100, 4095] {
        assert_named(
            with_ring(move |ring| ring.len = Some(len)),
            "not a usable ring: size",
        );
    }
    for len in [4096, 1 << 16, 1 << 40] {
        assert_named(
            with_ring(move |ring| ring.len = Some(len)),
            "not a usable ring: size",
        );
    }
    let word = |at: u64, value: u64| with_ring(move |ring| ring.damage.push((at, value)));
    assert_named(word(0, 7), "not a usable ring: magic");
    assert_named(word(8, 9), "ABI version 9");
    assert_named(
        word(16, 1 | u64::MAX << 32),
        "a ring cannot have 4294967295 slots",
    );
    assert_named(word(16, 1 | 5 << 32), "not a usable ring");
    assert_named(word(16, 2 | 4 << 32), "not a usable ring: topic");
    assert_named(word(32, u64::MAX), "not a usable ring: layout");
    assert_named(word(40, u64::MAX), "a ring cannot have");
    assert_named(word(48, 1 << 63), "not a usable ring: layout");
    assert_named(word(56, u64::MAX), "a ring cannot have");
}

/// Two things where a socket should be.
#[test]
fn sockets_of_another_kind() {
    let place = Place::new();
    std::fs::create_dir_all(place.runtime_dir()).unwrap();
    let path = place.runtime_dir().join("capture-tap.sock");
    let stream = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut tap = place.start(&["tap", "frames", "--json", "--count=1"]);
    tap.wait_for("rotocol"); // EPROTOTYPE in the C library's words
    drop(stream);
    std::fs::remove_file(&path).unwrap();
    let _good = FakeServer::ring(&place, "capture-tap.sock", Ring::good(FRAMES));
    assert!(tap.wait(Duration::from_secs(10)).success(), "{}", tap.log());
}

/// Infer asks for leases: then the second descriptor matters too.
#[test]
fn hazard_pages_that_are_none() {
    const SOCKET: &str = "capture.sock";
    type Page = fn() -> Option<OwnedFd>;
    let pages: [(Page, u16, &str); 7] = [
        (|| None, 2, "a reply with 1 descriptors"),
        (
            || Some(hazard_page(4096, SealFlags::GROW)),
            2,
            "is not sealed",
        ),
        (|| Some(hazard_page(100, ALL_SEALS)), 2, "hazard page"),
        (
            || Some(hazard_page(4096, ALL_SEALS | SealFlags::WRITE)),
            2,
            "mmap",
        ),
        (|| Some(good_hazard_page()), 0, "hazard page"),
        (|| Some(good_hazard_page()), u16::MAX, "hazard page"),
        (
            || rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()).ok(),
            2,
            "F_GET_SEALS",
        ),
    ];
    let place = Place::new();
    for (page, quota, words) in pages {
        let lie = move || {
            let ring = Ring::good(FRAMES);
            let mut fds = vec![ring.build()];
            fds.extend(page());
            Some((ring.reply(quota).to_vec(), fds))
        };
        let liar = FakeServer::start(&place, SOCKET, Box::new(lie));
        let infer = place.start(&["infer"]);
        infer.wait_for(words);
        drop(liar);
        let _good = FakeServer::ring(&place, SOCKET, Ring::good(FRAMES));
        let out = place.output(&["tap", "detections", "--json", "--count=1"]);
        assert!(
            text(&out).contains("\"status\":\"ok\""),
            "{words}: {}",
            text(&out)
        );
        assert!(!infer.log().contains("panicked"), "{}", infer.log());
    }
}

//! What hardware and kernel can do at best between two processes: one cache line, one futex, nothing else. The ring's
//! hand-over is measured against it (`hanja bench ring`).

use super::RingError;
use super::atomic::{HEAR, RING, Word};
use super::memfd::{self, Mapping, Writable};
use super::words::Words;
use rustix::thread::futex;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Words of their own cache lines, one per direction.
const PING: usize = 0;
const PONG: usize = 16;

/// How to notice that the other side has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Look again and again.
    Spin,
    /// Sleep in `futex_wait`, be woken by `futex_wake`.
    Futex,
}

/// A page shared by two processes.
#[derive(Debug)]
pub struct Pair {
    mapping: Mapping,
    fd: Option<OwnedFd>,
}

impl Pair {
    /// The side that begins.
    ///
    /// # Errors
    /// No memory.
    pub fn create() -> Result<Self, RingError> {
        let (fd, _) = memfd::create_mapped("ring-baseline", 4096, Writable::Holder)?;
        let mapping = Mapping::map(fd.as_fd(), 4096, true)?;
        Ok(Self {
            mapping,
            fd: Some(fd),
        })
    }

    /// Where a child process of this user finds the page, while this side lives.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let fd = self.fd.as_ref()?.as_raw_fd();
        Some(format!("/proc/{}/fd/{fd}", std::process::id()).into())
    }

    /// The other side.
    ///
    /// # Errors
    /// The path leads to no page of ours.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|source| RingError::Memory {
            step: "open",
            len: 4096,
            source,
        })?;
        memfd::sealed(file.as_fd())?;
        let mapping = Mapping::map(file.as_fd(), 4096, true)?;
        Ok(Self { mapping, fd: None })
    }

    /// Sends the numbers of `turns` and waits for each to come back.
    pub fn ping(&self, turns: std::ops::Range<u32>, notice: Notice) {
        for n in turns {
            self.send(PING, n + 1, notice);
            self.receive(PONG, n + 1, notice);
        }
    }

    /// Sends back what comes, until `last` has come.
    pub fn pong(&self, last: u32, notice: Notice) {
        for n in 0..last {
            self.receive(PING, n + 1, notice);
            self.send(PONG, n + 1, notice);
        }
    }

    fn send(&self, index: usize, n: u32, notice: Notice) {
        let word: &Word = self.mapping.word(index);
        word.store(u64::from(n), RING);
        if notice == Notice::Futex {
            let _ = futex::wake(word.futex(), futex::Flags::empty(), u32::MAX >> 1);
        }
    }

    fn receive(&self, index: usize, n: u32, notice: Notice) {
        let word: &Word = self.mapping.word(index);
        for look in 0u32.. {
            let now = word.load(HEAR) as u32;
            if now == n {
                return;
            }
            match notice {
                Notice::Spin if look < 1 << 14 => std::hint::spin_loop(),
                // The other side is not at it at present: leave the processor to others.
                Notice::Spin => std::thread::sleep(Duration::from_millis(20)),
                Notice::Futex => {
                    let _ = futex::wait(word.futex(), futex::Flags::empty(), now, None);
                }
            }
        }
    }
}

//! Counts that survive `kill -9`: written into a file of the process's own, whose pages the kernel keeps.

use hanja_ring::Stamp;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The counters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tallies {
    Frames,
    Dropped,
    Waits,
    LongestPublishUs,
    Leases,
    Taps,
    TornDetected,
    Lapped,
    Bad,
    Backwards,
}

const COUNT: usize = Tallies::Backwards as usize + 1;

/// One process's counts.
pub(crate) struct Tally {
    counts: [u64; COUNT],
    file: File,
    complaints: PathBuf,
    since_save: u32,
}

impl Tally {
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            counts: [0; COUNT],
            file: File::create(path)?,
            complaints: path.with_extension("bad"),
            since_save: 0,
        })
    }

    pub(crate) fn add(&mut self, what: Tallies, n: u64) {
        self.counts[what as usize] += n;
    }

    pub(crate) fn longest(&mut self, us: u64) {
        let longest = &mut self.counts[Tallies::LongestPublishUs as usize];
        *longest = us.max(*longest);
    }

    /// A frame that was delivered as good and is not. Written at once.
    pub(crate) fn bad(&mut self, what: &str) {
        self.add(Tallies::Bad, 1);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&self.complaints);
        let _ = file.and_then(|mut f| writeln!(f, "{what}"));
        let _ = self.save();
    }

    /// Checks that the numbers one reader gets only rise.
    pub(crate) fn in_order(&mut self, newest: &mut Stamp, now: Stamp) {
        if now <= *newest {
            self.add(Tallies::Backwards, 1);
            self.bad(&format!("{now:?} after {newest:?}"));
        }
        *newest = now;
    }

    pub(crate) fn save(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; COUNT * 8];
        for (to, n) in bytes.chunks_exact_mut(8).zip(self.counts) {
            to.copy_from_slice(&n.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0)
    }

    pub(crate) fn save_now_and_then(&mut self) -> std::io::Result<()> {
        self.since_save += 1;
        if self.since_save >= 32 {
            self.since_save = 0;
            self.save()?;
        }
        Ok(())
    }
}

/// Sums over processes that are gone.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    counts: [u64; COUNT],
    pub(crate) complaints: Vec<String>,
}

impl Sums {
    pub(crate) fn get(&self, what: Tallies) -> u64 {
        self.counts[what as usize]
    }

    /// Adds a dead process's file to the sums and removes it.
    pub(crate) fn take(&mut self, path: &Path) {
        let bytes = std::fs::read(path).unwrap_or_default();
        for (i, chunk) in bytes.chunks_exact(8).enumerate() {
            let n = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
            let sum = &mut self.counts[i];
            *sum = if i == Tallies::LongestPublishUs as usize {
                n.max(*sum)
            } else {
                *sum + n
            };
        }
        let bad = path.with_extension("bad");
        let text = std::fs::read_to_string(&bad).unwrap_or_default();
        self.complaints.extend(text.lines().map(str::to_owned));
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_file(bad);
    }
}

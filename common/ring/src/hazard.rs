//! Hazard pages: one small shared page per leasing reader, written by that reader, scanned by the writer.
//!
//! A reader that dies leaves its cells as they are; the control server sees its socket hang up and takes the page
//! away from the writer, which ends the leases. One file per reader, so that no reader can touch another's cells.

use super::RingError;
use super::atomic::Word;
use super::layout::State;
use super::memfd::{self, Mapping, Writable};
use super::protocol;
use super::words::Words;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Most readers that may lease from one ring.
pub const MAX_READERS: usize = 8;
/// Most slots one reader may hold.
pub const MAX_QUOTA: u32 = 4;
const PAGE: u64 = 4096;

/// What the control server tells the writer about its readers.
#[derive(Debug)]
pub(crate) enum ReaderChange {
    /// A reader got this page.
    Attached(u64, HazardPage),
    /// The reader with this number is gone.
    Detached(u64),
}

/// The writer's view of one reader's cells.
#[derive(Debug)]
pub(crate) struct HazardPage {
    mapping: Mapping,
    quota: u32,
}

impl HazardPage {
    /// A new page and the descriptor for its reader.
    pub(crate) fn create(quota: u32) -> Result<(OwnedFd, Self), RingError> {
        let quota = quota.clamp(1, MAX_QUOTA);
        let (fd, mapping) = memfd::create_mapped("ring-hazard", PAGE, Writable::Holder)?;
        Ok((fd, Self { mapping, quota }))
    }

    fn holds(&self, state: State) -> bool {
        (0..self.quota).any(|i| protocol::cell_holds(self.mapping.word(i as usize), state))
    }
}

/// The control server's end of the mailbox: pages on their way to the writer, and back.
///
/// Both ways are wait-free: the writer must not spin for a control thread that was preempted in the middle of a push,
/// which is what it would do with a queue that is only lock-free.
#[derive(Debug)]
pub(crate) struct ReaderSlots {
    changes: Mutex<Producer<ReaderChange>>,
    /// To be unmapped on this side: munmap takes a lock of the process, and the writer waits for nobody.
    returned: Mutex<Consumer<HazardPage>>,
}

/// All pages the writer scans, and its end of the mailbox.
#[derive(Debug)]
pub(super) struct HazardPages {
    pages: Vec<(u64, HazardPage)>,
    changes: Consumer<ReaderChange>,
    returned: Producer<HazardPage>,
}

/// A mailbox, with nobody attached.
pub(super) fn reader_slots() -> (ReaderSlots, HazardPages) {
    let (to_writer, changes) = RingBuffer::new(2 * MAX_READERS);
    let (returned, from_writer) = RingBuffer::new(4 * MAX_READERS);
    let slots = ReaderSlots {
        changes: Mutex::new(to_writer),
        returned: Mutex::new(from_writer),
    };
    let pages = HazardPages {
        // Room enough that a publish never allocates: readers, and those whose departure is still on its way.
        pages: Vec::with_capacity(4 * MAX_READERS),
        changes,
        returned,
    };
    (slots, pages)
}

impl ReaderSlots {
    /// Tells the writer; the change comes back if the mailbox is full.
    pub(crate) fn push(&self, change: ReaderChange) -> Result<(), ReaderChange> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes
            .push(change)
            .map_err(|PushError::Full(change)| change)
    }

    /// Unmaps what the writer no longer scans.
    pub(crate) fn clear_returned(&self) {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        while returned.pop().is_ok() {}
    }
}

impl HazardPages {
    /// Takes in what the control server said since the last call: at most a mailbox full.
    pub(super) fn update(&mut self) {
        for _ in 0..2 * MAX_READERS {
            match self.changes.pop() {
                Ok(ReaderChange::Attached(id, page)) => self.pages.push((id, page)),
                Ok(ReaderChange::Detached(id)) => self.remove(id),
                Err(_) => return,
            }
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(index) = self.pages.iter().position(|(other, _)| *other == id) {
            // A full queue means that the control thread is far behind: then it is unmapped here after all.
            let _ = self.returned.push(self.pages.swap_remove(index).1);
        }
    }

    pub(super) fn hold(&self, state: State) -> bool {
        self.pages.iter().any(|(_, page)| page.holds(state))
    }
}

/// The reader's own page.
#[derive(Debug)]
pub(super) struct HazardCells {
    mapping: Mapping,
    quota: u32,
}

impl HazardCells {
    /// Maps a received page read-write.
    pub(super) fn map(fd: BorrowedFd<'_>, quota: u32) -> Result<Self, RingError> {
        let len = memfd::sealed(fd)?.len;
        if len < PAGE || !(1..=MAX_QUOTA).contains(&quota) {
            return Err(RingError::Header {
                what: "hazard page",
                value: len,
            });
        }
        Ok(Self {
            mapping: Mapping::map(fd, PAGE, true)?,
            quota,
        })
    }

    /// A cell that holds no lease. Only one thread takes leases; others may only end theirs, so a free cell stays
    /// free until it is used.
    pub(super) fn free(&self) -> Option<usize> {
        (0..self.quota as usize).find(|i| protocol::is_free(self.cell(*i)))
    }

    pub(super) fn cell(&self, index: usize) -> &Word {
        self.mapping.word(index)
    }
}

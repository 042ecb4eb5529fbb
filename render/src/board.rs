//! What the hub knows, posted for the server to read. The hub never waits for a client: readers copy what they need
//! out of locks held for microseconds, and slow ones skip.

use crate::history::{Cursor, Entry, EventId, History};
use axum::body::Bytes;
use hanja_common::clock::now_ns;
use hanja_common::record::{DetectionRecord, FrameMeta, StageStats, Status};
use hanja_common::stage::StageName;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Most pictures streams at once. Fewer than connections, so that `/healthz` and `/metrics` always get through.
const MAX_WATCHERS: usize = 48;
/// Presentations remembered between two looks of the hub; more are left out of the statistics.
const MAX_PRESENTED: usize = 4096;

/// A picture and what is to be seen in it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) jpeg: Bytes,
    pub(crate) record: Arc<DetectionRecord>,
    /// False: infer has not looked at this picture; `record` holds just the frame's identity and times.
    pub(crate) detected: bool,
}

/// Everything that is counted or judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Last word of capture, infer, render.
    pub(crate) stats: [Option<StageStats>; 3],
    /// Newest frame in the ring.
    pub(crate) frame: Option<FrameMeta>,
    /// Newest record.
    pub(crate) record: Option<Arc<DetectionRecord>>,
    /// When infer last published the result of a frame it could look at.
    pub(crate) inferred_ns: u64,
    /// Records received, missed (overwritten before they were read) and not understood.
    pub(crate) records: u64,
    pub(crate) missed: u64,
    pub(crate) malformed: u64,
    /// Pictures made, and frames that could not be made into one.
    pub(crate) pictures: u64,
    pub(crate) unshown: u64,
    /// Detections by class 0 to 9, and of all other classes.
    pub(crate) found: [u64; 11],
}

impl Facts {
    /// The last word of `stage`, unless it is so old that the stage must be gone.
    pub(crate) fn alive(&self, stage: StageName, now: u64) -> Option<&StageStats> {
        const GONE: u64 = 3_000_000_000;
        let stats = self.stats[stage as usize - 1].as_ref()?;
        (now.saturating_sub(stats.t_ns) < GONE).then_some(stats)
    }
}

#[derive(Debug)]
pub(crate) struct Board {
    facts: Mutex<Facts>,
    history: Mutex<History>,
    presented: Mutex<Vec<(u64, u64)>>,
    view: watch::Sender<Option<Arc<View>>>,
    /// Running number of the record to come.
    news: watch::Sender<u64>,
    watchers: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No invariant spans a panic: every write is a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            facts: Mutex::default(),
            history: Mutex::default(),
            presented: Mutex::default(),
            view: watch::Sender::new(None),
            news: watch::Sender::new(0),
            watchers: AtomicUsize::new(0),
        }
    }

    // What the hub does.

    pub(crate) fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut lock(&self.facts));
    }

    pub(crate) fn post_record(&self, id: EventId, lapped: u64, record: &Arc<DetectionRecord>) {
        self.update(|f| {
            f.records += 1;
            f.missed += lapped;
            for d in &record.detections {
                f.found[usize::from(d.class).min(10)] += 1;
            }
            if record.header.status == Status::Ok as u16 {
                f.inferred_ns = record.header.times.detections_published;
            }
            f.record = Some(Arc::clone(record));
        });
        let mut history = lock(&self.history);
        history.push(Entry {
            id,
            lapped,
            record: Arc::clone(record),
        });
        self.news.send_replace(history.end());
    }

    pub(crate) fn post_view(&self, view: View) {
        self.update(|f| f.pictures += 1);
        self.view.send_replace(Some(Arc::new(view)));
    }

    pub(crate) fn watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// (received by render, first byte handed over) of pictures and events since the last call.
    pub(crate) fn take_presented(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut lock(&self.presented))
    }

    // What the server does.

    pub(crate) fn facts(&self) -> Facts {
        lock(&self.facts).clone()
    }

    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<View>>> {
        let mut views = self.view.subscribe();
        views.mark_unchanged(); // what hangs there may be from an hour ago
        views
    }

    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(crate) fn resume(&self, last: Option<EventId>) -> Cursor {
        lock(&self.history).resume(last)
    }

    pub(crate) fn end(&self) -> u64 {
        lock(&self.history).end()
    }

    pub(crate) fn read(&self, cursor: u64) -> Option<(Entry, Cursor)> {
        lock(&self.history).read(cursor)
    }

    /// Stamps the moment at which something received at `acquired` is handed to a client.
    pub(crate) fn present(&self, acquired: u64) -> u64 {
        let now = now_ns();
        let mut presented = lock(&self.presented);
        if presented.len() < MAX_PRESENTED {
            presented.push((acquired, now));
        }
        now
    }

    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Asks for pictures until the watcher is dropped; `None`: too many do already.
    pub(crate) fn watch(self: &Arc<Self>) -> Option<Watcher> {
        let more = |n: usize| (n < MAX_WATCHERS).then_some(n + 1);
        self.watchers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Watcher(Arc::clone(self)))
    }
}

/// While one exists, pictures are made.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<Board>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_are_counted_and_bounded() {
        let board = Arc::new(Board::new());
        assert!(!board.watched());
        let all: Vec<_> = (0..MAX_WATCHERS).map(|_| board.watch().unwrap()).collect();
        assert!(board.watch().is_none());
        drop(all);
        assert_eq!(board.watchers(), 0);
    }

    #[test]
    fn a_record_is_counted_and_kept() {
        let board = Board::new();
        let mut record = DetectionRecord::default();
        record.header.times.detections_published = 5;
        record.detections = [2, 2, 900]
            .map(|class| hanja_common::record::Detection {
                class,
                ..Default::default()
            })
            .to_vec();
        let news = board.news();
        board.post_record(
            EventId {
                generation: 1,
                seq: 4,
            },
            3,
            &Arc::new(record),
        );
        let facts = board.facts();
        assert_eq!((facts.records, facts.missed, facts.inferred_ns), (1, 3, 5));
        assert_eq!((facts.found[2], facts.found[10]), (2, 1));
        assert!(news.has_changed().unwrap());
        assert_eq!(board.read(0).unwrap().0.id.seq, 4);
    }
}

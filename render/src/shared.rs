//! What the hub thread gives to the server: the newest view, the last records, the numbers. The hub never waits for
//! the server; a slow client misses views, and finds out.

use crate::history::History;
use axum::body::Bytes;
use hanja_record::json::{FrameJson, StatsJson};
use hanja_record::{Detection, Histograms, StageName, StageStats};
use hanja_ring::now_ns;
use hanja_stage::liveness::Snapshot;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, broadcast, watch};

/// Records kept for clients that come back: 17 s at 30 a second.
pub(crate) const KEPT: usize = 512;

/// Most picture streams at a time: one that nobody reads holds a picture, half a megabyte at 1080p.
pub(crate) const STREAMS: usize = 32;
/// Most streams of records at a time.
pub(crate) const READERS: usize = 64;

/// One picture with everything said about it.
#[derive(Debug)]
pub(crate) struct View {
    /// A JPEG.
    pub(crate) jpeg: Bytes,
    /// [`hanja_record::json::RecordJson`] as text; none when infer is silent.
    pub(crate) record: Option<Arc<str>>,
    /// The record's detections.
    pub(crate) detections: Vec<Detection>,
    /// The picture's metadata.
    pub(crate) frame: FrameJson,
    /// When render had it, for the present latency.
    pub(crate) acquired_ns: u64,
    presented: AtomicBool,
}

impl View {
    pub(crate) fn new(
        jpeg: Vec<u8>,
        record: Option<(Arc<str>, Vec<Detection>)>,
        frame: FrameJson,
        acquired_ns: u64,
    ) -> Self {
        let (record, detections) = record.map_or((None, Vec::new()), |(r, d)| (Some(r), d));
        let presented = AtomicBool::new(false);
        Self {
            jpeg: jpeg.into(),
            record,
            detections,
            frame,
            acquired_ns,
            presented,
        }
    }
}

/// Identity of a record, and of a server-sent event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) generation: u64,
    pub(crate) seq: u64,
}

impl EventId {
    /// From `GENERATION-SEQ`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (generation, seq) = text.trim().split_once('-')?;
        Some(Self {
            generation: generation.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.generation, self.seq)
    }
}

/// One record as text.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    /// The record before it, if render knows that there was none between.
    pub(crate) follows: Option<EventId>,
    pub(crate) json: Arc<str>,
}

impl Event {
    /// Whether a client whose last record is `last` has missed nothing before this one. Where render does not know,
    /// only the numbers of one generation can tell: the first record of a new generation says nothing about the end
    /// of the one before.
    pub(crate) fn comes_after(&self, last: EventId) -> bool {
        let next = (last.generation, last.seq.saturating_add(1));
        self.follows == Some(last) || (self.id.generation, self.id.seq) == next
    }
}

/// What is known about the stages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// The last word of capture, infer, render.
    reports: [Option<Report>; 3],
    /// The life each is in.
    pub(crate) lives: [Life; 3],
    /// What liveness is judged by.
    pub(crate) snapshot: Snapshot,
    /// When the frame of the last record left the sensor.
    pub(crate) record_sensor_ns: u64,
    pub(crate) records_total: u64,
    /// Records overwritten before render could read them.
    pub(crate) records_missed_total: u64,
    /// Records and frames that could not be shown, see the log.
    pub(crate) failures_total: u64,
    pub(crate) pictures_total: u64,
    pub(crate) detections_total: u64,
}

/// The statistics that a stage gave last, in this life or one before.
#[derive(Clone, Debug)]
struct Report {
    stats: StageStats,
    /// What they were read from, for what stands behind them.
    bytes: Vec<u8>,
}

/// Which life of a stage this is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Life {
    started_ns: u64,
    /// Its start, seconds since 1970; 0: not heard of yet.
    pub(crate) started_unix_s: f64,
    /// Starts after the first that was seen.
    pub(crate) restarts: u64,
}

impl Life {
    fn goes_on(&mut self, stats: &StageStats) {
        if self.started_ns == stats.started_ns && self.started_unix_s > 0.0 {
            return;
        }
        self.restarts += u64::from(self.started_unix_s > 0.0);
        self.started_ns = stats.started_ns;
        // Once a life, so that it does not tremble with the clocks.
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let age = now_ns().saturating_sub(stats.started_ns) as f64 / 1e9;
        let start = epoch.map_or(0.0, |now| now.as_secs_f64()) - age;
        self.started_unix_s = (start * 1e3).round() / 1e3;
    }
}

impl Numbers {
    pub(crate) fn stage(&self, name: StageName) -> Option<&StageStats> {
        self.reports[name as usize - 1].as_ref().map(|r| &r.stats)
    }

    pub(crate) fn stage_json(&self, name: StageName) -> Option<StatsJson> {
        self.stage(name)
            .map(|s| StatsJson::new(s, &self.description(name)))
    }

    /// What the stage says of itself; empty: nothing.
    pub(crate) fn description(&self, name: StageName) -> String {
        let report = self.reports[name as usize - 1].as_ref();
        report.map_or_else(String::new, |r| r.stats.words_in(&r.bytes))
    }

    /// Since the stage's process started.
    pub(crate) fn histograms(&self, name: StageName) -> Histograms {
        let report = self.reports[name as usize - 1].as_ref();
        report.map_or_else(Histograms::default, |r| r.stats.histograms_in(&r.bytes))
    }

    /// `bytes`: those that the statistics were read from.
    pub(crate) fn set_stage(&mut self, name: StageName, stats: StageStats, bytes: &[u8]) {
        self.lives[name as usize - 1].goes_on(&stats);
        let bytes = bytes.to_owned();
        self.reports[name as usize - 1] = Some(Report { stats, bytes });
    }
}

/// The meeting place of hub and server.
#[derive(Debug)]
pub(crate) struct Shared {
    view: watch::Sender<Option<Arc<View>>>,
    watchers: AtomicUsize,
    /// Endless answers that may still begin: of pictures, of records.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) readers: Arc<Semaphore>,
    events: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
    numbers: Mutex<Numbers>,
    history: Mutex<History>,
    /// Spans from acquired to handed to a client.
    presented: mpsc::Sender<(u64, u64)>,
}

impl Shared {
    /// The other end gets (acquired, presented) stamps of views.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<(u64, u64)>) {
        let (presented, spans) = mpsc::channel();
        let shared = Self {
            view: watch::Sender::new(None),
            watchers: AtomicUsize::new(0),
            streams: Arc::new(Semaphore::new(STREAMS)),
            readers: Arc::new(Semaphore::new(READERS)),
            events: Mutex::new(VecDeque::with_capacity(KEPT)),
            live: broadcast::Sender::new(KEPT),
            numbers: Mutex::new(Numbers::default()),
            history: Mutex::new(History::default()),
            presented,
        };
        (Arc::new(shared), spans)
    }

    /// Whether a picture would be seen.
    pub(crate) fn watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Pictures from now on, until the guard is dropped. The one from before nobody watched is not among them.
    pub(crate) fn watch(self: &Arc<Self>) -> (WatchGuard, watch::Receiver<Option<Arc<View>>>) {
        let mut views = self.view.subscribe();
        if self.watchers.fetch_add(1, Ordering::Relaxed) > 0 {
            views.mark_changed(); // somebody watches already, so the picture is fresh
        } else {
            views.mark_unchanged();
        }
        (WatchGuard(Arc::clone(self)), views)
    }

    pub(crate) fn show(&self, view: View) {
        self.numbers().pictures_total += 1;
        self.view.send_replace(Some(Arc::new(view)));
    }

    /// A client has this view now; the first one counts.
    pub(crate) fn presented(&self, view: &View) {
        if !view.presented.swap(true, Ordering::Relaxed) {
            let _ = self.presented.send((view.acquired_ns, now_ns()));
        }
    }

    pub(crate) fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = lock(&self.events);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Under the lock, so that a new subscriber gets each event either from the buffer or live.
        let _ = self.live.send(event);
    }

    /// Kept events after `last` (none without it), and all that come later.
    pub(crate) fn subscribe(
        &self,
        last: Option<EventId>,
    ) -> (VecDeque<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = lock(&self.events);
        let live = self.live.subscribe();
        let Some(last) = last else {
            return (VecDeque::new(), live);
        };
        // Generations ascend, so everything of a later one comes after; an unknown later id gives nothing.
        let after = |e: &&Arc<Event>| (e.id.generation, e.id.seq) > (last.generation, last.seq);
        (kept.iter().filter(after).cloned().collect(), live)
    }

    pub(crate) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        lock(&self.numbers)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }
}

/// A poisoned lock still holds whole values: every writer replaces fields one at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pictures are fetched and encoded while at least one of these lives.
#[derive(Debug)]
pub(crate) struct WatchGuard(Arc<Shared>);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(generation: u64, seq: u64) -> Event {
        Event {
            id: EventId { generation, seq },
            follows: None,
            json: "{}".into(),
        }
    }

    #[test]
    fn ids_parse_and_follow() {
        let id = |text| EventId::parse(text).unwrap();
        assert_eq!(id("7-12").to_string(), "7-12");
        for bad in [
            "",
            "7",
            "7-",
            "-1",
            "a-b",
            "1-2-3",
            "99999999999999999999-1",
        ] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_record_says_what_it_follows() {
        let id = |generation, seq| EventId { generation, seq };
        assert!(event(1, 3).comes_after(id(1, 2)));
        assert!(!event(1, 4).comes_after(id(1, 2)));
        // infer restarted: the first record of the new life may hide the last ones of the old.
        let mut first = event(2, 1);
        assert!(!first.comes_after(id(1, 2)));
        first.follows = Some(id(1, 5));
        assert!(first.comes_after(id(1, 5)) && !first.comes_after(id(1, 2)));
    }

    #[test]
    fn a_returning_client_gets_what_it_missed() {
        let (shared, _spans) = Shared::new();
        (1..=600).for_each(|seq| shared.publish(event(1, seq)));
        shared.publish(event(2, 1));
        assert!(shared.subscribe(None).0.is_empty());
        let missed = |text| shared.subscribe(EventId::parse(text)).0;
        assert_eq!(
            missed("1-599")
                .iter()
                .map(|e| e.id.to_string())
                .collect::<Vec<_>>(),
            ["1-600", "2-1"]
        );
        assert_eq!(missed("1-1").len(), KEPT);
        assert_eq!(missed("2-1").len(), 0);
        assert_eq!(missed("9-9").len(), 0);
    }

    #[test]
    fn watchers_are_counted() {
        let (shared, _spans) = Shared::new();
        let (first, _) = shared.watch();
        let (second, _) = shared.watch();
        assert_eq!(shared.watchers(), 2);
        drop((first, second));
        assert!(!shared.watched());
    }
}

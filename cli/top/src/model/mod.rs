//! What `hanja top` knows: fed with bytes as they stand in the rings, asked by what draws. It reads no clock and (but
//! for [`Model::explain`]) no file, so every test can say what time it is. Nothing that it is fed is trusted.

mod count;
mod picture;
mod stage;

pub(crate) use count::Count;
pub(crate) use picture::{Found, Picture};
pub(crate) use stage::{Latency, Second, Stage};

use hanja_record::{DetectionRecord, FrameMeta, MetricId, StageName};
use hanja_stage::liveness::{Health, Liveness, Snapshot, StageSnapshot, judge};

/// A second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The steps in which infer works, rather than waits, on a frame.
const WORK: &[MetricId] = MetricId::INFER.split_at(1).1;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// In the order in which a frame passes.
    pub(crate) stages: [Stage; 3],
    /// What the judgement goes by.
    snapshot: Snapshot,
    /// The newest frame.
    pub(crate) picture: Option<Picture>,
    /// The newest detection record.
    pub(crate) found: Option<Found>,
    /// The last detection record could not be read, and why.
    unreadable: Option<String>,
}

impl Model {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            stages: StageName::ALL.map(|name| Stage::new(name, now)),
            snapshot: Snapshot::default(),
            picture: None,
            found: None,
            unreadable: None,
        }
    }

    pub(crate) fn stage(&self, name: StageName) -> &Stage {
        // They are numbered from 1.
        &self.stages[name as usize - 1]
    }

    /// What is at the other end of a stage's socket, and its process.
    pub(crate) fn snapshot_mut(&mut self, name: StageName) -> &mut StageSnapshot {
        &mut self.snapshot.stages[name as usize - 1]
    }

    /// Asks the system about the stages' processes.
    pub(crate) fn explain(&mut self) {
        self.snapshot
            .stages
            .iter_mut()
            .for_each(StageSnapshot::explain);
    }

    /// Takes the bytes of a stage's statistics record.
    pub(crate) fn take_stats(&mut self, name: StageName, bytes: &[u8], now: u64) {
        let at = name as usize - 1;
        if let Some(stats) = self.stages[at].take(bytes, now) {
            self.snapshot.stages[at].stats = Some(stats);
        }
    }

    /// So many of a stage's readers are this program's own taps.
    pub(crate) fn set_own(&mut self, name: StageName, taps: u32, now: u64) {
        self.stages[name as usize - 1].set_own(taps, now);
    }

    /// Takes the metadata of a frame.
    pub(crate) fn take_frame(&mut self, meta: &FrameMeta, now: u64) {
        let before = self.picture.take();
        self.picture = Some(Picture::after(before, meta, now));
        self.snapshot.frame = Some(*meta);
    }

    /// Takes the bytes of a detection record.
    pub(crate) fn take_found(&mut self, bytes: &[u8]) {
        match DetectionRecord::from_bytes(bytes) {
            Ok(record) => {
                self.snapshot.record = Some(record.header);
                self.found = Some(Found::new(record));
                self.unreadable = None;
            }
            Err(e) => self.unreadable = Some(clean(&e.to_string())),
        }
    }

    /// How it all is: the judgement that `/healthz` and `hanja status` give too.
    pub(crate) fn liveness(&self, now: u64) -> Liveness {
        judge(&self.snapshot, now)
    }

    /// Counts and measures from now on.
    pub(crate) fn reset(&mut self, now: u64) {
        for stage in &mut self.stages {
            stage.reset(now);
        }
    }

    /// Since when frames are counted: by infer, or by capture where there is no infer.
    pub(crate) fn since_ns(&self) -> Option<u64> {
        let both = [StageName::Infer, StageName::Capture].map(|name| self.stage(name));
        let heard = both.into_iter().find(|s| s.newest().is_some());
        heard.map(|s| s.since_ns)
    }

    /// Milliseconds from one frame of the source to the next: by its own clock, else by what capture publishes.
    pub(crate) fn frame_ms(&self) -> Option<f64> {
        let by_clock = self.picture.as_ref().and_then(|p| p.interval_ms);
        by_clock.or_else(|| {
            let fps = self.stage(StageName::Capture).newest()?.fps();
            (fps >= 0.01).then(|| 1e3 / fps)
        })
    }

    /// How long a step takes, whoever measures it; `None` if nobody did lately.
    pub(crate) fn latency(&self, id: MetricId, now: u64) -> Option<Latency> {
        self.stages.iter().find_map(|s| s.latency(id, now))
    }

    /// The steps of a frame's way that are measured, in order.
    pub(crate) fn steps(&self, now: u64) -> Vec<(MetricId, Latency)> {
        let measured = |id: &MetricId| Some((*id, self.latency(*id, now)?));
        MetricId::STEPS.iter().filter_map(measured).collect()
    }

    /// Milliseconds that infer works on a frame, by the medians of its last second.
    pub(crate) fn infer_ms(&self, now: u64) -> Option<f64> {
        let stats = &self.stage(StageName::Infer).current(now)?.stats;
        let median = |id: &MetricId| {
            let m = stats.metric(*id).filter(|m| m.count > 0)?;
            Some(f64::from(m.p50_us) / 1e3)
        };
        WORK.iter().filter_map(median).reduce(|a, b| a + b)
    }

    /// What cannot be read, in words, and whose it is.
    pub(crate) fn unreadable(&self) -> Option<(StageName, &str)> {
        let stats = self
            .stages
            .iter()
            .find_map(|s| Some((s.name, s.unreadable.as_deref()?)));
        stats.or_else(|| Some((StageName::Infer, self.unreadable.as_deref()?)))
    }
}

/// The health of one stage.
pub(crate) fn health(live: &Liveness, name: StageName) -> &Health {
    match name {
        StageName::Capture => &live.stages.capture,
        StageName::Infer => &live.stages.infer,
        StageName::Render => &live.stages.render,
    }
}

/// Text of another process, fit to be shown: a terminal obeys control characters.
pub(crate) fn clean(text: &str) -> String {
    // Characters without width, and those that turn the direction of writing, of the rest of the line too.
    let unseen = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let shown = text.chars().filter(|c| !unseen(c));
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;

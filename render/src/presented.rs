//! Render's own times, for others to read: the detection record of every frame that render handled, with the time when
//! it had the record and, where somebody watched, the time when the picture went out.
//!
//! A record whose picture was made waits until the first watcher has it. Records that wait for nothing go out at once,
//! so they may overtake: a record is published when everything about it is known, or will never be.

use hanja_record::{DetectionRecord, MetricId, Times, Topic};
use hanja_ring::{Geometry, Publisher, RingError};
use hanja_stage::Stage;
use hanja_stage::accounting::check_times;
use hanja_stage::telemetry::Reporter;
use std::collections::VecDeque;

/// As infer's: two seconds at 30 fps.
const RECORDS: u32 = 64;
/// Pictures under way. A watcher that is slower than this sees none of the older ones: the newest always comes next.
const WAITING: usize = 4;
/// A picture that nobody took within this time was not seen: the watcher has gone.
const PATIENCE_NS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Presented {
    publisher: Publisher,
    waiting: VecDeque<DetectionRecord>,
    bytes: Vec<u8>,
}

impl Presented {
    pub(crate) fn new(stage: &Stage) -> Result<Self, RingError> {
        let geometry = Geometry {
            slots: RECORDS,
            meta_len: 0,
            payload_capacity: DetectionRecord::MAX_BYTES as u64,
        };
        Ok(Self {
            publisher: stage.publisher(Topic::Presented, geometry)?,
            waiting: VecDeque::with_capacity(WAITING),
            bytes: Vec::with_capacity(DetectionRecord::MAX_BYTES),
        })
    }

    /// The generation of render's topic.
    pub(crate) fn generation(&self) -> u64 {
        self.publisher.next().generation
    }

    /// A record that has been handled. `shown`: its picture is on its way.
    pub(crate) fn handled(
        &mut self,
        record: DetectionRecord,
        shown: bool,
        reporter: &mut Reporter,
    ) {
        if !reporter.on() {
            return;
        }
        if !shown {
            return self.publish(record, reporter);
        }
        if self.waiting.len() == WAITING {
            self.give_up(reporter);
        }
        self.waiting.push_back(record);
    }

    /// The first watcher has the picture of the record that render had at `acquired`, or a picture without a record.
    pub(crate) fn seen(&mut self, acquired: u64, presented: u64, reporter: &mut Reporter) {
        reporter.record(MetricId::Present, acquired, presented);
        reporter.stats_mut().presented_total += 1;
        let of = |r: &DetectionRecord| r.header.times.render_acquired == acquired;
        if let Some(at) = self.waiting.iter().position(of)
            && let Some(mut record) = self.waiting.remove(at)
        {
            let times = &mut record.header.times;
            times.presented = presented;
            reporter.record(MetricId::Show, times.sensor, presented);
            self.publish(record, reporter);
        }
    }

    /// Lets go of pictures that nobody took.
    pub(crate) fn tick(&mut self, now: u64, reporter: &mut Reporter) {
        let old = |t: &Times| now.saturating_sub(t.render_acquired) > PATIENCE_NS;
        while self.waiting.front().is_some_and(|r| old(&r.header.times)) {
            self.give_up(reporter);
        }
    }

    fn give_up(&mut self, reporter: &mut Reporter) {
        if let Some(record) = self.waiting.pop_front() {
            self.publish(record, reporter);
        }
    }

    fn publish(&mut self, mut record: DetectionRecord, reporter: &mut Reporter) {
        reporter.check(check_times(&record.header.times));
        let stamp = self.publisher.next();
        // Its place in this ring; `frame_generation` and `frame_seq` still say which frame it is about.
        (record.header.generation, record.header.seq) = (stamp.generation, stamp.seq);
        record.encode_into(&mut self.bytes);
        if let Err(e) = self.publisher.publish(&[&self.bytes], |_| ()) {
            tracing::warn!("a record was not published: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::{StageName, StageStats};
    use hanja_ring::{Sample, TapSubscriber};
    use std::time::Duration;

    fn record(seq: u64, acquired: u64) -> DetectionRecord {
        let mut r = DetectionRecord::default();
        r.header.frame_seq = seq;
        (r.header.times.sensor, r.header.times.render_acquired) = (1_000, acquired);
        r
    }

    struct Reader(TapSubscriber, Sample);

    impl Reader {
        /// Frame number and presented time of the next record.
        fn next(&mut self) -> Option<(u64, u64)> {
            if !self.0.next(&mut self.1, Duration::from_millis(200)) {
                return None;
            }
            let r = DetectionRecord::from_bytes(&self.1.payload).unwrap();
            assert_eq!(
                (r.header.generation, r.header.seq),
                (self.1.generation, self.1.seq)
            );
            Some((r.header.frame_seq, r.header.times.presented))
        }
    }

    #[test]
    fn every_record_comes_once_with_its_times() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::start(StageName::Render, dir.path()).unwrap();
        let mut reporter = Reporter::new(&stage, "test").unwrap();
        let mut presented = Presented::new(&stage).unwrap();
        let tap = Topic::Presented.tap(dir.path(), StageName::Render);
        let mut reader = Reader(tap, Sample::default());
        presented.handled(record(1, 2_000), false, &mut reporter);
        assert_eq!(reader.next(), Some((1, 0)));
        presented.handled(record(2, 3_000), true, &mut reporter);
        presented.handled(record(3, 4_000), false, &mut reporter);
        assert_eq!(reader.next(), Some((3, 0)), "waits for nobody");
        presented.seen(3_000, 9_000, &mut reporter);
        assert_eq!(reader.next(), Some((2, 9_000)));
        // Nobody takes these: the oldest makes room, the others are let go after a while.
        for seq in 4..9 {
            presented.handled(record(seq, 10_000 + seq), true, &mut reporter);
        }
        assert_eq!(reader.next(), Some((4, 0)));
        presented.tick(20_000, &mut reporter);
        presented.seen(10_007, 20_000, &mut reporter);
        assert_eq!(reader.next(), Some((7, 20_000)));
        presented.tick(10_000 + 8 + PATIENCE_NS + 1, &mut reporter);
        let rest: Vec<_> = std::iter::from_fn(|| reader.next()).collect();
        assert_eq!(rest, [(5, 0), (6, 0), (8, 0)]);
        // A picture without a record is counted, and makes no record.
        presented.seen(77, 99, &mut reporter);
        assert_eq!(reader.next(), None);
        reporter.finish();
        let mut tap = Topic::Stats.tap(dir.path(), StageName::Render);
        assert!(tap.next(&mut reader.1, Duration::from_secs(2)));
        let stats = StageStats::from_bytes(&reader.1.payload).unwrap();
        assert_eq!((stats.presented_total, stats.unbalanced_total), (3, 0));
        assert_eq!(stats.metric(MetricId::Present).unwrap().count, 3);
        assert_eq!(stats.metric(MetricId::Show).unwrap().count, 2);
    }
}

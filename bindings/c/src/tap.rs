//! A tap as C holds it, without pointers: the part that safe Rust can do.

use crate::error::{Code, Failure};
use hanja_record::{FrameMeta, StageName, StageStats, Topic};
use hanja_ring::{Sample, Stamp, TapSubscriber};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;
use zerocopy::FromBytes;

/// One wait of a tap without a time-out, repeated; so short that no clock arithmetic overflows.
const HOUR: Duration = Duration::from_secs(3600);

/// `hanja_tap_sample`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TapSample {
    /// Changes when the stage begins a new ring.
    pub generation: u64,
    /// Number in that generation.
    pub seq: u64,
    /// Samples overwritten before they were read, since the one before.
    pub lapped: u64,
    /// Copies thrown away since the tap was opened.
    pub torn: u64,
    /// Bytes of the payload.
    pub payload_length: u64,
    /// Zero for topics other than frames.
    pub frame: FrameMeta,
}

/// The arguments of `hanja_tap_open`, checked.
#[derive(Debug)]
pub(crate) struct TapOptions {
    stage: StageName,
    topic: Topic,
    newest: bool,
}

impl TapOptions {
    pub(crate) fn new(stage: i32, topic: i32, order: i32) -> Result<Self, Failure> {
        let topic = Topic::ALL
            .into_iter()
            .find(|t| *t as i32 == topic)
            .ok_or_else(|| {
                Failure::argument(format!("there is no topic {topic}: use HANJA_TOPIC_*"))
            })?;
        let named = StageName::ALL.into_iter().find(|s| *s as i32 == stage);
        let stage = match (stage, named, topic.publishers()) {
            (0, _, [only]) => *only,
            (0, _, _) => {
                return Err(Failure::argument(
                    "every stage has statistics: name one with HANJA_STAGE_*",
                ));
            }
            (_, Some(named), _) => named,
            (_, None, _) => {
                return Err(Failure::argument(format!(
                    "there is no stage {stage}: use HANJA_STAGE_*"
                )));
            }
        };
        let newest = match order {
            0 => true,
            1 => false,
            _ => {
                return Err(Failure::argument(format!(
                    "there is no order {order}: use HANJA_TAP_NEWEST or HANJA_TAP_IN_ORDER"
                )));
            }
        };
        Ok(Self {
            stage,
            topic,
            newest,
        })
    }
}

/// The contents of a handle.
#[derive(Debug)]
pub(crate) struct State {
    tap: TapSubscriber,
    newest: bool,
    /// Whether a part may be copied, if it contains the head: of statistics, which grow from version to version.
    partial: bool,
    sample: Sample,
    /// The sample that may be copied, and its length.
    found: Option<(Stamp, u64)>,
    torn_copies: u64,
    /// In order: samples whose copy was torn and that are not yet counted as lapped.
    torn_unread: u64,
}

impl State {
    pub(crate) fn open(runtime_dir: Option<PathBuf>, options: &TapOptions) -> Self {
        let dir = runtime_dir.unwrap_or_else(hanja_record::runtime_dir::to_read);
        Self {
            tap: options.topic.tap(&dir, options.stage),
            newest: options.newest,
            partial: options.topic == Topic::Stats,
            sample: Sample::default(),
            found: None,
            torn_copies: 0,
            torn_unread: 0,
        }
    }

    /// Waits for the next sample, at most `timeout_ms`; without end if that is negative.
    pub(crate) fn next(&mut self, timeout_ms: i32) -> Result<TapSample, Failure> {
        self.found = None;
        let timeout = u64::try_from(timeout_ms).map_or(HOUR, Duration::from_millis);
        let payload_length = loop {
            let found = if self.newest {
                self.tap.peek_newest(&mut self.sample, timeout)
            } else {
                self.tap.peek_next(&mut self.sample, timeout)
            };
            match found {
                Some(length) => break length,
                None if timeout_ms < 0 => {}
                None => return Err(self.timeout_failure()),
            }
        };
        let stamp = Stamp {
            generation: self.sample.generation,
            seq: self.sample.seq,
        };
        self.found = Some((stamp, payload_length));
        Ok(TapSample {
            generation: stamp.generation,
            seq: stamp.seq,
            lapped: self.sample.lapped + std::mem::take(&mut self.torn_unread),
            torn: self.torn_copies + u64::from(self.sample.torn_retries),
            payload_length,
            frame: FrameMeta::read_from_prefix(&self.sample.meta)
                .map_or_else(|_| FrameMeta::zeroed(), |(meta, _)| meta),
        })
    }

    /// Why there was no sample.
    fn timeout_failure(&self) -> Failure {
        match self.tap.problem() {
            Some(problem) => Failure::new(Code::Absent, problem),
            None if self.tap.attached() => {
                Failure::new(Code::Timeout, "nothing new within the time")
            }
            None => Failure::new(Code::Absent, "the stage is gone; waiting for its successor"),
        }
    }

    /// Bytes that [`copy`](Self::copy) would copy.
    pub(crate) fn payload_length(&self) -> Result<u64, Failure> {
        let found = self
            .found
            .ok_or_else(|| Failure::argument("no sample: call hanja_tap_next first"))?;
        Ok(found.1)
    }

    /// Bytes to copy into a buffer of `capacity` bytes: the whole payload, even if that does not fit. Of statistics only as
    /// much as fits: they grow at their end from version to version, and a reader's buffer may be made for an older one.
    pub(crate) fn size_for(&self, capacity: usize) -> Result<usize, Failure> {
        let whole = usize::try_from(self.payload_length()?).unwrap_or(usize::MAX);
        if self.partial && capacity >= size_of::<StageStats>() {
            return Ok(whole.min(capacity));
        }
        Ok(whole)
    }

    /// Fills `out`, which has [`size_for`](Self::size_for) bytes.
    pub(crate) fn copy(&mut self, out: &mut [MaybeUninit<u8>]) -> Result<(), Failure> {
        let Some((stamp, whole)) = self.found else {
            return Err(Failure::argument("no sample: call hanja_tap_next first"));
        };
        match self.tap.copy_payload(stamp, out) {
            Some(length) if length == whole => Ok(()),
            _ => {
                self.found = None;
                self.torn_copies += 1;
                self.torn_unread += u64::from(!self.newest);
                let message = format!(
                    "number {} was overwritten before or while it was copied; call hanja_tap_next again",
                    stamp.seq
                );
                Err(Failure::new(Code::Torn, message))
            }
        }
    }
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<TapSample>() == 296);
    assert!(offset_of!(TapSample, payload_length) == 32);
    assert!(offset_of!(TapSample, frame) == 40);
};

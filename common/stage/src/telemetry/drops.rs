//! Every frame that is not looked at gets a reason in the log, without filling it: the first of a reason at once, then
//! how many there were since, every ten seconds. The exact counts are in the records and the statistics.

use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// Why a frame went no further. The names are those of frame accounting, see `docs/design.md`, where these have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Overwritten in the driver before capture took it.
    Lost,
    /// Every slot of the ring was leased.
    RingFull,
    /// A newer frame was there when infer looked.
    Busy,
    /// Not a picture.
    Undecodable,
    /// The source has no picture.
    NoSignal,
    /// A record that render could not read in time.
    RecordMissed,
    /// A record or picture that render could not show.
    NotShown,
}

impl Reason {
    /// As `HANJA_DROP_REASON` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::RingFull => "ring_full",
            Self::Busy => "busy",
            Self::Undecodable => "undecodable",
            Self::NoSignal => "no_signal",
            Self::RecordMissed => "record_missed",
            Self::NotShown => "not_shown",
        }
    }

    /// Part of a healthy run on a busy machine: the newest frame wins. Of a missing camera capture warns by itself.
    fn is_usual(self) -> bool {
        !matches!(self, Self::RingFull | Self::Undecodable | Self::NotShown)
    }
}

/// What was dropped in one process.
#[derive(Debug)]
pub struct Drops {
    reasons: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    reason: Reason,
    said: Instant,
    since: u64,
}

impl Default for Drops {
    /// With room for every reason: counting allocates nothing, only saying does.
    fn default() -> Self {
        let reasons = Vec::with_capacity(Reason::NotShown as usize + 1);
        Self { reasons }
    }
}

impl Drops {
    /// Counts `n` frames; `words` say more about them, and are asked for only when they are logged.
    pub fn count(&mut self, reason: Reason, n: u64, words: impl FnOnce() -> String) {
        if n == 0 {
            return;
        }
        if let Some(entry) = self.reasons.iter_mut().find(|e| e.reason == reason) {
            entry.since = entry.since.saturating_add(n);
            entry.say_if_due(words);
        } else {
            self.reasons.push(Entry {
                reason,
                said: Instant::now(),
                since: 0,
            });
            say(reason, n, &words());
        }
    }

    /// Says what is due. Call it every second or so.
    pub fn tick(&mut self) {
        for entry in &mut self.reasons {
            entry.say_if_due(String::new);
        }
    }
}

impl Entry {
    fn say_if_due(&mut self, words: impl FnOnce() -> String) {
        let passed = self.said.elapsed();
        if self.since == 0 || passed < EVERY {
            return;
        }
        let (words, seconds) = (words(), passed.as_secs());
        let space = if words.is_empty() { "" } else { "; last: " };
        let text = format!("{} in the last {seconds} s{space}{words}", self.since);
        say(self.reason, self.since, &text);
        (self.said, self.since) = (Instant::now(), 0);
    }
}

fn say(reason: Reason, n: u64, words: &str) {
    let name = reason.name();
    if reason.is_usual() {
        tracing::info!(
            hanja.drop_reason = name,
            hanja.drops = n,
            "frames passed over ({name}): {words}"
        );
    } else {
        tracing::warn!(
            hanja.drop_reason = name,
            hanja.drops = n,
            "frames dropped ({name}): {words}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_rest_counted() {
        let mut drops = Drops::default();
        let mut said = 0;
        for _ in 0..100 {
            drops.count(Reason::Busy, 2, || {
                said += 1;
                "newer".into()
            });
        }
        drops.count(Reason::RingFull, 0, || unreachable!("nothing was dropped"));
        drops.tick();
        assert_eq!(
            (said, drops.reasons.len(), drops.reasons[0].since),
            (1, 1, 198)
        );
        drops.reasons[0].said -= EVERY;
        drops.tick();
        assert_eq!(drops.reasons[0].since, 0);
    }
}

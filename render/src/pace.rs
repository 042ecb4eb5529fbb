//! When to make a picture: often enough to look live, seldom enough that the view never takes a core from the engine.

use std::time::Duration;

/// Most pictures a second.
pub(crate) const MAX_VIEW_FPS: u64 = 25;
const PERIOD_NS: u64 = 1_000_000_000 / MAX_VIEW_FPS;
/// Of the time, at most one part in so many goes into making pictures.
const SHARE: u64 = 4;

/// Lets at most [`MAX_VIEW_FPS`] pictures a second through, evenly: a source of 30 loses every sixth, not every
/// second one. Large pictures that take long to encode are let through more seldom.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    due: u64,
    cost: u64,
}

impl Pacer {
    /// Whether a picture may be made at `now`.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due
    }

    /// Whether a picture may be made at `now`; if so, the next is due a period later.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        if !self.is_due(now) {
            return false;
        }
        // Credit for having been late, so that the mean rate is kept; at most one picture of it.
        self.due = (self.due + PERIOD_NS).max(now);
        true
    }

    /// Making the picture took from `start` to `end`.
    pub(crate) fn spent(&mut self, start: u64, end: u64) {
        self.cost = end.saturating_sub(start);
        self.due = self.due.max(end + (SHARE - 1) * self.cost);
    }

    /// Time between pictures as things are.
    fn interval(&self) -> u64 {
        PERIOD_NS.max(SHARE * self.cost)
    }
}

/// Decides when to give up waiting for the next record and show the newest frame without boxes.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    last_record: u64,
    interval: u64,
    shown: u64,
}

impl Patience {
    const LEAST: u64 = 300_000_000;
    const MOST: u64 = 2_000_000_000;

    /// A detection record came.
    pub(crate) fn record(&mut self, now: u64) {
        let gap = now.saturating_sub(self.last_record).min(Self::MOST);
        self.interval = if self.last_record == 0 {
            gap
        } else {
            (3 * self.interval + gap) / 4
        };
        self.last_record = now;
    }

    /// A picture with its record was shown.
    pub(crate) fn shown(&mut self, now: u64) {
        self.shown = now;
    }

    /// How much longer to wait for a picture with its record; zero: show frames as they come. 300 ms, but twice the
    /// usual interval where infer is slow, else pictures with and without boxes would alternate.
    pub(crate) fn left(&self, pacer: &Pacer, now: u64) -> Duration {
        let usual = 2 * self.interval.max(pacer.interval());
        let limit = usual.clamp(Self::LEAST, Self::MOST);
        Duration::from_nanos((self.shown + limit).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const START: u64 = 77_000 * MS;

    fn pictures(fps: u64, cost: u64) -> u64 {
        let mut pacer = Pacer::default();
        let times = (0..10 * fps).map(|n| START + n * 1_000_000_000 / fps);
        let mut free_at = 0;
        times
            .filter(|t| {
                let made = *t >= free_at && pacer.take(*t);
                if made {
                    free_at = t + cost;
                    pacer.spent(*t, free_at);
                }
                made
            })
            .count() as u64
    }

    #[test]
    fn the_rate_is_held_evenly() {
        assert_eq!(pictures(10, 0), 100, "all of a slow source");
        for fps in [30, 60, 200] {
            let n = pictures(fps, 2 * MS);
            assert!((248..=252).contains(&n), "{fps} fps gave {n} in 10 s");
        }
    }

    #[test]
    fn dear_pictures_are_made_seldom() {
        let n = pictures(30, 100 * MS);
        assert!(
            (20..=26).contains(&n),
            "{n}: 100 ms each, a quarter of the time"
        );
    }

    #[test]
    fn patience_follows_the_pace_of_infer() {
        let pacer = Pacer::default();
        let mut fast = Patience::default();
        let mut slow = Patience::default();
        for n in 0..20 {
            fast.record(START + n * 33 * MS);
            slow.record(START + n * 400 * MS);
        }
        let now = START + 20 * 400 * MS;
        fast.shown(now);
        slow.shown(now);
        let left = |p: &Patience, later| p.left(&pacer, now + later * MS).as_millis();
        assert_eq!(
            (left(&fast, 0), left(&fast, 200), left(&fast, 300)),
            (300, 100, 0)
        );
        assert!((790..=800).contains(&left(&slow, 0)), "{}", left(&slow, 0));
        assert_eq!(
            Patience::default().left(&pacer, START),
            Duration::ZERO,
            "nothing yet: show frames"
        );
    }
}

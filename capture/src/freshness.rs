//! Since when a source's frame number, time stamp and picture have been the same.
//!
//! A camera that hangs may deliver one buffer again and again. Each frame therefore carries since when its number, its
//! time and its bytes have not changed, so that any single frame suffices to judge. What follows from them:
//! `docs/metrics.md`, "The same frame again".

use crate::source::Frame;

/// Words sampled from a picture, up to twice as many from a small one. Enough that a numeral on otherwise still paper is
/// not missed (at 640x480 one sample in 300 pixels, where the smallest numeral that is found has several hundred), and
/// few enough to cost microseconds.
const SAMPLES: usize = 1024;

/// Since when the number, the time and the picture of the newest frame have been the same, nanoseconds of
/// CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnchangedSince {
    pub(crate) number: u64,
    pub(crate) time: u64,
    pub(crate) picture: u64,
}

/// What the newest frame is compared by.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    since: UnchangedSince,
    number: u64,
    time: u64,
    fingerprint: u64,
}

impl Freshness {
    /// Compares a frame with the one before it.
    pub(crate) fn update(&mut self, frame: &Frame<'_>) -> UnchangedSince {
        let now = frame.t_dequeued;
        let first = self.since == UnchangedSince::default();
        if first || frame.driver_seq != self.number {
            (self.number, self.since.number) = (frame.driver_seq, now);
        }
        // A clock that runs backwards counts as stopped.
        if first || frame.t_sensor > self.time {
            (self.time, self.since.time) = (frame.t_sensor, now);
        }
        let fingerprint = fingerprint(frame.bytes);
        if first || fingerprint != self.fingerprint {
            (self.fingerprint, self.since.picture) = (fingerprint, now);
        }
        self.since
    }
}

/// A hash of the length and of sampled words: two pictures that differ there have the same one by an accident in 2^64.
/// The samples lie an odd number of words apart, so that they do not all fall into one column of the picture.
fn fingerprint(bytes: &[u8]) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 / golden ratio, odd: multiplying by it loses nothing
    let mix = |sum: u64, word: u64| (sum.rotate_left(23) ^ word).wrapping_mul(STEP);
    let (words, tail) = bytes.as_chunks::<8>();
    let distance = (words.len() / SAMPLES) | 1;
    let sum = words
        .iter()
        .step_by(distance)
        .fold(bytes.len() as u64, |sum, word| {
            mix(sum, u64::from_le_bytes(*word))
        });
    tail.iter()
        .fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::PixelFormat;

    fn frame(bytes: &[u8], number: u64, sensor: u64, now: u64) -> Frame<'_> {
        Frame {
            format: PixelFormat::Grey,
            width: 1,
            height: 1,
            stride: 1,
            bytes,
            driver_seq: number,
            t_sensor: sensor,
            t_dequeued: now,
            flags: 0,
            truth: &[],
        }
    }

    #[test]
    fn what_stands_still_keeps_its_first_time() {
        let mut f = Freshness::default();
        let since = |number, time, picture| UnchangedSince {
            number,
            time,
            picture,
        };
        assert_eq!(f.update(&frame(b"a", 0, 90, 100)), since(100, 100, 100));
        assert_eq!(f.update(&frame(b"b", 1, 190, 200)), since(200, 200, 200));
        assert_eq!(f.update(&frame(b"b", 2, 290, 300)), since(300, 300, 200));
        assert_eq!(f.update(&frame(b"b", 2, 290, 400)), since(300, 300, 200));
        assert_eq!(f.update(&frame(b"c", 2, 280, 500)), since(300, 300, 500));
        assert_eq!(f.update(&frame(b"c", 0, 580, 600)), since(600, 600, 500));
    }

    #[test]
    fn a_fingerprint_sees_a_numeral_and_every_bit_of_a_small_picture() {
        let mut picture = vec![200; 640 * 480];
        let blank = fingerprint(&picture);
        for line in picture.chunks_mut(640).skip(200).take(40) {
            line[300..340].fill(20);
        }
        assert_ne!(fingerprint(&picture), blank);
        let small: Vec<u8> = (0..203).collect();
        for at in 0..small.len() {
            let mut other = small.clone();
            other[at] ^= 1;
            assert_ne!(fingerprint(&other), fingerprint(&small), "byte {at}");
        }
        assert_ne!(fingerprint(&[]), fingerprint(&[0]));
        assert_ne!(fingerprint(&[0; 8]), fingerprint(&[0; 16]));
    }
}

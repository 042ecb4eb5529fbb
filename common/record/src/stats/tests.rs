//! Records there and back, cut and lied about.

use super::*;
use proptest::prelude::*;

#[test]
fn round_trip() {
    let mut s = StageStats::new(2);
    s.set_what(&"三".repeat(60));
    s.metrics[1] = Metric {
        id: MetricId::Inference as u16,
        p50_us: 9,
        ..Default::default()
    };
    let back = StageStats::from_bytes(s.as_bytes()).unwrap();
    assert_eq!(back, s);
    assert_eq!(back.what(), "三".repeat(42));
    assert_eq!(back.metric(MetricId::Inference).unwrap().p50_us, 9);
    assert!(back.metric(MetricId::Queue).is_none());
    assert!(StageStats::from_bytes(&s.as_bytes()[..639]).is_err());
}

#[test]
fn words_stand_behind_the_record() {
    let mut s = StageStats::new(2);
    assert_eq!(s.words_in(s.as_bytes()), "");
    let text = format!("a{}", "三".repeat(200));
    let words = s.set_words(&text);
    assert_eq!((words.len(), s.words_len), (382, 382));
    let bytes = [s.as_bytes(), words.as_bytes()].concat();
    let back = StageStats::from_bytes(&bytes).unwrap();
    assert_eq!(back.words_in(&bytes), words);
    // A length that is not true reads nothing else.
    assert_eq!(back.words_in(&bytes[..643]), "a\u{fffd}");
    assert_eq!(back.words_in(&bytes[..640]), "");
    assert_eq!(back.words_in(&[]), "");
    let liar = StageStats {
        words_len: u32::MAX,
        ..back
    };
    let long = [s.as_bytes(), &[b'x'; 1000]].concat();
    assert_eq!(liar.words_in(&long).len(), StageStats::MAX_WORDS);
}

fn with_histograms() -> (StageStats, Vec<u8>) {
    let (mut s, mut bytes) = (
        StageStats::new(2),
        Vec::with_capacity(StageStats::MAX_BYTES),
    );
    let (mut queue, mut inference) = (Histogram::new(), Histogram::new());
    queue.record_ns(1_500);
    inference.record_ns(24_000_000);
    inference.record_ns(25_000_000);
    let all = [
        (MetricId::Queue, &queue),
        (MetricId::Submit, &Histogram::new()),
        (MetricId::Inference, &inference),
    ];
    s.encode_into("in words: 三", all, &mut bytes);
    (s, bytes)
}

#[test]
fn histograms_stand_behind_the_words() {
    let (s, bytes) = with_histograms();
    assert_eq!(bytes.len(), 1024 + 2 * 784);
    assert!(bytes.len() <= bytes.capacity() && StageStats::MAX_BYTES <= 256 + 300 * 32);
    let back = StageStats::from_bytes(&bytes).unwrap();
    assert_eq!(back, s);
    assert_eq!(back.words_in(&bytes), "in words: 三");
    let all = back.histograms_in(&bytes);
    assert_eq!(all.get(MetricId::Inference).unwrap().count(), 2);
    assert_eq!(all.get(MetricId::Inference).unwrap().sum_ns(), 49_000_000);
    assert!(all.get(MetricId::Submit).is_none());
    // A reader of 1.0 that copies 640 bytes and one of 1.1 that copies the words lose nothing else.
    assert!(back.histograms_in(&bytes[..640]).is_empty());
    let cut = back.histograms_in(&bytes[..bytes.len() - 1]);
    assert_eq!(cut.iter().count(), 1);
}

#[test]
fn histograms_of_a_newer_writer_may_be_longer() {
    let (mut s, bytes) = with_histograms();
    s.histogram_len = 784 + 16;
    let mut longer = bytes[..1024].to_vec();
    for at in [1024, 1024 + 784] {
        longer.extend_from_slice(&bytes[at..at + 784]);
        longer.extend_from_slice(&[9; 16]);
    }
    let whole = StageStats::from_bytes(&bytes)
        .unwrap()
        .histograms_in(&bytes);
    assert_eq!(s.histograms_in(&longer), whole);
}

#[test]
fn drops_are_those_of_the_stage() {
    let of = |stage| {
        let s = StageStats {
            skipped_busy_total: 3,
            ..StageStats::new(stage)
        };
        s.drops()
    };
    assert_eq!(of(1), [("lost", 0), ("ring_full", 0)]);
    assert_eq!(of(2)[0], ("busy", 3));
    assert_eq!((of(3), of(4)), (vec![("missed", 0)], vec![]));
}

proptest! {
    /// Whatever stands in the numbers that say where things are: no panic, and never more than there is.
    #[test]
    fn hostile_numbers_read_nothing_else(
        at in prop_oneof![0u32..3000, any::<u32>()],
        count in any::<u16>(),
        len in prop_oneof![0u16..2000, any::<u16>()],
        words in any::<u32>(),
        cut in 0usize..3000,
        noise in prop::collection::vec((0usize..2592, any::<u8>()), 0..50),
    ) {
        let (mut s, mut bytes) = with_histograms();
        (s.histograms_at, s.histogram_count, s.histogram_len, s.words_len) = (at, count, len, words);
        bytes[..640].copy_from_slice(s.as_bytes());
        for (at, byte) in noise {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        if let Ok(s) = StageStats::from_bytes(&bytes) {
            let all = s.histograms_in(&bytes);
            prop_assert!(all.iter().count() <= StageStats::MAX_HISTOGRAMS);
            for (_, h) in all.iter() {
                let _ = (h.quantile(0.5), h.sum(), h.count(), h.since(h));
            }
            prop_assert!(s.words_in(&bytes).chars().count() <= StageStats::MAX_WORDS);
        }
    }
}

//! Exact values against the histogram's, and its arithmetic.

use super::*;
use proptest::prelude::*;

fn of(values: &[u64]) -> Histogram {
    let mut h = Histogram::new();
    for ns in values {
        h.record_ns(*ns);
    }
    h
}

fn sum(a: &Histogram, b: &Histogram) -> Histogram {
    let mut both = a.clone();
    both.merge(b);
    both
}

/// From nanoseconds to hours, each magnitude as likely as another.
fn latency() -> impl Strategy<Value = u64> {
    (0u32..45, any::<u64>()).prop_map(|(bits, n)| n >> (63 - bits))
}

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(latency(), 0..200)
}

#[test]
fn the_buckets_are_those_of_the_document() {
    let ends: Vec<_> = Histogram::new().buckets().map(|(end, _)| end).collect();
    assert_eq!(ends.len(), BUCKETS);
    assert_eq!(
        ends[..18],
        [
            1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0,
            18.0, 20.0
        ]
    );
    assert_eq!(ends[190], 62_914_560.0);
    assert!(ends[191].is_infinite());
    // The rule of docs/abi.md, and that the buckets leave nothing out.
    for i in 0..BUCKETS as u64 {
        let (octave, sub) = (i / 8, i % 8);
        let begin = if octave == 0 {
            sub
        } else {
            (8 + sub) * 2u64.pow(octave as u32 - 1)
        };
        assert_eq!(Histogram::begin_us(i as usize), begin);
        assert_eq!(bucket_of(begin), i as usize);
        assert_eq!(
            bucket_of(Histogram::begin_us(i as usize + 1) - 1),
            i as usize
        );
    }
    assert_eq!(Histogram::begin_us(BUCKETS), LONGEST_US);
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn nothing_has_no_quantiles() {
    let h = Histogram::new();
    assert_eq!((h.count(), h.sum_ns(), h.quantile(0.5)), (0, 0, None));
    assert!(of(&[5_500]).quantile(f64::NAN).is_some());
}

#[test]
fn full_counts_stay_full() {
    let mut full = HistogramRecord::new_zeroed();
    full.counts.fill(u32::MAX);
    full.sum_ns = u64::MAX;
    let mut h = Histogram::from(&full);
    h.record_ns(1);
    assert_eq!(h.to_record(MetricId::None).counts, full.counts);
    for _ in 0..70 {
        h.merge(&h.clone());
    }
    assert_eq!((h.count(), h.sum_ns()), (u64::MAX, u64::MAX));
    assert!(h.quantile(1.0).is_some());
}

proptest! {
    #[test]
    fn a_quantile_is_in_the_bucket_of_the_exact_value(mut values in latencies(), q in 0.0..=1.0f64) {
        prop_assume!(!values.is_empty());
        let h = of(&values);
        values.sort_unstable();
        prop_assert_eq!(h.count(), values.len() as u64);
        prop_assert_eq!(h.sum_ns(), values.iter().sum::<u64>());
        let rank = ((q * values.len() as f64).ceil() as usize).max(1);
        let exact = (values[rank - 1] / 1000).min(LONGEST_US - 1);
        let got = h.quantile(q).unwrap();
        prop_assert_eq!(bucket_of(got as u64), bucket_of(exact), "{} for {}", got, exact);
        // So it is at most one microsecond or an eighth of the value away.
        prop_assert!((got - exact as f64).abs() <= (exact as f64 / 8.0).max(1.0));
    }

    #[test]
    fn merging_is_adding(a in latencies(), b in latencies(), c in latencies()) {
        let (ha, hb, hc) = (of(&a), of(&b), of(&c));
        prop_assert_eq!(sum(&sum(&ha, &hb), &hc), sum(&ha, &sum(&hb, &hc)));
        prop_assert_eq!(sum(&ha, &hb), sum(&hb, &ha));
        prop_assert_eq!(sum(&ha, &Histogram::new()), ha.clone());
        let all: Vec<u64> = [a, b].concat();
        prop_assert_eq!(sum(&ha, &hb), of(&all));
        prop_assert_eq!(sum(&ha, &hb).since(&ha), hb);
    }

    #[test]
    fn a_record_and_back(values in latencies()) {
        let h = of(&values);
        let record = h.to_record(MetricId::Queue);
        prop_assert_eq!(record.id, MetricId::Queue as u16);
        prop_assert_eq!(Histogram::from(&record), h);
    }

    #[test]
    fn sets_add_by_latency(a in latencies(), b in latencies()) {
        let (mut first, mut second) = (Histograms::default(), Histograms::default());
        first.add(MetricId::Queue, &of(&a));
        first.add(MetricId::Dequeue, &of(&b));
        second.add(MetricId::Queue, &of(&b));
        let mut both = first.clone();
        both.merge(&second);
        let ids: Vec<_> = both.iter().map(|(id, _)| id).collect();
        prop_assert_eq!(ids, [MetricId::Dequeue, MetricId::Queue]);
        let grown = both.since(&first);
        prop_assert_eq!(grown.get(MetricId::Queue), second.get(MetricId::Queue));
        prop_assert_eq!(grown.get(MetricId::Dequeue), Some(&Histogram::new()));
    }
}

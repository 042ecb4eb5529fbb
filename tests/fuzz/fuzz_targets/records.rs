//! Records as they stand in a ring, and what is made of them: JSON, frame accounting. Records of 2000 bytes at most, one
//! after the other: a sequence is what frame accounting sees.
#![no_main]

use hanja_record::json::{FrameJson, RecordJson, StatsJson};
use hanja_record::{DetectionRecord, FrameMeta, StageStats};
use hanja_stage::accounting::FrameAccounting;
use zerocopy::FromBytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut accounting = FrameAccounting::default();
    for part in bytes.chunks(2000) {
        if let Ok(record) = DetectionRecord::from_bytes(part) {
            assert!(record.detections.len() == record.header.count as usize);
            serde_json::to_string(&RecordJson::new(&record)).expect("JSON for every record");
            accounting.record(&record.header);
        }
        if let Ok(stats) = StageStats::from_bytes(part) {
            let words = stats.words_in(part);
            serde_json::to_string(&StatsJson::new(&stats, &words)).expect("JSON for every record");
            let mut all = stats.histograms_in(part);
            for (_, histogram) in all.iter() {
                assert!((histogram.count() > 0) == histogram.quantile(0.99).is_some());
            }
            all.merge(&all.clone());
        }
        if let Ok((meta, _)) = FrameMeta::read_from_prefix(part) {
            serde_json::to_string(&FrameJson::new(&meta)).expect("JSON for every frame");
            accounting.frame(&meta);
        }
    }
    let _ = accounting.totals().adds_up();
    let _ = accounting.close().adds_up();
});

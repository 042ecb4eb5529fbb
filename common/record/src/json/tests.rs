//! The shapes that scripts and the page rely on.

use super::*;
use crate::Metric;
use serde_json::{Value, json, to_value};

fn record() -> DetectionRecord {
    let mut r = DetectionRecord::default();
    r.header.seq = 5;
    r.header.frame_seq = 9;
    r.header.frame_width = 640;
    r.header.model_id = 0xab;
    r.header.backend = Backend::Rten as u16;
    r.header.times = Times {
        sensor: 1_000_000,
        dequeued: 1_500_000,
        detections_published: 9_000_000,
        ..Default::default()
    };
    let d = Detection {
        x1: 1.0,
        y1: 2.0,
        x2: 3.5,
        y2: 4.0,
        score: 0.5,
        class: 2,
        ..Default::default()
    };
    r.detections = vec![d, Detection { class: 77, ..d }];
    r
}

#[test]
fn a_record_in_json() {
    let value = to_value(RecordJson::new(&record())).unwrap();
    assert_eq!(value["seq"], 5);
    assert_eq!(value["frame"]["width"], 640);
    assert_eq!(value["backend"], "rten");
    assert_eq!(value["model"], "00000000000000ab");
    assert_eq!(value["status"], "ok");
    let first = json!({"class": 2, "label": "三", "score": 0.5, "box": [1.0, 2.0, 3.5, 4.0]});
    assert_eq!(value["detections"][0], first);
    assert_eq!(value["detections"][1]["label"], "class 77");
    assert_eq!(
        value["times_ns"],
        json!({"sensor": 1_000_000, "dequeued": 1_500_000, "detections_published": 9_000_000})
    );
    assert_eq!(
        value["latency_ms"],
        json!({"dequeue": 0.5, "announce": 7.5})
    );
    assert_eq!(value["end_to_end_ms"], 8.0);
}

#[test]
fn damaged_numbers_stay_json() {
    let mut r = record();
    r.detections[0].score = f32::NAN;
    r.header.status = 99;
    r.header.model_id = 0;
    let value = to_value(RecordJson::new(&r)).unwrap();
    assert_eq!(value["detections"][0]["score"], Value::Null);
    assert_eq!(
        (&value["status"], &value["model"]),
        (&json!("unknown"), &Value::Null)
    );
}

#[test]
fn stats_in_json() {
    let mut s = StageStats::new(2);
    s.set_what("hanja.onnx");
    s.fps_milli = 29_970;
    s.skipped_busy_total = 3;
    (s.readers, s.leases, s.taps, s.queue_age_us) = (5, 2, 3, 1_500);
    (s.t_ns, s.newest_ns, s.detections_total) = (90_000_000, 50_000_000, 7);
    s.backend = Backend::Rten as u16;
    s.metrics[0] = Metric {
        id: MetricId::Inference as u16,
        count: 30,
        p50_us: 12_500,
        p99_us: 20_000,
        ..Default::default()
    };
    let value = to_value(StatsJson::new(&s, "rten; not tensorrt: no driver")).unwrap();
    assert_eq!(value["backend_choice"], "rten; not tensorrt: no driver");
    let wordless = to_value(StatsJson::new(&s, "")).unwrap();
    assert_eq!(wordless.get("backend_choice"), None);
    assert_eq!(
        (&value["stage"], &value["backend"]),
        (&json!("infer"), &json!("rten"))
    );
    assert_eq!(
        (&value["fps"], &value["what"]),
        (&json!(29.97), &json!("hanja.onnx"))
    );
    assert_eq!(value["counters"]["skipped_busy"], 3);
    assert_eq!(
        (&value["taps"], &value["queue_age_ms"]),
        (&json!(3), &json!(1.5))
    );
    assert_eq!(
        (&value["data_age_ms"], &value["detections"]),
        (&json!(40.0), &json!(7))
    );
    let young = to_value(StatsJson::new(&StageStats::new(1), "")).unwrap();
    assert_eq!(young["data_age_ms"], Value::Null);
    assert_eq!(value["metrics"].as_object().unwrap().len(), 1);
    assert_eq!(value["metrics"]["inference"]["p50_ms"], 12.5);
}

#[test]
fn frames_in_json() {
    let mut m = FrameMeta::zeroed();
    m.fourcc = crate::PixelFormat::Yuyv.fourcc();
    m.flags = FrameFlags::SYNTHETIC;
    m.width = 640;
    assert_eq!(
        to_value(FrameJson::new(&m)).unwrap()["new_since_ns"],
        json!({})
    );
    (m.t_new_number, m.t_new_time, m.t_new_picture) = (3, 2, 1);
    let value = to_value(FrameJson::new(&m)).unwrap();
    assert_eq!(
        value["new_since_ns"],
        json!({"number": 3, "time": 2, "picture": 1})
    );
    assert_eq!(
        (&value["format"], &value["width"]),
        (&json!("YUYV"), &json!(640))
    );
    assert_eq!(
        (&value["synthetic"], &value["no_signal"]),
        (&json!(true), &json!(false))
    );
}

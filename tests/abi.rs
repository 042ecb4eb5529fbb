//! Golden bytes: what a program in another language reads from a ring. If one of these changes, `docs/abi.md` and the
//! ABI version change with it.

use hanja_record::{
    Backend, Detection, DetectionRecord, FrameMeta, Histogram, Metric, MetricId, PixelFormat,
    StageStats,
};
use zerocopy::IntoBytes;

/// Numbers at offsets; everything else is zero.
fn assert_bytes(bytes: &[u8], len: usize, fields: &[(usize, &[u8])]) {
    assert_eq!(bytes.len(), len);
    let mut want = vec![0; len];
    for (at, value) in fields {
        want[*at..at + value.len()].copy_from_slice(value);
    }
    for (at, (got, want)) in bytes.iter().zip(&want).enumerate() {
        assert_eq!(got, want, "byte {at}");
    }
}

#[test]
fn frame_metadata() {
    let meta = FrameMeta {
        generation: 0x0102_0304_0506_0708,
        seq: 2,
        driver_seq: 3,
        fourcc: PixelFormat::Yuyv.fourcc(),
        width: 640,
        height: 480,
        stride: 1280,
        bytes_used: 614_400,
        flags: 4,
        t_sensor: 5,
        t_dequeued: 6,
        t_published: 7,
        lost_total: 8,
        dropped_total: 9,
        t_new_number: 10,
        t_new_time: 11,
        t_new_picture: 12,
        ..FrameMeta::zeroed()
    };
    let fields: [(usize, &[u8]); 17] = [
        (0, &[8, 7, 6, 5, 4, 3, 2, 1]),
        (8, &[2]),
        (16, &[3]),
        (24, b"YUYV"),
        (28, &[0x80, 2]),
        (32, &[0xe0, 1]),
        (36, &[0, 5]),
        (40, &[0, 0x60, 9]),
        (48, &[4]),
        (56, &[5]),
        (64, &[6]),
        (72, &[7]),
        (80, &[8]),
        (88, &[9]),
        (96, &[10]),
        (104, &[11]),
        (112, &[12]),
    ];
    assert_bytes(meta.as_bytes(), 256, &fields);
}

#[test]
fn detection_record() {
    let mut record = DetectionRecord::default();
    let h = &mut record.header;
    (
        h.generation,
        h.seq,
        h.frame_generation,
        h.frame_seq,
        h.driver_seq,
    ) = (1, 2, 3, 4, 5);
    (h.model_id, h.backend, h.status) = (6, Backend::Rten as u16, 2);
    (
        h.frame_width,
        h.frame_height,
        h.candidates,
        h.suppressed,
        h.capped,
    ) = (7, 8, 9, 10, 11);
    (
        h.times.sensor,
        h.times.detections_published,
        h.times.presented,
    ) = (12, 13, 14);
    (h.inferred_total, h.skipped_busy_total) = (15, 16);
    (h.skipped_undecodable_total, h.skipped_no_signal_total) = (17, 18);
    record.detections.push(Detection {
        x1: 1.0,
        y1: 2.0,
        x2: 3.0,
        y2: 4.0,
        score: 0.5,
        class: 9,
        track: 7,
        ..Default::default()
    });
    let mut bytes = Vec::new();
    record.encode_into(&mut bytes);
    let (one, two, three, four, half) = (
        1f32.to_le_bytes(),
        2f32.to_le_bytes(),
        3f32.to_le_bytes(),
        4f32.to_le_bytes(),
        0.5f32.to_le_bytes(),
    );
    let fields: [(usize, &[u8]); 32] = [
        (0, b"HJDT"),
        (4, &[1]),
        (6, &[2]),
        (9, &[1]),
        (10, &[32]),
        (12, &[1]),
        (16, &[1]),
        (24, &[2]),
        (32, &[3]),
        (40, &[4]),
        (48, &[5]),
        (56, &[6]),
        (64, &[1]),
        (66, &[2]),
        (68, &[7]),
        (72, &[8]),
        (76, &[9]),
        (80, &[10]),
        (84, &[11]),
        (96, &[12]),
        (160, &[13]),
        (176, &[14]),
        (192, &[15]),
        (200, &[16]),
        (208, &[17]),
        (216, &[18]),
        (256, &one),
        (260, &two),
        (264, &three),
        (268, &four),
        (272, &half),
        (276, &[9, 0, 0, 0, 7]),
    ];
    assert_bytes(&bytes, 288, &fields);
}

#[test]
fn stage_statistics() {
    let mut s = StageStats::new(2);
    (
        s.backend,
        s.pid,
        s.t_ns,
        s.started_ns,
        s.generation,
        s.frames_total,
    ) = (1, 2, 3, 4, 5, 6);
    (
        s.fps_milli,
        s.rss_kib,
        s.cpu_us,
        s.lost_total,
        s.dropped_total,
    ) = (7, 8, 9, 10, 11);
    (
        s.skipped_busy_total,
        s.skipped_undecodable_total,
        s.skipped_no_signal_total,
    ) = (12, 13, 14);
    (s.newest_ns, s.readers) = (15, 16);
    (s.leases, s.taps, s.cpu_system_us, s.rss_peak_kib) = (17, 18, 19, 20);
    (s.queue_age_us, s.detections_total) = (21, 22);
    (s.missed_total, s.presented_total, s.unbalanced_total) = (23, 24, 25);
    s.set_what("三");
    s.metrics[1] = Metric {
        id: MetricId::Inference as u16,
        count: 1,
        p50_us: 2,
        p90_us: 3,
        p99_us: 4,
        max_us: 5,
        ..Default::default()
    };
    let mut queue = Histogram::new();
    queue.record_ns(7_999); // whole microseconds: 7
    queue.record_ns(17_000); // 16 to 18
    queue.record_ns(u64::MAX >> 8); // years: the last bucket
    let mut bytes = Vec::new();
    s.encode_into("rten; not 三", [(MetricId::Queue, &queue)], &mut bytes);
    let sum = ((u64::MAX >> 8) + 24_999).to_le_bytes();
    let fields: [(usize, &[u8]); 44] = [
        (0, b"HJST"),
        (4, &[1]),
        (6, &[2]),
        (8, &[2]),
        (10, &[1]),
        (12, &[2]),
        (16, &[3]),
        (24, &[4]),
        (32, &[5]),
        (40, &[6]),
        (48, &[7]),
        (52, &[8]),
        (56, &[9]),
        (64, &[10]),
        (72, &[11]),
        (80, &[12]),
        (88, &[13]),
        (96, &[14]),
        (104, &[15]),
        (112, &[16]),
        (116, &[13]),
        (120, &[0, 4]),
        (124, &[1]),
        (126, &[0x10, 3]),
        (128, &[17]),
        (132, &[18]),
        (136, &[19]),
        (144, &[20]),
        (148, &[21]),
        (152, &[22]),
        (160, "三".as_bytes()),
        (312, &[6]),
        (316, &[1]),
        (320, &[2, 0, 0, 0, 3]),
        (328, &[4, 0, 0, 0, 5]),
        (576, &[23]),
        (584, &[24]),
        (592, &[25]),
        (640, "rten; not 三".as_bytes()),
        (1024, &[3]),
        (1032, &sum),
        (1040 + 4 * 7, &[1]),
        (1040 + 4 * 16, &[1]),
        (1040 + 4 * 191, &[1]),
    ];
    assert_bytes(&bytes, 1024 + 784, &fields);
}

//! Writes the seed corpus, `tests/fuzz/corpus/TARGET/`: one good example of everything that a target reads, so that the
//! fuzzer starts behind the first checks. `cargo run --example seeds` in `tests/fuzz/`; the result is in the tree.

use hanja_record::{Detection, DetectionRecord, FrameMeta, FrameRef, Histogram, MetricId, PixelFormat, StageStats};
use std::fs;
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| -> std::io::Result<()> {
        let dir: PathBuf = corpus.join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(name), bytes)
    };
    write(
        "control",
        "request",
        &message(b"HJRQ", &[(4, 1), (8, 1), (10, 2)]),
    )?;
    write(
        "control",
        "reply",
        &message(b"HJRP", &[(4, 1), (10, 2), (16, 77), (25, 0x50)]),
    )?;
    write("ring_header", "frames", &header())?;
    for target in ["ring_memory", "ring_reader"] {
        write(target, "published", &published(5))?;
        write(target, "lapped", &published(40))?;
    }
    write("records", "detections", &detections())?;
    write("records", "stats", &stats())?;
    write("records", "frames", &frames())?;
    for format in PixelFormat::all() {
        write("pictures", format.name(), &picture(*format))?;
    }
    write("config", "all", CONFIG.as_bytes())?;
    for (n, uri) in URIS.iter().enumerate() {
        write("source_uri", &n.to_string(), uri.as_bytes())?;
    }
    write("clips", "y4m", &[&[0, 9][..], &y4m()].concat())?;
    write("clips", "mjpeg", &[&[1, 9][..], &jpeg(), &jpeg()].concat())?;
    write("clips", "avi", &[&[2, 9][..], &avi()].concat())
}

/// 64 bytes with a magic and some low bytes of fields.
fn message(magic: &[u8; 4], fields: &[(usize, u8)]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..4].copy_from_slice(magic);
    fields.iter().for_each(|(at, value)| bytes[*at] = *value);
    bytes
}

/// The size of the mapping, then the header: 4 slots of 256 + 1024 bytes.
fn header() -> Vec<u8> {
    let (offset, stride, total) = (320, 1344, 12_288);
    let words: [u64; 10] = [
        u64::from_le_bytes(*b"HANJARNG"),
        1 | 4096 << 32,
        1 | 4 << 32,
        77,
        stride,
        256 | 64 << 32,
        offset,
        1024,
        total,
        1,
    ];
    let mapped = std::iter::once(total);
    mapped.chain(words).flat_map(u64::to_le_bytes).collect()
}

/// A small ring and a script of stores: what a writer does, `times` times.
fn published(times: u64) -> Vec<u8> {
    let mut bytes = vec![2, 2, 100, 0]; // 4 slots, 16 bytes of metadata, 101 of payload
    for seq in 1..=times {
        let slot = (seq % 4) as u8;
        // Mark, length, state, newest: place, slot, kind of value, slot in the value, value.
        for (place, how, value) in [(2, 2, seq), (5, 3, 64), (2, 0, seq), (0, 0, seq)] {
            bytes.extend([place, slot, how, slot]);
            bytes.extend(value.to_le_bytes());
        }
    }
    bytes
}

/// Fills a record up to the size at which the target cuts.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(2000, 0);
    bytes
}

fn detections() -> Vec<u8> {
    let mut all = Vec::new();
    let (mut record, mut bytes) = (DetectionRecord::default(), Vec::new());
    for n in 1..=3 {
        (record.header.generation, record.header.seq) = (5, n);
        (record.header.frame_generation, record.header.frame_seq) = (4, 2 * n);
        (
            record.header.inferred_total,
            record.header.skipped_busy_total,
        ) = (n, n - 1);
        record.detections.push(Detection {
            x2: 40.0,
            y2: 30.0,
            score: 0.5,
            class: 3,
            ..Detection::default()
        });
        record.encode_into(&mut bytes);
        all.extend(padded(&bytes));
    }
    all
}

fn stats() -> Vec<u8> {
    let mut stats = StageStats::new(2);
    stats.set_what("hanja-pico 三");
    (stats.metrics[0].id, stats.metrics[0].count) = (6, 30);
    let (mut inference, mut bytes) = (Histogram::new(), Vec::new());
    inference.record_ns(24_000_000);
    let all = [(MetricId::Inference, &inference)];
    stats.encode_into("rten; not tensorrt: 없음", all, &mut bytes);
    padded(&bytes)
}

fn meta(format: PixelFormat, seq: u64) -> FrameMeta {
    FrameMeta {
        generation: 4,
        seq,
        fourcc: format.fourcc(),
        width: 16,
        height: 8,
        stride: format.min_stride(16),
        ..FrameMeta::zeroed()
    }
}

fn frames() -> Vec<u8> {
    let frames = (1..=3).map(|seq| padded(meta(PixelFormat::Grey, seq).as_bytes()));
    frames.flatten().collect()
}

/// Metadata and payload.
fn picture(format: PixelFormat) -> Vec<u8> {
    let payload = if format == PixelFormat::Mjpg {
        jpeg()
    } else {
        vec![100; format.frame_bytes(format.min_stride(16), 16, 8) as usize]
    };
    [meta(format, 1).as_bytes(), &payload].concat()
}

fn jpeg() -> Vec<u8> {
    let bytes: Vec<u8> = (0..128).collect();
    let frame = FrameRef {
        format: PixelFormat::Grey,
        width: 16,
        height: 8,
        stride: 16,
        bytes: &bytes,
    };
    hanja_render::picture::to_jpeg(&frame, 50).expect("a small picture")
}

fn y4m() -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W4 H2 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for _ in 0..2 {
        bytes.extend(b"FRAME\n");
        bytes.extend([128; 12]);
    }
    bytes
}

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn avi() -> Vec<u8> {
    let mut stream = [0; 56];
    stream[..8].copy_from_slice(b"vidsMJPG");
    (stream[20], stream[24]) = (1, 30); // scale, rate
    let mut format = [0; 40];
    (format[0], format[4], format[8], format[14]) = (40, 16, 8, 24);
    format[16..20].copy_from_slice(b"MJPG");
    let list = [
        &b"strl"[..],
        &chunk(b"strh", &stream),
        &chunk(b"strf", &format),
    ]
    .concat();
    let headers = [
        &b"hdrl"[..],
        &chunk(b"avih", &[0; 56]),
        &chunk(b"LIST", &list),
    ]
    .concat();
    let movie = [
        &b"movi"[..],
        &chunk(b"00dc", &jpeg()),
        &chunk(b"00dc", &jpeg()),
    ]
    .concat();
    let body = [
        &b"AVI "[..],
        &chunk(b"LIST", &headers),
        &chunk(b"LIST", &movie),
    ]
    .concat();
    chunk(b"RIFF", &body)
}

const CONFIG: &str = r#"[capture]
source = "v4l2:/dev/video0?size=1280x720&fps=30"
[infer]
model = "best.onnx"
backend = "rten"
conf = 0.4
iou = 0.45
size = 416
threads = 2
[render]
http = "127.0.0.1:8080"
token = "secret"
"#;

const URIS: [&str; 8] = [
    "auto",
    "/dev/video0",
    "v4l2:/dev/video0?size=640x480&fps=30&format=MJPG",
    "dir:pictures?fps=5&loop=0",
    "file:clip.avi?fps=29.97",
    "y4m:-",
    "synth:?size=640x480&fps=30&seed=1&glyphs=3&truth=1",
    "synth:?fsp=3",
];

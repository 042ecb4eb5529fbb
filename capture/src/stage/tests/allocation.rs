//! The frame loop allocates nothing: counted over hundreds of frames, including the statistics once a second.
//! Not counted: a numeral that `synth:` draws anew, a clip that starts again and is parsed again, pictures of `dir:` that
//! its cache cannot hold, and the log's writer, which has no subscriber here.

use super::super::*;
use hanja_record::StageName;
use std::io::Write as _;

/// Frames after which the read-ahead buffer of a clip has its final size.
const WARM: u64 = 60;

/// Allocations of `frames` frames after the first [`WARM`].
fn allocations(source: Box<dyn Source>, truth: bool, frames: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let mut named = NamedSource {
        source,
        uri: "a source".into(),
        truth,
        patience: Patience::Fail,
    };
    let mut sink = FrameSink::new(&stage, &named).unwrap();
    let until = |sink: &mut FrameSink<'_>, source: &mut dyn Source, frames| {
        while sink.reporter.stats_mut().frames_total < frames {
            assert!(sink.step(source).unwrap(), "the source has ended");
        }
    };
    until(&mut sink, &mut *named.source, WARM);
    sink.reporter.finish(); // the first statistics: whatever is allocated once is allocated now
    let first = sink.reporter.stats_mut().t_ns;
    // A leasing reader, so that the writer has hazard cells to scan.
    let mut reader = Topic::Frames.lease(dir.path(), StageName::Capture, 2);
    let lease = reader.newest(Duration::from_secs(5)).expect("a frame");
    let counted =
        allocation_counter::measure(|| until(&mut sink, &mut *named.source, WARM + frames));
    assert!(
        sink.reporter.stats_mut().t_ns > first,
        "statistics were published meanwhile"
    );
    assert_eq!(sink.reporter.stats_mut().unbalanced_total, 0);
    drop(lease);
    counted.count_total
}

/// Handwriting whose own allocations are not counted.
struct Uncounted(Synth);

impl Source for Uncounted {
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        let mut event = None;
        allocation_counter::opt_out(|| event = Some(self.0.next(wait)));
        event.expect("`next` was called")
    }
}

#[test]
fn a_live_frame_allocates_nothing() {
    for (format, truth) in [(PixelFormat::Yuyv, false), (PixelFormat::Grey, true)] {
        let synth = Uncounted(Synth::new((160, 120), 300.0, 1, 3, format));
        assert_eq!(allocations(Box::new(synth), truth, 400), 0, "{format}");
    }
}

#[test]
fn a_clip_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.y4m");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(b"YUV4MPEG2 W64 H48 F300:1\n").unwrap();
    for level in 0..500 {
        file.write_all(b"FRAME\n").unwrap();
        file.write_all(&[level as u8; 64 * 48 * 3 / 2]).unwrap();
    }
    let clip = Clip::open(&path, Some(300.0), false).unwrap();
    assert_eq!(allocations(Box::new(clip), false, 400), 0);
}

/// A camera's JPEGs, passed through as they came.
#[test]
fn a_jpeg_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mjpeg");
    let mut file = std::fs::File::create(&path).unwrap();
    for level in 0..500 {
        let jpeg = crate::files::sample_jpeg(64, 48, level as u8);
        file.write_all(&jpeg).unwrap();
    }
    let clip = Clip::open(&path, Some(300.0), false).unwrap();
    assert_eq!(allocations(Box::new(clip), false, 400), 0);
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1, 2])));
    assert_eq!(counted.count_total, 1);
}

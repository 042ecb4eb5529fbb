//! The frame loop allocates nothing: counted over hundreds of frames, the once-a-second statistics among them.
//! What is not in it: a numeral that `synth:` writes anew, a clip that is played again and taken apart anew, and what the
//! cache of `dir:` cannot hold.
//! What the log's writer allocates is not in it: nobody listens here.

use super::*;
use hanja_record::StageName;
use std::io::Write as _;

/// Until the read-ahead of a clip has its size.
const WARM: u64 = 60;

/// Allocations of `frames` frames after the first [`WARM`].
fn allocations(source: Box<dyn Source>, truth: bool, frames: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
    let mut inlet = Inlet {
        source,
        text: "a source".into(),
        truth,
        patience: Patience::Fail,
    };
    let mut desk = Desk::new(&stage, &inlet).unwrap();
    let until = |desk: &mut Desk<'_>, source: &mut dyn Source, frames| {
        while desk.reporter.stats_mut().frames_total < frames {
            assert!(desk.turn(source).unwrap(), "the source has ended");
        }
    };
    until(&mut desk, &mut *inlet.source, WARM);
    desk.reporter.finish(); // the first of its kind: whatever is set up once has been
    let first = desk.reporter.stats_mut().t_ns;
    // Somebody who leases, so that the writer has cells to look at.
    let mut reader = Topic::Frames.lease(dir.path(), StageName::Capture, 2);
    let lease = reader.newest(Duration::from_secs(5)).expect("a frame");
    let counted =
        allocation_counter::measure(|| until(&mut desk, &mut *inlet.source, WARM + frames));
    assert!(
        desk.reporter.stats_mut().t_ns > first,
        "statistics were published meanwhile"
    );
    assert_eq!(desk.reporter.stats_mut().unbalanced_total, 0);
    drop(lease);
    counted.count_total
}

/// Handwriting whose writer is not counted.
struct Uncounted(Synth);

impl Source for Uncounted {
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        let mut event = None;
        allocation_counter::opt_out(|| event = Some(self.0.next(wait)));
        event.expect("it was asked")
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

//! (D12) The frame loop allocates nothing of ours: counted over hundreds of frames, the once-a-second statistics among them.
//! So are frames that are passed over for a newer one. What is not ours is told apart: the backend's run of the model
//! (rten makes its tensors anew each time), and the JPEG decoder. What the log's writer allocates is not in it: nobody listens here.

use super::tests::Camera;
use super::*;
use crate::backend::{CpuBackend, Input, Predictions};
use crate::model::{Facts, ModelFile};
use crate::runner::CpuRunner;
use hanja_record::PixelFormat;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A backend whose own allocations are left out, and ours on its threads are not.
#[derive(Debug)]
struct Counted {
    inner: Box<dyn CpuBackend>,
    on_its_threads: Arc<AtomicU64>,
}

impl CpuBackend for Counted {
    fn kind(&self) -> Backend {
        self.inner.kind()
    }

    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn install(&self, work: &mut (dyn FnMut() + Send)) {
        let mut n = 0;
        allocation_counter::opt_out(|| {
            self.inner.install(&mut || {
                n = allocation_counter::measure(&mut *work).count_total;
            });
        });
        self.on_its_threads.fetch_add(n, Ordering::Relaxed);
    }

    fn infer_beside(
        &mut self,
        input: Input<'_>,
        other: &mut (dyn FnMut() + Send),
    ) -> Result<Predictions<'_>, InferError> {
        let (mut result, mut n) = (None, 0);
        allocation_counter::opt_out(|| {
            let mut counted = || n = allocation_counter::measure(&mut *other).count_total;
            result = Some(self.inner.infer_beside(input, &mut counted));
        });
        self.on_its_threads.fetch_add(n, Ordering::Relaxed);
        result.expect("it ran")
    }

    fn infer(&mut self, input: Input<'_>) -> Result<Predictions<'_>, InferError> {
        let mut result = None;
        allocation_counter::opt_out(|| result = Some(self.inner.infer(input)));
        result.expect("it ran")
    }
}

fn detector(config: &InferConfig, on_its_threads: &Arc<AtomicU64>) -> Detector {
    let file = ModelFile::open(None).unwrap();
    let counted = |_| {
        let inner = crate::backend::rten_for_tests(&file, config);
        let on_its_threads = Arc::clone(on_its_threads);
        Ok::<Box<dyn CpuBackend>, _>(Box::new(Counted {
            inner,
            on_its_threads,
        }))
    };
    let runner = CpuRunner::load(config, counted).unwrap();
    Detector::with_runner(Box::new(runner), config, &file).unwrap()
}

/// Allocations of `frames` frames of a format after the first 20, each of them with `busy` others that are passed over
/// for it; by this thread and by ours on the backend's.
fn allocations(format: PixelFormat, frames: u64, busy: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::start(StageName::Infer, dir.path()).unwrap();
    let config = InferConfig {
        size: 96,
        // The second size and the second look are on the way, as they are at the default size.
        coarse_size: Some(32),
        threads: Some(1),
        ..InferConfig::default()
    };
    let on_its_threads = Arc::new(AtomicU64::new(0));
    let detector = detector(&config, &on_its_threads);
    let mut worker = Worker::new(&stage, &config, detector, None).unwrap();
    worker.announce_backend();
    let mut camera = Camera::new(dir.path());
    let mut frames_in = Topic::Frames.lease(dir.path(), StageName::Capture, QUOTA);
    let mut ours = 0;
    for n in 0..20 + frames {
        if n == 20 {
            worker.reporter.finish(); // whatever is set up once has been
            assert!(
                ours > 0,
                "attaching and the first picture do, so the counter counts"
            );
            (ours, _) = (0, on_its_threads.swap(0, Ordering::Relaxed));
        }
        (0..=busy).for_each(|_| camera.publish_as(format));
        let counted = allocation_counter::measure(|| {
            worker.step(&mut frames_in).unwrap();
            if n % 100 == 50 {
                worker.reporter.finish(); // as if a second had passed
            }
        });
        ours += counted.count_total;
    }
    let stats = worker.reporter.stats_mut();
    assert_eq!(
        (stats.frames_total, stats.unbalanced_total),
        (20 + frames, 0)
    );
    // Of those before the first one nobody knows.
    assert_eq!(stats.skipped_busy_total, busy * (19 + frames));
    (ours, on_its_threads.load(Ordering::Relaxed))
}

#[test]
fn a_frame_allocates_nothing_of_ours() {
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Grey] {
        assert_eq!(allocations(format, 300, 0), (0, 0), "{format}");
    }
}

#[test]
fn a_frame_passed_over_allocates_nothing() {
    assert_eq!(allocations(PixelFormat::Yuyv, 300, 2), (0, 0));
}

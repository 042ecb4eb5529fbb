//! Handwriting drawn live: numerals drift over paper, rotate a little, and are exchanged for others. The same seed draws
//! the same frames, whatever the machine's speed; the ground truth is known to the pixel. It can simulate faults.

mod fault;
mod scene;

use crate::pace::Pace;
use crate::source::{Event, Frame, Source, SourceError};
pub(crate) use fault::EXPECTED as FAULTS;
pub use fault::Fault;
use fault::Kind;
use hanja_record::{Detection, FrameFlags, PixelFormat};
use hanja_ring::now_ns;
use scene::Scene;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Synth {
    scene: Scene,
    pace: Pace,
    format: PixelFormat,
    grey: Vec<u8>,
    bytes: Vec<u8>,
    truth: Vec<Detection>,
    seq: u64,
    fault: Option<Fault>,
    first_due: Option<u64>,
    /// Number and time of the frame before.
    last: (u64, u64),
}

impl Synth {
    pub(crate) fn new(
        size: (u32, u32),
        fps: f64,
        seed: u64,
        glyphs: u32,
        format: PixelFormat,
    ) -> Self {
        let scene = Scene::new(size.0 as usize, size.1 as usize, seed, glyphs as usize);
        Self {
            scene,
            pace: Pace::new(fps),
            format,
            grey: Vec::new(),
            bytes: Vec::new(),
            truth: Vec::new(),
            seq: 0,
            fault: None,
            first_due: None,
            last: (0, 0),
        }
    }

    /// The same with a fault.
    pub(crate) fn with_fault(self, fault: Option<Fault>) -> Self {
        Self { fault, ..self }
    }

    /// The fault of a frame that is due at `due`.
    fn fault(&mut self, due: u64) -> Option<Kind> {
        let first = *self.first_due.get_or_insert(due);
        self.fault?.now((due - first) as f64 / 1e9)
    }

    fn pack(&mut self) {
        let (width, grey) = (self.scene.width(), &self.grey);
        match self.format {
            PixelFormat::Rgb3 => {
                self.bytes.resize(3 * grey.len(), 0);
                for (out, y) in self.bytes.chunks_exact_mut(3).zip(grey) {
                    out.copy_from_slice(&[*y, *y, y.saturating_sub(y / 24)]);
                }
            }
            PixelFormat::Yuyv => {
                // Limited range, as cameras send it; the paper is a little warm.
                let limited = |y: u8| (16 + (u16::from(y) * 219 + 128) / 256) as u8;
                let stride = 4 * width.div_ceil(2);
                self.bytes.resize(stride * self.scene.height(), 0);
                for (out, line) in self.bytes.chunks_exact_mut(stride).zip(grey.chunks(width)) {
                    for (out, pair) in out.chunks_exact_mut(4).zip(line.chunks(2)) {
                        let (first, last) = (pair[0], pair[pair.len() - 1]);
                        out.copy_from_slice(&[limited(first), 126, limited(last), 129]);
                    }
                }
            }
            _ => self.bytes.clone_from(grey),
        }
    }
}

impl Source for Synth {
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        let Some(due) = self.pace.next_due(wait) else {
            return Ok(Event::Idle);
        };
        let fault = self.fault(due);
        if fault == Some(Kind::Silence) {
            return Ok(Event::Idle);
        }
        let begun = self.seq > 0;
        let frozen = |what| begun && [Some(what), Some(Kind::Repeat)].contains(&fault);
        if !frozen(Kind::Picture) {
            self.scene.draw(self.seq, &mut self.grey, &mut self.truth);
            self.pack();
        }
        if !frozen(Kind::Number) {
            self.last.0 += 1;
        }
        if !frozen(Kind::Clock) {
            self.last.1 = due;
        }
        self.seq += 1;
        let signal = if fault == Some(Kind::Signal) {
            FrameFlags::NO_SIGNAL
        } else {
            0
        };
        let (width, height) = (self.scene.width() as u32, self.scene.height() as u32);
        Ok(Event::Frame(Frame {
            format: self.format,
            width,
            height,
            stride: self.format.min_stride(width),
            bytes: &self.bytes,
            driver_seq: self.last.0 - 1,
            t_sensor: self.last.1,
            t_dequeued: now_ns(),
            flags: FrameFlags::SYNTHETIC | signal,
            truth: &self.truth,
        }))
    }

    /// With a fault it simulates a camera, and a camera that delivers nothing hangs.
    fn may_pause(&self) -> bool {
        self.fault.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_complete() {
        for format in [PixelFormat::Yuyv, PixelFormat::Rgb3, PixelFormat::Grey] {
            let mut synth = Synth::new((161, 99), 1000.0, 1, 2, format);
            let Ok(Event::Frame(f)) = synth.next(Duration::from_secs(1)) else {
                panic!("no frame")
            };
            assert_eq!(
                f.bytes.len() as u64,
                format.frame_bytes(f.stride, f.width, f.height),
                "{format}"
            );
        }
    }

    #[test]
    fn faults_are_what_they_are_called() {
        let frames = |fault: &str| {
            let fault = Some(fault.parse().unwrap());
            let mut synth = Synth::new((64, 64), 1000.0, 1, 1, PixelFormat::Grey).with_fault(fault);
            let mut seen = Vec::new();
            while seen.len() < 2 {
                if let Event::Frame(f) = synth.next(Duration::from_secs(1)).unwrap() {
                    seen.push((f.driver_seq, f.t_sensor, f.bytes.to_vec(), f.flags));
                }
            }
            let changed = [
                seen[0].0 != seen[1].0,
                seen[0].1 != seen[1].1,
                seen[0].2 != seen[1].2,
            ];
            (changed, seen[1].3 & FrameFlags::NO_SIGNAL != 0)
        };
        assert_eq!(frames("repeat"), ([false, false, false], false));
        assert_eq!(frames("clock"), ([true, false, true], false));
        assert_eq!(frames("number"), ([false, true, true], false));
        assert_eq!(frames("picture"), ([true, true, false], false));
        assert_eq!(frames("signal"), ([true, true, true], true));
        assert_eq!(frames("repeat@100"), ([true, true, true], false));
        let silence = Some("silence".parse().unwrap());
        let mut synth = Synth::new((64, 64), 1000.0, 1, 1, PixelFormat::Grey).with_fault(silence);
        let event = synth.next(Duration::from_secs(1));
        assert!(matches!(event, Ok(Event::Idle)), "{event:?}");
    }
}

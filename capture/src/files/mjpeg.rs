//! MJPEG as cameras and ffmpeg write it: JPEG pictures one after the other.

use super::{Demux, MAX_FRAME, Shape, Step};
use hanja_picture::jpeg;

#[derive(Debug, Default)]
pub(super) struct Mjpeg {
    scan: jpeg::EndScan,
    /// The last picture ended where the next one begins.
    without_end: bool,
}

/// The picture that is the first `len` bytes.
fn frame(bytes: &[u8], len: usize) -> Step {
    let Some(picture) = Shape::of_jpeg(&bytes[..len]) else {
        return Step::Lost(len as u64);
    };
    Step::Frame {
        bytes: 0..len,
        consume: len,
        picture,
    }
}

impl Demux for Mjpeg {
    fn step(&mut self, bytes: &[u8], eof: bool) -> Result<Step, String> {
        match self.scan.find(bytes) {
            Ok(Some(len)) => {
                self.scan = jpeg::EndScan::default();
                self.without_end = !jpeg::has_end(&bytes[..len]);
                Ok(frame(bytes, len))
            }
            Ok(None) if bytes.len() > MAX_FRAME => {
                Err("a picture has no end; is this MJPEG?".into())
            }
            // Where no picture has an end marker, neither has the last.
            Ok(None) if eof && self.without_end && self.scan.scanned() => {
                self.scan = jpeg::EndScan::default();
                Ok(frame(bytes, bytes.len()))
            }
            Ok(None) if eof => {
                if bytes.len() > 2 {
                    tracing::warn!("the last picture of the clip is cut short: left out");
                }
                Ok(Step::End)
            }
            Ok(None) => Ok(Step::Need(bytes.len() + 1)),
            Err(jpeg::NotJpeg) => {
                // Padding or damage between pictures: on to the next start.
                self.scan = jpeg::EndScan::default();
                let next = bytes
                    .windows(3)
                    .skip(1)
                    .position(|w| w == b"\xff\xd8\xff")
                    .map(|at| at + 1);
                match next {
                    Some(at) => Ok(Step::Lost(at as u64)),
                    None if eof && bytes.is_empty() => Ok(Step::End),
                    None if eof => Ok(Step::Lost(bytes.len() as u64)),
                    None => Ok(Step::Lost(bytes.len().saturating_sub(2).max(1) as u64)),
                }
            }
        }
    }

    fn fps(&self) -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{demux, sample_jpeg};
    use super::*;

    #[test]
    fn a_cut_picture_does_not_swallow_the_next() {
        let (a, b) = (sample_jpeg(64, 64, 9), sample_jpeg(16, 16, 200));
        let clip = [&a[..a.len() - 20], &b].concat();
        let frames = demux(Mjpeg::default(), &clip, 1000).unwrap();
        assert_eq!(frames.last().map(|f| &f.1), Some(&b));
    }

    #[test]
    fn pictures_with_rubbish_between_and_a_cut_end() {
        let (a, b) = (sample_jpeg(32, 16, 9), sample_jpeg(16, 16, 200));
        let mut clip = a.clone();
        clip.extend([0; 7]);
        clip.extend(&b);
        clip.extend(&a[..a.len() / 2]);
        for portion in [1, 50, 100_000] {
            let frames = demux(Mjpeg::default(), &clip, portion).unwrap();
            assert_eq!(frames.len(), 2, "portion {portion}");
            assert_eq!((&frames[0].1, &frames[1].1), (&a, &b));
            assert_eq!(frames[1].0.width, 16);
        }
    }
}

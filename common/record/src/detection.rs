//! The detection record: everything said about one frame, with all of its times.

use crate::RecordError;
use crate::{ABI_MAJOR, ABI_MINOR, Times};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most detections one record holds; more are counted in [`DetectionHeader::capped`].
pub const MAX_DETECTIONS: usize = 300;

const MAGIC: u32 = u32::from_le_bytes(*b"HJDT");

/// Names of the shipped model's classes, 0 to 9.
pub const NUMERALS: [&str; 10] = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十"];

/// The numeral of a class, or `class N` for one that the shipped model does not have.
#[must_use]
pub fn numeral(class: u16) -> std::borrow::Cow<'static, str> {
    match NUMERALS.get(usize::from(class)) {
        Some(name) => (*name).into(),
        None => format!("class {class}").into(),
    }
}

/// One found object, 32 bytes. The box is in pixels of the source frame, `x1 < x2`, `y1 < y2`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Detection {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Class number; for the shipped model 0 is 一 and 9 is 十.
    pub class: u16,
    /// Zero.
    pub flags: u16,
    /// Track number, 0: not tracked.
    pub track: u32,
    /// Zero.
    pub reserved: u32,
}

/// How infer fared with the frame ([`DetectionHeader::status`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The model ran.
    Ok = 0,
    /// The frame could not be decoded (truncated JPEG, wrong size); no detections.
    Undecodable = 1,
    /// The source has no signal; the model did not run.
    NoSignal = 2,
}

impl Status {
    /// The name in JSON of a number in a record.
    #[must_use]
    pub fn name_of(status: u16) -> &'static str {
        match status {
            0 => "ok",
            1 => "undecodable",
            2 => "no_signal",
            _ => "unknown",
        }
    }
}

/// Who computed the record ([`DetectionHeader::backend`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Backend {
    /// Nothing ran.
    None = 0,
    /// rten on the CPU.
    Rten = 1,
    /// ONNX Runtime.
    OnnxRuntime = 2,
    /// TensorRT.
    TensorRt = 3,
    /// Ground truth of `synth:`.
    Truth = 100,
}

impl Backend {
    /// The name used on the command line and in summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rten => "rten",
            Self::OnnxRuntime => "onnxruntime",
            Self::TensorRt => "tensorrt",
            Self::Truth => "truth",
        }
    }

    /// From the number in a record.
    #[must_use]
    pub fn from_u16(n: u16) -> Self {
        [Self::Rten, Self::OnnxRuntime, Self::TensorRt, Self::Truth]
            .into_iter()
            .find(|b| *b as u16 == n)
            .unwrap_or(Self::None)
    }
}

/// Fixed head of a detection record, 256 bytes; `count` detections of 32 bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DetectionHeader {
    /// `HJDT`.
    pub magic: u32,
    /// See [`ABI_MAJOR`].
    pub abi_major: u16,
    /// See [`ABI_MINOR`].
    pub abi_minor: u16,
    /// Bytes before the first detection: 256.
    pub header_len: u16,
    /// Bytes per detection: 32.
    pub detection_len: u16,
    /// Detections kept, 0 to 300.
    pub count: u32,
    /// Generation of the detections ring.
    pub generation: u64,
    /// Number of this record in that generation, from 1.
    pub seq: u64,
    /// Generation of the frame.
    pub frame_generation: u64,
    /// Number of the frame in its generation.
    pub frame_seq: u64,
    /// The source's number of the frame.
    pub driver_seq: u64,
    /// First eight bytes of the model file's hash; 0: no model.
    pub model_id: u64,
    /// See [`Backend`].
    pub backend: u16,
    /// See [`Status`].
    pub status: u16,
    /// Width of the source frame in pixels.
    pub frame_width: u32,
    /// Height of the source frame in pixels.
    pub frame_height: u32,
    /// Boxes above the threshold before suppression.
    pub candidates: u32,
    /// Boxes removed by non-maximum suppression.
    pub suppressed: u32,
    /// Boxes left out because a bound was reached.
    pub capped: u32,
    /// Zero.
    pub reserved0: u64,
    /// Times of the frame.
    pub times: Times,
    /// Frames inferred by this infer process since it started, this one included.
    pub inferred_total: u64,
    /// Frames it passed over because a newer one was there when it looked.
    pub skipped_busy_total: u64,
    /// Frames it could not decode.
    pub skipped_undecodable_total: u64,
    /// Frames without signal.
    pub skipped_no_signal_total: u64,
    /// Zero.
    pub reserved: [u64; 4],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Detection>() == 32);
    assert!(size_of::<DetectionHeader>() == 256);
    assert!(offset_of!(DetectionHeader, count) == 12);
    assert!(offset_of!(DetectionHeader, frame_generation) == 32);
    assert!(offset_of!(DetectionHeader, backend) == 64);
    assert!(offset_of!(DetectionHeader, frame_width) == 68);
    assert!(offset_of!(DetectionHeader, times) == 96);
    assert!(offset_of!(DetectionHeader, inferred_total) == 192);
};

/// A whole record: head and detections.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionRecord {
    /// The head; `count` is kept equal to `detections.len()` by [`encode_into`](Self::encode_into).
    pub header: DetectionHeader,
    /// At most [`MAX_DETECTIONS`].
    pub detections: Vec<Detection>,
}

impl Default for DetectionRecord {
    fn default() -> Self {
        let mut header: DetectionHeader =
            FromBytes::read_from_bytes(&[0; 256]).expect("256 zero bytes are a header");
        header.magic = MAGIC;
        header.abi_major = ABI_MAJOR;
        header.abi_minor = ABI_MINOR;
        header.header_len = 256;
        header.detection_len = 32;
        Self {
            header,
            detections: Vec::new(),
        }
    }
}

impl DetectionRecord {
    /// Largest record in bytes.
    pub const MAX_BYTES: usize = 256 + MAX_DETECTIONS * 32;

    /// Bytes that [`encode_into`](Self::encode_into) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        256 + 32 * self.detections.len().min(MAX_DETECTIONS)
    }

    /// Appends the record's bytes to `out` after clearing it; never allocates once `out` has [`Self::MAX_BYTES`].
    pub fn encode_into(&mut self, out: &mut Vec<u8>) {
        self.detections.truncate(MAX_DETECTIONS);
        self.header.count = self.detections.len() as u32;
        out.clear();
        out.extend_from_slice(self.header.as_bytes());
        out.extend_from_slice(self.detections.as_bytes());
    }

    /// Reads a record as it stands in the ring.
    ///
    /// # Errors
    /// Every way in which bytes from another process can be wrong, see [`RecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let short = |needed| RecordError::Short {
            got: bytes.len(),
            needed,
        };
        let (header, _) = DetectionHeader::read_from_prefix(bytes).map_err(|_| short(256))?;
        if header.magic != MAGIC {
            return Err(RecordError::Magic {
                what: "detection",
                magic: header.magic,
            });
        }
        if header.abi_major != ABI_MAJOR {
            return Err(RecordError::Version(header.abi_major));
        }
        let (head, item) = (
            usize::from(header.header_len),
            usize::from(header.detection_len),
        );
        if head < 256 || item < 32 || header.count as usize > MAX_DETECTIONS {
            return Err(RecordError::Lengths {
                header: header.header_len,
                item: header.detection_len,
                count: header.count,
            });
        }
        let needed = head + item * header.count as usize;
        let body = bytes.get(head..needed).ok_or_else(|| short(needed))?;
        let detections = body
            .chunks_exact(item)
            .filter_map(|chunk| Detection::read_from_prefix(chunk).ok().map(|(d, _)| d))
            .collect();
        Ok(Self { header, detections })
    }

    /// The backend that made it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        Backend::from_u16(self.header.backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: usize) -> DetectionRecord {
        let mut r = DetectionRecord::default();
        r.header.frame_seq = 7;
        r.detections = vec![
            Detection {
                x2: 5.0,
                y2: 6.0,
                score: 0.5,
                class: 3,
                ..Default::default()
            };
            n
        ];
        r
    }

    #[test]
    fn round_trip_and_cap() {
        let mut bytes = Vec::new();
        for n in [0, 1, 300, 301] {
            sample(n).encode_into(&mut bytes);
            assert_eq!(bytes.len(), sample(n).encoded_len());
            let back = DetectionRecord::from_bytes(&bytes).unwrap();
            assert_eq!(back.detections.len(), n.min(MAX_DETECTIONS));
            assert_eq!(back.header.frame_seq, 7);
        }
    }

    #[test]
    fn hostile_bytes_are_named() {
        let mut bytes = Vec::new();
        sample(2).encode_into(&mut bytes);
        assert!(matches!(
            DetectionRecord::from_bytes(&bytes[..100]),
            Err(RecordError::Short { .. })
        ));
        assert!(matches!(
            DetectionRecord::from_bytes(&bytes[..300]),
            Err(RecordError::Short { .. })
        ));
        let mut b = bytes.clone();
        b[0] = 0;
        assert!(matches!(
            DetectionRecord::from_bytes(&b),
            Err(RecordError::Magic { .. })
        ));
        let mut b = bytes.clone();
        b[4] = 9;
        assert_eq!(
            DetectionRecord::from_bytes(&b),
            Err(RecordError::Version(9))
        );
        let mut b = bytes;
        b[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            DetectionRecord::from_bytes(&b),
            Err(RecordError::Lengths { .. })
        ));
    }
}

//! Frame metadata: what a slot of the `frames` topic carries beside the camera's own bytes.

use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Metadata of one frame, 256 bytes.
///
/// All times are CLOCK_MONOTONIC nanoseconds. Counters are totals since this generation of the ring began, so a
/// reader that saw any one frame knows what happened to all frames before it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FrameMeta {
    /// Generation of the ring: one writer life with one geometry.
    pub generation: u64,
    /// Number of this frame within the generation, from 1, without gaps.
    pub seq: u64,
    /// The source's own number of this frame (V4L2 `sequence`), gaps are frames the driver lost.
    pub driver_seq: u64,
    /// Pixel format, see [`PixelFormat`].
    pub fourcc: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes per line of the first plane; 0 for compressed formats.
    pub stride: u32,
    /// Bytes of the payload in use.
    pub bytes_used: u64,
    /// See [`FrameFlags`].
    pub flags: u32,
    /// Zero.
    pub reserved0: u32,
    /// When the sensor (or driver) finished the frame, see also [`FrameFlags::HOST_TIME`] and
    /// [`FrameFlags::EXPOSURE_TIME`]; for file sources when the frame was due.
    pub t_sensor: u64,
    /// When capture had the frame in its hands.
    pub t_dequeued: u64,
    /// When the frame was visible to readers.
    pub t_published: u64,
    /// Frames the driver lost in this generation (gaps in `driver_seq`).
    pub lost_total: u64,
    /// Frames capture could not publish in this generation because readers held every slot.
    pub dropped_total: u64,
    /// When capture had the first frame of the row of frames that carry this same `driver_seq`: `t_dequeued` if the
    /// number is new, as it should be. Since version 1.2; 0 from an older writer. The same holds for the next two.
    pub t_new_number: u64,
    /// The same for `t_sensor`: the source's clock has stood still since.
    pub t_new_time: u64,
    /// The same for the bytes of the picture, as far as samples can tell: the picture has stood still since.
    pub t_new_picture: u64,
    /// Zero.
    pub reserved: [u64; 17],
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<FrameMeta>() == 256);
    assert!(offset_of!(FrameMeta, seq) == 8);
    assert!(offset_of!(FrameMeta, fourcc) == 24);
    assert!(offset_of!(FrameMeta, stride) == 36);
    assert!(offset_of!(FrameMeta, bytes_used) == 40);
    assert!(offset_of!(FrameMeta, flags) == 48);
    assert!(offset_of!(FrameMeta, t_sensor) == 56);
    assert!(offset_of!(FrameMeta, t_published) == 72);
    assert!(offset_of!(FrameMeta, lost_total) == 80);
    assert!(offset_of!(FrameMeta, dropped_total) == 88);
    assert!(offset_of!(FrameMeta, t_new_number) == 96);
    assert!(offset_of!(FrameMeta, t_new_picture) == 112);
};

impl FrameMeta {
    /// All zero: the start for a writer.
    #[must_use]
    pub fn zeroed() -> Self {
        FromBytes::read_from_bytes(&[0; 256]).expect("256 zero bytes are a FrameMeta")
    }

    /// From a slot's metadata; zeroed where they are too few to be a frame's.
    #[must_use]
    pub fn read(meta: &[u8]) -> Self {
        Self::read_from_prefix(meta).map_or_else(|_| Self::zeroed(), |(m, _)| m)
    }

    /// The pixel format, or `None` for a fourcc this version does not know.
    #[must_use]
    pub fn format(&self) -> Option<PixelFormat> {
        PixelFormat::from_fourcc(self.fourcc)
    }

    /// The picture that these numbers say `bytes` are; `None` for a fourcc this version does not know.
    #[must_use]
    pub fn frame<'a>(&self, bytes: &'a [u8]) -> Option<FrameRef<'a>> {
        Some(FrameRef {
            format: self.format()?,
            width: self.width,
            height: self.height,
            stride: self.stride,
            bytes,
        })
    }

    /// Whether `flag` (one of [`FrameFlags`]) is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A picture in memory, in one of the ring's formats: a leased slot, or a decoded file. Nothing about it is trusted:
/// whoever reads it checks the numbers against the bytes first.
#[derive(Clone, Copy, Debug)]
pub struct FrameRef<'a> {
    /// How the bytes are to be read.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes per line of the first plane; 0 for MJPG.
    pub stride: u32,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Bits of [`FrameMeta::flags`].
#[derive(Debug)]
pub struct FrameFlags;

impl FrameFlags {
    /// The source has no picture; the payload is a grey frame and must not be taken for the scene.
    pub const NO_SIGNAL: u32 = 1;
    /// The driver marked the frame as damaged.
    pub const DRIVER_ERROR: u32 = 2;
    /// Drawn by `synth:`, not seen by a camera.
    pub const SYNTHETIC: u32 = 4;
    /// The camera's driver gave no usable time (none, of another clock, from the future): the sensor time is when
    /// capture had the frame. Since 1.2.
    pub const HOST_TIME: u32 = 8;
    /// The driver's time is that of the beginning of the exposure, not of the end of the frame. Since 1.2.
    pub const EXPOSURE_TIME: u32 = 16;
}

/// The formats that travel in the ring: the camera's own bytes, unconverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// Y plane, then interleaved UV at half resolution both ways.
    Nv12,
    /// Planar 4:2:0: Y, U, V (V4L2 `YU12`); what Y4M files hold.
    I420,
    /// One JPEG picture.
    Mjpg,
    /// 8-bit luma.
    Grey,
    /// Packed R G B, 8 bits each (V4L2 `RGB3`).
    Rgb3,
}

/// All formats, in the order of preference when a camera offers several uncompressed ones.
const FORMATS: [PixelFormat; 6] = [
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Mjpg,
    PixelFormat::Grey,
    PixelFormat::Rgb3,
];

impl PixelFormat {
    /// Every format this version knows.
    #[must_use]
    pub fn all() -> &'static [PixelFormat] {
        &FORMATS
    }

    /// The V4L2 name, four letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yuyv => "YUYV",
            Self::Nv12 => "NV12",
            Self::I420 => "YU12",
            Self::Mjpg => "MJPG",
            Self::Grey => "GREY",
            Self::Rgb3 => "RGB3",
        }
    }

    /// The four letters as V4L2 packs them: first letter in the lowest byte.
    #[must_use]
    pub fn fourcc(self) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.name().as_bytes());
        u32::from_le_bytes(bytes)
    }

    /// Reverse of [`fourcc`](Self::fourcc).
    #[must_use]
    pub fn from_fourcc(fourcc: u32) -> Option<Self> {
        FORMATS.into_iter().find(|f| f.fourcc() == fourcc)
    }

    /// Reverse of [`name`](Self::name), ignoring case; `MJPEG`, `GRAY`, `I420` and `RGB` are understood as well.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        match name.as_str() {
            "MJPEG" | "JPEG" => Some(Self::Mjpg),
            "GRAY" | "Y800" => Some(Self::Grey),
            "I420" => Some(Self::I420),
            "RGB" | "RGB24" => Some(Self::Rgb3),
            "YUY2" => Some(Self::Yuyv),
            _ => FORMATS.into_iter().find(|f| f.name() == name),
        }
    }

    /// Bytes per line of the first plane without padding; 0 for compressed formats.
    #[must_use]
    pub fn min_stride(self, width: u32) -> u32 {
        match self {
            Self::Yuyv => width.next_multiple_of(2) * 2,
            Self::Nv12 | Self::I420 | Self::Grey => width,
            Self::Rgb3 => width * 3,
            Self::Mjpg => 0,
        }
    }

    /// Bytes of one frame with `stride` bytes per line (chroma planes use the stride V4L2 derives from it); for
    /// [`Mjpg`](Self::Mjpg) a bound that real cameras keep: 2 bytes a pixel, at least 64 KiB.
    #[must_use]
    pub fn frame_bytes(self, stride: u32, width: u32, height: u32) -> u64 {
        let (stride, width, height) = (u64::from(stride), u64::from(width), u64::from(height));
        let half = height.div_ceil(2);
        match self {
            Self::Yuyv | Self::Grey | Self::Rgb3 => stride * height,
            Self::Nv12 => stride * height + stride.next_multiple_of(2) * half,
            Self::I420 => stride * height + 2 * stride.div_ceil(2) * half,
            Self::Mjpg => (2 * width * height).max(64 << 10),
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourcc_is_what_v4l2_uses() {
        assert_eq!(PixelFormat::Yuyv.fourcc(), 0x5659_5559);
        assert_eq!(PixelFormat::Mjpg.fourcc(), 0x4750_4a4d);
        for f in PixelFormat::all() {
            assert_eq!(PixelFormat::from_fourcc(f.fourcc()), Some(*f));
            assert_eq!(PixelFormat::from_name(f.name()), Some(*f));
        }
        assert_eq!(PixelFormat::from_fourcc(0), None);
    }

    #[test]
    fn frame_sizes() {
        let size = |f: PixelFormat, w, h| f.frame_bytes(f.min_stride(w), w, h);
        assert_eq!(size(PixelFormat::Yuyv, 640, 480), 614_400);
        assert_eq!(size(PixelFormat::Nv12, 640, 480), 460_800);
        assert_eq!(size(PixelFormat::I420, 641, 481), 641 * 481 + 2 * 321 * 241);
        assert_eq!(size(PixelFormat::Rgb3, 640, 480), 921_600);
    }
}

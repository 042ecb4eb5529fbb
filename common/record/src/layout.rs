//! Where the samples of a picture lie in its bytes: the one description that infer's input, the web view and Y4M are made
//! by, checked against the bytes once.

use super::{FrameRef, PixelFormat};

/// Largest picture, 100 megapixels: a flatbed scan of A3 at 600 dpi has 70.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Longest side, pixels: JPEG holds no longer one.
pub const MAX_SIDE: u32 = 65_535;
/// Longest line, bytes. Keeps the sums of offsets far from overflow.
const MAX_STRIDE: u32 = 1 << 20;

/// How three channels become RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// They are.
    Rgb,
    /// BT.601, 16 to 235: cameras and video files.
    Limited,
    /// BT.601, 0 to 255: JPEG.
    Full,
    /// One channel for all three.
    Grey,
}

/// One channel: every `step`-th byte of its plane's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Which plane.
    pub plane: usize,
    /// Byte of the line that has its first sample.
    pub offset: usize,
    /// Bytes from sample to sample.
    pub step: usize,
    /// Samples a line.
    pub samples: usize,
}

/// A block of lines in the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// First byte.
    pub start: usize,
    /// Bytes from line to line.
    pub stride: usize,
    /// Bytes in use of each line.
    pub line: usize,
    /// Lines; 0: there is no such plane.
    pub lines: usize,
}

impl Plane {
    /// Line `y`.
    ///
    /// # Panics
    /// When `y` is not below `lines`, or `bytes` are not those that the layout was checked against.
    #[must_use]
    pub fn row<'a>(&self, bytes: &'a [u8], y: usize) -> &'a [u8] {
        assert!(y < self.lines, "line {y} of {}", self.lines);
        &bytes[self.start + y * self.stride..][..self.line]
    }

    /// The byte behind the last one in use.
    fn end(&self) -> usize {
        match self.lines {
            0 => 0,
            lines => self.start + (lines - 1) * self.stride + self.line,
        }
    }
}

/// A picture's bytes, described. [`FrameRef::layout`] checks that every line of every plane lies inside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// One to three of them.
    pub planes: [Plane; 3],
    /// Red, green, blue; or brightness, blue and red difference; or brightness three times.
    pub channels: [Channel; 3],
    /// What the channels are.
    pub colour: Colour,
}

/// Why a picture's numbers and bytes do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A width or height that no picture has.
    #[error(
        "a picture of {width}x{height} pixels cannot be used: both sides must be 1 to {MAX_SIDE}, and both together 100 megapixels at most"
    )]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Lines that overlap, or longer than any.
    #[error(
        "{format} lines of {stride} bytes cannot hold {width} pixels: they need {needed}, and 1 MiB at most"
    )]
    Stride {
        /// Format.
        format: PixelFormat,
        /// Pixels.
        width: u32,
        /// Bytes per line.
        stride: u32,
        /// Least bytes per line.
        needed: u32,
    },
    /// Fewer bytes than the numbers promise.
    #[error("{format} picture of {width}x{height} is cut short: {got} bytes of {needed}")]
    Short {
        /// Format.
        format: PixelFormat,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes.
        needed: usize,
        /// Bytes.
        got: usize,
    },
    /// Compressed bytes have no lines.
    #[error("{0} has to be decoded first")]
    Compressed(PixelFormat),
}

impl FrameRef<'_> {
    /// Checks width and height; for compressed formats that is all that can be checked.
    ///
    /// # Errors
    /// [`LayoutError::Size`].
    pub fn check_size(&self) -> Result<(), LayoutError> {
        let (width, height) = (self.width, self.height);
        let sides = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
        if sides && u64::from(width) * u64::from(height) <= MAX_PIXELS {
            return Ok(());
        }
        Err(LayoutError::Size { width, height })
    }

    /// Describes an uncompressed frame. The last line needs no padding: some drivers leave it out.
    ///
    /// # Errors
    /// Numbers that do not fit each other or the bytes.
    pub fn layout(&self) -> Result<PixelLayout, LayoutError> {
        self.check_size()?;
        let (format, width, stride) = (self.format, self.width, self.stride);
        if format == PixelFormat::Mjpg {
            return Err(LayoutError::Compressed(format));
        }
        let needed = format.min_stride(width);
        if !(needed..=MAX_STRIDE).contains(&stride) {
            return Err(LayoutError::Stride {
                format,
                width,
                stride,
                needed,
            });
        }
        let layout = PixelLayout::of(
            format,
            width as usize,
            self.height as usize,
            stride as usize,
        );
        let needed = layout.planes.iter().map(Plane::end).max().unwrap_or(0);
        let got = self.bytes.len();
        if got < needed {
            return Err(LayoutError::Short {
                format,
                width,
                height: self.height,
                needed,
                got,
            });
        }
        Ok(layout)
    }
}

impl PixelLayout {
    /// As V4L2 lays the format out; its chroma planes have the stride that it derives from the first one's.
    fn of(format: PixelFormat, width: usize, height: usize, stride: usize) -> Self {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let plane = |start, stride, line, lines| Plane {
            start,
            stride,
            line,
            lines,
        };
        let channel = |plane, offset, step, samples| Channel {
            plane,
            offset,
            step,
            samples,
        };
        let none = Plane::default();
        let luma = channel(0, 0, 1, width);
        let first = |line| plane(0, stride, line, height);
        let (planes, channels) = match format {
            PixelFormat::Yuyv => (
                [first(4 * half_width), none, none],
                [
                    channel(0, 0, 2, width),
                    channel(0, 1, 4, half_width),
                    channel(0, 3, 4, half_width),
                ],
            ),
            PixelFormat::Nv12 => {
                let start = stride * height;
                let both = plane(
                    start,
                    stride.next_multiple_of(2),
                    2 * half_width,
                    half_height,
                );
                (
                    [first(width), both, none],
                    [
                        luma,
                        channel(1, 0, 2, half_width),
                        channel(1, 1, 2, half_width),
                    ],
                )
            }
            PixelFormat::I420 => {
                let half = stride.div_ceil(2);
                let blue = plane(stride * height, half, half_width, half_height);
                let red = plane(
                    blue.start + half * half_height,
                    half,
                    half_width,
                    half_height,
                );
                (
                    [first(width), blue, red],
                    [
                        luma,
                        channel(1, 0, 1, half_width),
                        channel(2, 0, 1, half_width),
                    ],
                )
            }
            PixelFormat::Grey => ([first(width), none, none], [luma; 3]),
            PixelFormat::Rgb3 | PixelFormat::Mjpg => (
                [first(3 * width), none, none],
                [0, 1, 2].map(|c| channel(0, c, 3, width)),
            ),
        };
        let colour = match format {
            PixelFormat::Rgb3 | PixelFormat::Mjpg => Colour::Rgb,
            PixelFormat::Grey => Colour::Grey,
            PixelFormat::Yuyv | PixelFormat::Nv12 | PixelFormat::I420 => Colour::Limited,
        };
        Self {
            width,
            height,
            planes,
            channels,
            colour,
        }
    }

    /// Three interleaved channels without padding, as decoders give them.
    #[must_use]
    pub fn packed(width: usize, height: usize, colour: Colour) -> Self {
        let layout = Self::of(PixelFormat::Rgb3, width, height, 3 * width);
        Self { colour, ..layout }
    }

    /// One channel without padding, full range.
    #[must_use]
    pub fn grey(width: usize, height: usize) -> Self {
        Self::of(PixelFormat::Grey, width, height, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: [PixelFormat; 5] = [
        PixelFormat::Yuyv,
        PixelFormat::Nv12,
        PixelFormat::I420,
        PixelFormat::Grey,
        PixelFormat::Rgb3,
    ];

    fn frame(format: PixelFormat, bytes: &[u8]) -> FrameRef<'_> {
        FrameRef {
            format,
            width: 7,
            height: 5,
            stride: 32,
            bytes,
        }
    }

    #[test]
    fn every_sample_lies_where_frame_bytes_says_there_are_bytes() {
        for format in RAW {
            let all = vec![0; format.frame_bytes(32, 7, 5) as usize];
            let layout = frame(format, &all).layout().unwrap();
            for channel in layout.channels {
                let plane = layout.planes[channel.plane];
                let last = channel.offset + (channel.samples - 1) * channel.step;
                assert!(last < plane.line && plane.line <= plane.stride, "{format}");
            }
            let ends = layout.planes.map(|p| p.end());
            let end = *ends.iter().max().unwrap();
            assert!(end <= all.len() && end + 32 > all.len(), "{format}");
            // Planes do not overlap.
            for (before, after) in layout.planes.iter().zip(&layout.planes[1..]) {
                assert!(after.lines == 0 || before.end() <= after.start, "{format}");
            }
        }
    }

    #[test]
    fn a_last_line_without_padding_is_enough_and_a_byte_less_is_not() {
        for format in RAW {
            let all = vec![0; format.frame_bytes(32, 7, 5) as usize];
            let layout = frame(format, &all).layout().unwrap();
            let needed = layout.planes.iter().map(Plane::end).max().unwrap();
            assert_eq!(frame(format, &all[..needed]).layout(), Ok(layout));
            let short = frame(format, &all[..needed - 1]).layout();
            assert!(matches!(short, Err(LayoutError::Short { .. })), "{format}");
        }
    }

    #[test]
    fn numbers_that_no_picture_has_are_refused() {
        let of = |width, height, stride| {
            let frame = FrameRef {
                format: PixelFormat::Rgb3,
                width,
                height,
                stride,
                bytes: &[],
            };
            frame.layout().unwrap_err()
        };
        for (width, height) in [(0, 1), (1, 0), (u32::MAX, 1), (65_536, 1), (20_000, 20_000)] {
            assert_eq!(of(width, height, 3), LayoutError::Size { width, height });
        }
        for stride in [0, 2, u32::MAX] {
            assert!(matches!(of(1, 1, stride), LayoutError::Stride { .. }));
        }
    }
}

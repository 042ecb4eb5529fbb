//! A picture one can draw on: full-range Y'CbCr 4:4:4 in planes, so that no colour conversion stands between a
//! camera's bytes, the boxes and the JPEG.

use super::rows::FrameRows;
use super::{FrameRef, MAX_SIDE, PictureError, check};
use hanja_common::record::PixelFormat;
use jpeg_encoder::{ImageBuffer, JpegColorType, rgb_to_ycbcr};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Full-range Y', Cb, Cr.
pub(super) type Colour = [u8; 3];

#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    /// Y', Cb, Cr of `width * height` bytes each; the fourth is what the encoder's interface has for CMYK, empty.
    planes: [Vec<u8>; 4],
}

impl Canvas {
    /// Any frame, decoded if need be.
    pub(super) fn of(frame: &FrameRef<'_>) -> Result<Self, PictureError> {
        check(frame)?;
        if frame.format == PixelFormat::Mjpg {
            return Self::decode(frame);
        }
        let rows = FrameRows::new(frame)?;
        let mut planes = [const { Vec::new() }; 4];
        for y in 0..rows.height() {
            rows.fill_buffers(y, &mut planes);
        }
        Ok(Self::complete(frame, planes))
    }

    /// Grey pictures get neutral chroma, so that boxes can have a colour.
    fn complete(frame: &FrameRef<'_>, mut planes: [Vec<u8>; 4]) -> Self {
        let (width, height) = (frame.width as usize, frame.height as usize);
        planes[0].resize(width * height, 0);
        planes[1].resize(width * height, 128);
        planes[2].resize(width * height, 128);
        Self {
            width,
            height,
            planes,
        }
    }

    fn decode(frame: &FrameRef<'_>) -> Result<Self, PictureError> {
        let fail = |e: zune_jpeg::errors::DecodeErrors| PictureError::Decode(e.to_string());
        let options = DecoderOptions::default()
            .set_max_width(MAX_SIDE as usize)
            .set_max_height(MAX_SIDE as usize);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(frame.bytes), options);
        decoder.decode_headers().map_err(fail)?;
        let info = decoder
            .info()
            .ok_or_else(|| PictureError::Decode("no size in it".into()))?;
        let got = (usize::from(info.width), usize::from(info.height));
        if got != (frame.width as usize, frame.height as usize) {
            return Err(PictureError::Mismatch {
                got,
                said: (frame.width, frame.height),
            });
        }
        // Y'CbCr comes out as it stands in the file; anything unusual goes by way of RGB.
        let colours = match decoder.input_colorspace() {
            Some(c @ (ColorSpace::YCbCr | ColorSpace::Luma)) => c,
            _ => ColorSpace::RGB,
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        let pixels = decoder.decode().map_err(fail)?;
        let mut planes = [const { Vec::new() }; 4];
        match colours {
            ColorSpace::Luma => planes[0] = pixels,
            ColorSpace::YCbCr => {
                for (n, plane) in planes[..3].iter_mut().enumerate() {
                    plane.extend(pixels.iter().skip(n).step_by(3));
                }
            }
            _ => {
                for p in pixels.chunks_exact(3) {
                    let (y, cb, cr) = rgb_to_ycbcr(p[0], p[1], p[2]);
                    for (plane, value) in planes.iter_mut().zip([y, cb, cr]) {
                        plane.push(value);
                    }
                }
            }
        }
        Ok(Self::complete(frame, planes))
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Fills `x0 <= x < x1`, `y0 <= y < y1`, cut to the picture.
    pub(super) fn fill(&mut self, x: (i64, i64), y: (i64, i64), colour: Colour) {
        let cut = |n: i64, most: usize| n.clamp(0, most as i64) as usize;
        let (x0, x1) = (cut(x.0, self.width), cut(x.1, self.width));
        for row in cut(y.0, self.height)..cut(y.1, self.height) {
            for (plane, value) in self.planes.iter_mut().zip(colour) {
                if let Some(span) = plane.get_mut(row * self.width + x0..row * self.width + x1) {
                    span.fill(value);
                }
            }
        }
    }

    /// Planar 4:2:0 in video range.
    pub(super) fn to_i420(&self) -> Vec<u8> {
        let (half_width, half_height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut out = Vec::with_capacity(self.width * self.height + 2 * half_width * half_height);
        let shrink = |n: u32, span: u32, base: u32| ((n * span + 127) / 255 + base) as u8;
        out.extend(self.planes[0].iter().map(|n| shrink((*n).into(), 219, 16)));
        for plane in &self.planes[1..3] {
            for y in 0..half_height {
                let rows = [2 * y, (2 * y + 1).min(self.height - 1)];
                for x in 0..half_width {
                    let columns = [2 * x, (2 * x + 1).min(self.width - 1)];
                    let sum: u32 = rows
                        .iter()
                        .flat_map(|r| columns.map(|c| u32::from(plane[r * self.width + c])))
                        .sum();
                    // 112 / 127.5 either side of the middle.
                    out.push(shrink((sum + 2) / 4, 224, 16));
                }
            }
        }
        out
    }
}

impl ImageBuffer for Canvas {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width as u16 // at most MAX_SIDE
    }

    fn height(&self) -> u16 {
        self.height as u16
    }

    fn fill_buffers(&self, y: u16, out: &mut [Vec<u8>; 4]) {
        let at = usize::from(y) * self.width;
        for (plane, out) in self.planes[..3].iter().zip(out) {
            out.extend_from_slice(&plane[at..at + self.width]);
        }
    }
}

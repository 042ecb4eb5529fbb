//! JPEG to YCbCr or grey bytes; the conversion to RGB is part of the common pass.

use super::error::PreprocessError;
use hanja_record::{Colour, MAX_PIXELS, PixelLayout};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// Decodes JPEG; keeps its buffers between frames.
#[derive(Debug, Default)]
pub(super) struct Jpeg {
    pixels: Vec<u8>,
    completed: Vec<u8>,
}

impl Jpeg {
    /// Decodes `bytes`; the picture's own header says how large it is.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<(&[u8], PixelLayout), PreprocessError> {
        if lacks_huffman_tables(bytes) {
            self.complete(bytes);
            return into_pixels(&self.completed, &mut self.pixels);
        }
        into_pixels(bytes, &mut self.pixels)
    }

    /// Many cameras leave out the Huffman tables, since they are always the same in Motion JPEG. The decoder adds them by itself
    /// if the picture claims to come from an AVI file, so a header that claims that is put in front.
    fn complete(&mut self, bytes: &[u8]) {
        const AVI: &[u8] = b"\xff\xd8\xff\xe0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";
        self.completed.clear();
        self.completed.extend_from_slice(AVI);
        self.completed
            .extend_from_slice(bytes.get(2..).unwrap_or_default());
    }
}

/// Whether the header is sound up to the start of the scan, and has no Huffman table.
fn lacks_huffman_tables(bytes: &[u8]) -> bool {
    const TABLES: u8 = 0xc4;
    const SCAN: u8 = 0xda;
    const FILL: u8 = 0xff;
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = bytes.get(at..).and_then(|b| b.first_chunk()) {
        match *marker {
            TABLES => return false,
            SCAN => return true,
            FILL => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    false // damaged: the decoder's error says how
}

fn into_pixels<'a>(
    bytes: &[u8],
    pixels: &'a mut Vec<u8>,
) -> Result<(&'a [u8], PixelLayout), PreprocessError> {
    let fail = |e: DecodeErrors| PreprocessError::Jpeg(e.to_string().replace('\n', " "));
    // Strict: a picture that ends early is undecodable, not half grey.
    let options = DecoderOptions::new_fast().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(
        ZCursor::new(bytes),
        options.jpeg_set_out_colorspace(ColorSpace::YCbCr),
    );
    decoder.decode_headers().map_err(fail)?;
    let Some((width, height)) = decoder.dimensions() else {
        return Err(PreprocessError::Jpeg("no dimensions".into()));
    };
    if (width as u64) * (height as u64) > MAX_PIXELS {
        return Err(PreprocessError::Jpeg(format!(
            "{width}x{height} pixels are too many"
        )));
    }
    let (space, layout) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, PixelLayout::grey(width, height)),
        Some(ColorSpace::YCbCr) => (
            ColorSpace::YCbCr,
            PixelLayout::packed(width, height, Colour::Full),
        ),
        Some(ColorSpace::RGB) => (
            ColorSpace::RGB,
            PixelLayout::packed(width, height, Colour::Rgb),
        ),
        other => {
            return Err(PreprocessError::Jpeg(format!(
                "colour space {other:?} is not supported"
            )));
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    pixels.resize(width * height * space.num_components(), 0);
    decoder.decode_into(pixels).map_err(fail)?;
    Ok((pixels, layout))
}

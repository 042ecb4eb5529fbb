//! JPEG to YCbCr or grey bytes; the conversion to RGB is part of the common pass.

use super::error::PreprocessError;
use hanja_picture::jpeg;
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
    put_together: Vec<u8>,
}

impl Jpeg {
    /// Decodes `bytes`; the picture's own header says how large it is.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<(&[u8], PixelLayout), PreprocessError> {
        // Capture has made it whole; the frame may be another writer's.
        let whole = jpeg::whole(bytes).in_one_piece(&mut self.put_together);
        into_pixels(whole, &mut self.pixels)
    }
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

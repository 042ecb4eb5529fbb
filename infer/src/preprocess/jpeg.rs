//! JPEG to YCbCr or grey bytes; the conversion to RGB is part of the common pass.

use super::plan::{Colour, Layout};
use super::{MAX_PIXELS, PreprocessError};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Decodes into `buffer`, which is kept between frames.
pub(super) fn decode(bytes: &[u8], buffer: &mut Vec<u8>) -> Result<Layout, PreprocessError> {
    let fail = |e: zune_jpeg::errors::DecodeErrors| {
        PreprocessError::Jpeg(e.to_string().replace('\n', " "))
    };
    // Strict: a picture that ends early is undecodable, not half grey.
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(fail)?;
    let Some((width, height)) = decoder.dimensions() else {
        return Err(PreprocessError::Jpeg("no dimensions".into()));
    };
    if (width as u64) * (height as u64) > MAX_PIXELS {
        return Err(PreprocessError::Jpeg(format!(
            "{width}x{height} pixels are too many"
        )));
    }
    let input = decoder.input_colorspace();
    let grey = input == Some(ColorSpace::Luma);
    let colour = match input {
        Some(ColorSpace::Luma | ColorSpace::YCbCr) => Colour::Full,
        Some(ColorSpace::RGB) => Colour::Rgb,
        other => {
            return Err(PreprocessError::Jpeg(format!(
                "colour space {other:?} is not supported"
            )));
        }
    };
    let output = if grey {
        ColorSpace::Luma
    } else if colour == Colour::Rgb {
        ColorSpace::RGB
    } else {
        ColorSpace::YCbCr
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let needed = width * height * if grey { 1 } else { 3 };
    buffer.resize(needed, 0);
    decoder.decode_into(buffer).map_err(fail)?;
    Ok(if grey {
        Layout::grey(width, height)
    } else {
        Layout::packed(width, height, 3 * width, colour)
    })
}

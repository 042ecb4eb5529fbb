//! Picture files as they come from cameras, drawing programs and broken disks.

use super::*;
use image::{ImageFormat, Rgb, Rgba};

/// Left half red, right half blue.
fn halves(width: u32, height: u32) -> RgbImage {
    let pixel = |x, _| {
        Rgb(if x < width / 2 {
            [255, 0, 0]
        } else {
            [0, 0, 255]
        })
    };
    RgbImage::from_fn(width, height, pixel)
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn read_bytes(bytes: &[u8]) -> Result<Picture, String> {
    // Without an extension: the content decides.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(file.path(), u64::MAX).map_err(|e| {
        let text = e.to_string();
        assert!(
            text.contains(file.path().to_str().unwrap()) && !text.contains('\n'),
            "{text}"
        );
        text
    })
}

fn pixel(picture: &Picture, x: u32, y: u32) -> &[u8] {
    &picture.rgb[3 * (y * picture.width + x) as usize..][..3]
}

#[test]
fn every_promised_format_is_read() {
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::WebP,
    ] {
        let picture = read_bytes(&encode(&halves(40, 20).into(), format)).unwrap();
        assert_eq!((picture.width, picture.height), (40, 20), "{format:?}");
        let (left, right) = (pixel(&picture, 5, 10), pixel(&picture, 35, 10));
        assert!(left[0] > 240 && left[2] < 15, "{format:?} {left:?}");
        assert!(right[0] < 15 && right[2] > 240, "{format:?} {right:?}");
        assert_eq!(picture.view().bytes.len(), 40 * 20 * 3);
    }
}

#[test]
fn exif_turns_the_picture() {
    let jpeg = encode(&halves(48, 16).into(), ImageFormat::Jpeg);
    // "Rotate by 90 degrees clockwise to show": red, at the left in the file, is shown at the top.
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif.as_slice(), &jpeg[2..]].concat();
    let picture = read_bytes(&turned).unwrap();
    assert_eq!((picture.width, picture.height), (16, 48));
    assert!(pixel(&picture, 8, 5)[0] > 240 && pixel(&picture, 8, 43)[2] > 240);
}

#[test]
fn transparent_ground_is_white_paper() {
    let ink = |x, _| Rgba([0, 0, 0, if x < 10 { 255 } else { 0 }]);
    let drawing = RgbaImage::from_fn(20, 10, ink);
    let picture = read_bytes(&encode(&drawing.into(), ImageFormat::Png)).unwrap();
    assert_eq!(pixel(&picture, 2, 5), [0, 0, 0]);
    assert_eq!(pixel(&picture, 15, 5), [255, 255, 255]);
}

#[test]
fn what_is_no_picture_is_said() {
    let png = encode(&halves(40, 20).into(), ImageFormat::Png);
    let jpeg = encode(&halves(400, 200).into(), ImageFormat::Jpeg);
    for bytes in [&b""[..], b"no picture", &png[..png.len() / 2], &jpeg[..300]] {
        let e = read_bytes(bytes).unwrap_err();
        assert!(e.starts_with("cannot read the picture"), "{e}");
    }
    let missing = read(Path::new("/nowhere/a.png"), u64::MAX).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/a.png"));
}

#[test]
fn a_picture_of_a_billion_pixels_is_refused_before_it_is_decoded() {
    let mut png = encode(&halves(40, 20).into(), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]); // 32768 x 32768
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let e = read_bytes(&png).unwrap_err();
    assert!(
        e.contains("32768x32768") && e.contains("100 megapixels"),
        "{e}"
    );
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            crc >> 1 ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0, |crc, b| (0..8).fold(crc ^ u32::from(*b), step))
}

#[test]
fn what_motion_jpeg_leaves_out_is_added_and_a_cut_picture_is_refused() {
    let jpeg = encode(&halves(400, 200).into(), ImageFormat::Jpeg);
    let whole = read_bytes(&jpeg).unwrap();
    // Without Huffman tables and end marker, as cameras write it.
    let mut bare = jpeg.clone();
    while let Some(at) = bare.windows(2).position(|w| w == b"\xff\xc4") {
        let length = usize::from(u16::from_be_bytes([bare[at + 2], bare[at + 3]]));
        bare.drain(at..at + 2 + length);
    }
    bare.truncate(bare.len() - 2);
    assert_eq!(read_bytes(&bare).unwrap().rgb, whole.rgb);
    assert_eq!(read_bytes(&jpeg[..jpeg.len() - 2]).unwrap().rgb, whole.rgb);
    let cut = read_bytes(&jpeg[..jpeg.len() - 400])
        .map(|p| p.width)
        .unwrap_err();
    assert!(cut.contains("cut short"), "{cut}");
}

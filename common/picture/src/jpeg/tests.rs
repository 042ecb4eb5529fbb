//! Real pictures, cut, spoilt and made whole again.

use super::*;
use proptest::prelude::*;

fn sample(width: u32, height: u32, level: u8) -> Vec<u8> {
    let picture =
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([level, x as u8, y as u8]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode_image(&picture)
        .expect("a small picture encodes");
    out
}

/// Without segments of this code.
fn without(jpeg: &[u8], code: u8) -> Vec<u8> {
    let (mut walk, mut out) = (Walk::begin(jpeg).unwrap(), b"\xff\xd8".to_vec());
    loop {
        let segment = walk.next(jpeg).unwrap();
        if segment.code == SOS {
            out.extend(&jpeg[segment.begin..]);
            return out;
        }
        if segment.code != code {
            out.extend(&jpeg[segment.begin..segment.content.end]);
        }
    }
}

fn pixels(jpeg: &[u8]) -> Vec<u8> {
    image::load_from_memory(jpeg)
        .unwrap()
        .into_rgb8()
        .into_raw()
}

#[test]
fn size_and_end_of_a_real_picture() {
    let jpeg = sample(40, 24, 77);
    assert_eq!(size(&jpeg), Some((40, 24)));
    let mut longer = jpeg.clone();
    longer.extend(b"\xff\xd8\xffmore");
    assert_eq!(EndScan::default().find(&longer), Ok(Some(jpeg.len())));
    assert_eq!(EndScan::default().find(&jpeg[..jpeg.len() - 1]), Ok(None));
    assert_eq!(EndScan::default().find(b"no picture"), Err(NotJpeg));
}

#[test]
fn without_an_end_marker_the_next_picture_ends_it() {
    let jpeg = sample(40, 24, 77);
    let bare = &jpeg[..jpeg.len() - 2];
    let two = [bare, &jpeg].concat();
    assert_eq!(EndScan::default().find(&two), Ok(Some(bare.len())));
    let cut_in_header = [&jpeg[..20], &jpeg].concat(); // behind its first segment
    assert_eq!(EndScan::default().find(&cut_in_header), Err(NotJpeg));
}

#[test]
fn a_scan_can_be_resumed_anywhere() {
    let jpeg = sample(64, 64, 3);
    for cut in 0..jpeg.len() {
        let mut scan = EndScan::default();
        assert_eq!(scan.find(&jpeg[..cut]), Ok(None), "cut at {cut}");
        assert_eq!(scan.find(&jpeg), Ok(Some(jpeg.len())), "cut at {cut}");
    }
}

/// The tables are those that an encoder of another hand writes.
#[test]
fn the_standard_tables() {
    let jpeg = sample(16, 16, 1);
    let tables = |bytes: &[u8]| {
        let (mut walk, mut out) = (Walk::begin(bytes).unwrap(), Vec::new());
        loop {
            let segment = walk.next(bytes).unwrap();
            match segment.code {
                SOS => break,
                DHT => out.push(bytes[segment.content.start + 2..segment.content.end].to_vec()),
                _ => {}
            }
        }
        let mut one = out.concat();
        // By class and number; the order is the encoder's affair.
        let mut split = Vec::new();
        while !one.is_empty() {
            let len = 17 + one[1..17].iter().map(|n| usize::from(*n)).sum::<usize>();
            split.push(one.drain(..len).collect::<Vec<_>>());
        }
        split.sort();
        split
    };
    let ours = [b"\xff\xd8", tables::STANDARD.as_slice(), b"\xff\xda\0\x02"].concat();
    assert_eq!(tables(&ours), tables(&jpeg));
}

#[test]
fn what_is_missing_is_added() {
    let jpeg = sample(48, 32, 9);
    assert_eq!(whole(&jpeg).parts().concat(), jpeg, "nothing is missing");
    let bare = without(&jpeg, DHT);
    let bare = &bare[..bare.len() - 2];
    assert!(
        image::load_from_memory(bare).is_err(),
        "or there is nothing to mend"
    );
    let made = whole(bare);
    let bytes = made.parts().concat();
    assert_eq!(bytes.len(), made.len());
    assert_eq!(pixels(&bytes), pixels(&jpeg));
    // Padding after the end is a camera's habit.
    let padded = [jpeg.as_slice(), &[0; 900]].concat();
    assert_eq!(whole(&padded).parts().concat(), padded);
}

#[test]
fn stray_bytes_and_exif_are_left_out() {
    let jpeg = sample(48, 32, 9);
    // Orientation 6, in a file of one tag.
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let content = [b"Exif\0\0".as_slice(), tiff].concat();
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    let exif = [b"\xff\xe1", length.as_slice(), &content].concat();
    let turned = [&jpeg[..2], b"stray".as_slice(), &exif, &jpeg[2..]].concat();
    assert_eq!(size(&turned), Some((48, 32)));
    let header = Header::read(&turned).unwrap();
    assert_eq!(header.orientation, Orientation::Rotate90);
    assert_eq!(
        (header.width, header.height, header.components),
        (48, 32, 3)
    );
    assert_eq!(whole(&turned).parts().concat(), jpeg);
    assert_eq!(EndScan::default().find(&turned), Ok(Some(turned.len())));
    let endless = [&jpeg[..2], &vec![7; MOST_STRAY + 2], &jpeg[2..]].concat();
    assert_eq!((size(&endless), Header::read(&endless)), (None, None));
    assert_eq!(EndScan::default().find(&endless), Err(NotJpeg));
}

proptest! {
    #[test]
    fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut with_start = b"\xff\xd8\xff".to_vec();
        with_start.extend(&bytes);
        for b in [&bytes, &with_start] {
            let _ = size(b);
            let _ = EndScan::default().find(b);
            let whole = whole(b);
            prop_assert_eq!(whole.parts().concat().len(), whole.len());
        }
    }
}

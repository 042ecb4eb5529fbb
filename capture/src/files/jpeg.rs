//! The part of JPEG that passing pictures on without decoding needs: their size and their end.

/// Width and height from the frame header; `None`: not a JPEG, or cut before its header.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    if bytes.get(..2)? != b"\xff\xd8" {
        return None;
    }
    loop {
        let (marker, start) = marker(bytes, at)?;
        let length = usize::from(u16::from_be_bytes([
            *bytes.get(start)?,
            *bytes.get(start + 1)?,
        ]));
        // SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let b = bytes.get(start + 3..start + 7)?;
            let (h, w) = (
                u16::from_be_bytes([b[0], b[1]]),
                u16::from_be_bytes([b[2], b[3]]),
            );
            return (w > 0 && h > 0).then_some((w.into(), h.into()));
        }
        if length < 2 || marker == 0xda {
            return None;
        }
        at = start + length;
    }
}

/// Code and end of the marker at `at`, fill bytes passed over.
fn marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    if *bytes.get(at)? != 0xff {
        return None;
    }
    while *bytes.get(at)? == 0xff {
        at += 1;
    }
    Some((bytes[at], at + 1))
}

/// State of a search for a picture's end: with a longer buffer it goes on where it stopped in a shorter one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EndScan {
    at: usize,
    entropy: bool,
}

impl EndScan {
    /// Finds the end of the picture that starts at 0: `Ok(Some(len))`, `Ok(None)` if more bytes are needed,
    /// `Err` if this is no JPEG.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, ()> {
        if self.at == 0 {
            match bytes.get(..2) {
                Some(b"\xff\xd8") => self.at = 2,
                Some(_) => return Err(()),
                None => return Ok(None),
            }
        }
        loop {
            if self.entropy && !self.skip_entropy(bytes) {
                return Ok(None);
            }
            let Some((code, start)) = marker(bytes, self.at) else {
                // Neither a marker nor the end of what is there: damaged.
                return if bytes[self.at.min(bytes.len())..].iter().all(|b| *b == 0xff) {
                    Ok(None)
                } else {
                    Err(())
                };
            };
            match code {
                0xd9 => return Ok(Some(start)),
                // Another picture begins: this one was cut.
                0xd8 => return Err(()),
                0x01 | 0xd0..=0xd7 => self.at = start,
                _ => {
                    let Some(length) = bytes.get(start..start + 2) else {
                        return Ok(None);
                    };
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    if length < 2 {
                        return Err(());
                    }
                    if bytes.len() < start + length {
                        return Ok(None);
                    }
                    self.at = start + length;
                    self.entropy = code == 0xda;
                }
            }
        }
    }

    /// Moves to the next marker that ends entropy-coded data; false if it is not there yet.
    fn skip_entropy(&mut self, bytes: &[u8]) -> bool {
        while let Some(found) = bytes
            .get(self.at..)
            .and_then(|b| b.iter().position(|b| *b == 0xff))
        {
            self.at += found;
            match bytes.get(self.at + 1) {
                None => return false,
                Some(0x00 | 0xd0..=0xd7) => self.at += 2, // stuffed byte, restart marker
                Some(0xff) => self.at += 1,
                Some(_) => {
                    self.entropy = false;
                    return true;
                }
            }
        }
        self.at = bytes.len();
        false
    }
}

#[cfg(test)]
pub(crate) fn sample(width: u32, height: u32, level: u8) -> Vec<u8> {
    let picture = image::GrayImage::from_pixel(width, height, image::Luma([level]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut out)
        .encode_image(&picture)
        .expect("a small picture encodes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn size_and_end_of_a_real_picture() {
        let jpeg = sample(40, 24, 77);
        assert_eq!(size(&jpeg), Some((40, 24)));
        let mut longer = jpeg.clone();
        longer.extend(b"\xff\xd8\xffmore");
        assert_eq!(EndScan::default().find(&longer), Ok(Some(jpeg.len())));
        assert_eq!(EndScan::default().find(&jpeg[..jpeg.len() - 1]), Ok(None));
        assert_eq!(EndScan::default().find(b"no picture"), Err(()));
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

    proptest! {
        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut with_start = b"\xff\xd8\xff".to_vec();
            with_start.extend(&bytes);
            for b in [&bytes, &with_start] {
                let _ = size(b);
                let _ = EndScan::default().find(b);
            }
        }
    }
}

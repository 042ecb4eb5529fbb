//! AVI with MJPEG video, what cheap cameras and `ffmpeg -c:v mjpeg clip.avi` write. RIFF chunks: a header list, then
//! the `movi` list with one chunk per frame.

use super::{Demux, MAX_FRAME, Shape, Step, jpeg};
use hanja_record::PixelFormat;

/// Largest header list, bytes; usual ones have a few hundred.
const MAX_HEADER: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Avi {
    opened: bool,
    video: Option<Video>,
}

#[derive(Clone, Copy, Debug)]
struct Video {
    stream: usize,
    fps: Option<f64>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

impl Demux for Avi {
    fn step(&mut self, bytes: &[u8], eof: bool) -> Result<Step, String> {
        let available = Available { bytes, eof };
        if !self.opened {
            return self.open(&available);
        }
        if let Some(step) = available.missing(12) {
            return Ok(step); // a last chunk shorter than this holds no picture
        }
        let id = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let size = u32_at(bytes, 4).unwrap_or(0) as usize;
        let whole = (8 + size as u64).next_multiple_of(2);
        match (&id, &bytes[8..12]) {
            (b"LIST", b"hdrl") => {
                if size > MAX_HEADER {
                    return Err("the AVI header is damaged".into());
                }
                if let Some(step) = available.missing(8 + size) {
                    return Ok(step);
                }
                self.video = Some(header(&bytes[12..8 + size.max(4)])?);
                Ok(Step::Skip(whole))
            }
            (b"LIST", b"movi" | b"rec ") | (b"RIFF", b"AVIX") => Ok(Step::Skip(12)),
            _ if self.is_video(id) && size > 0 => frame(&available, size, whole),
            _ => Ok(Step::Skip(whole)),
        }
    }

    fn fps(&self) -> Option<f64> {
        self.video.and_then(|v| v.fps)
    }
}

/// The bytes read so far; `eof`: there will be no more.
struct Available<'a> {
    bytes: &'a [u8],
    eof: bool,
}

impl Available<'_> {
    /// The step to take if there are fewer than `n` bytes.
    fn missing(&self, n: usize) -> Option<Step> {
        if self.bytes.len() >= n {
            None
        } else if self.eof {
            Some(Step::End)
        } else {
            Some(Step::Need(n))
        }
    }
}

/// A chunk with a picture of `size` bytes; `whole` is the chunk's length with header and padding.
fn frame(available: &Available<'_>, size: usize, whole: u64) -> Result<Step, String> {
    if size > MAX_FRAME {
        return Err(format!(
            "an AVI frame claims {size} bytes: the file is damaged"
        ));
    }
    if let Some(step) = available.missing(8 + size) {
        return Ok(step);
    }
    let bytes = available.bytes;
    let Some((width, height)) = jpeg::size(&bytes[8..8 + size]) else {
        return Ok(Step::Skip(whole));
    };
    Ok(Step::Frame {
        bytes: 8..8 + size,
        consume: (whole as usize).min(bytes.len()),
        picture: Shape {
            format: PixelFormat::Mjpg,
            width,
            height,
        },
    })
}

impl Avi {
    /// The file's first 12 bytes.
    fn open(&mut self, available: &Available<'_>) -> Result<Step, String> {
        let bytes = available.bytes;
        match available.missing(12) {
            Some(_) if available.eof => Err("not an AVI file".into()),
            Some(step) => Ok(step),
            None if &bytes[..4] == b"RIFF" && &bytes[8..12] == b"AVI " => {
                self.opened = true;
                Ok(Step::Skip(12))
            }
            None => Err("not an AVI file".into()),
        }
    }

    /// Frames are in chunks `NNdc` or `NNdb`, NN being the stream's number.
    fn is_video(&self, id: [u8; 4]) -> bool {
        let [tens, ones, kind @ ..] = id;
        let number =
            usize::from(tens.wrapping_sub(b'0')) * 10 + usize::from(ones.wrapping_sub(b'0'));
        self.video.is_some_and(|v| v.stream == number) && matches!(&kind, b"dc" | b"db")
    }
}

/// Finds the video stream in the header list; it must be MJPEG.
fn header(list: &[u8]) -> Result<Video, String> {
    let mut stream = 0;
    for (id, body) in chunks(list) {
        if &id != b"LIST" || body.get(..4) != Some(b"strl") {
            continue;
        }
        let (mut fps, mut video, mut codec) = (None, false, [0; 4]);
        for (id, body) in chunks(&body[4..]) {
            match &id {
                b"strh" => {
                    video = body.get(..4) == Some(b"vids");
                    let rate = u32_at(body, 24).zip(u32_at(body, 20));
                    let rate = rate.map(|(rate, scale)| f64::from(rate) / f64::from(scale));
                    fps = rate.filter(|r| (0.01..=1000.0).contains(r));
                }
                b"strf" => {
                    if let Some(c) = body.get(16..20) {
                        codec.copy_from_slice(c);
                    }
                }
                _ => {}
            }
        }
        if video {
            return if codec.eq_ignore_ascii_case(b"MJPG") {
                Ok(Video { stream, fps })
            } else {
                let codec = String::from_utf8_lossy(&codec).into_owned();
                Err(format!(
                    "the AVI's video is {codec:?}, not MJPG; convert it with: ffmpeg -i CLIP -c:v mjpeg -q:v 3 clip.avi"
                ))
            };
        }
        stream += 1;
    }
    Err("the AVI has no video stream".into())
}

fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let id = [
            *bytes.first()?,
            *bytes.get(1)?,
            *bytes.get(2)?,
            *bytes.get(3)?,
        ];
        let size = u32_at(bytes, 4)? as usize;
        let body = bytes.get(8..8usize.checked_add(size)?)?;
        bytes = bytes.get((8 + size).next_multiple_of(2)..).unwrap_or(&[]);
        Some((id, body))
    })
}

#[cfg(test)]
mod tests {
    use super::super::demux;
    use super::*;

    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = id.to_vec();
        out.extend((body.len() as u32).to_le_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn avi(codec: &[u8; 4], frames: &[Vec<u8>]) -> Vec<u8> {
        let mut strh = b"vidsMJPG".to_vec();
        strh.resize(20, 0);
        strh.extend(1u32.to_le_bytes());
        strh.extend(25u32.to_le_bytes());
        strh.resize(56, 0);
        let mut strf = vec![0; 40];
        strf[16..20].copy_from_slice(codec);
        let strl = [
            b"strl".to_vec(),
            chunk(b"strh", &strh),
            chunk(b"strf", &strf),
        ]
        .concat();
        let audio = [b"strl".to_vec(), chunk(b"strh", b"auds")].concat();
        let hdrl = [
            b"hdrl".to_vec(),
            chunk(b"LIST", &audio),
            chunk(b"LIST", &strl),
        ]
        .concat();
        let pictures: Vec<_> = frames.iter().map(|f| chunk(b"01dc", f)).collect();
        let rec = [b"rec ".to_vec(), pictures.concat()].concat();
        let movi = [
            b"movi".to_vec(),
            chunk(b"00wb", &[1, 2, 3]),
            chunk(b"LIST", &rec),
        ]
        .concat();
        let body = [
            b"AVI ".to_vec(),
            chunk(b"LIST", &hdrl),
            chunk(b"JUNK", &[0; 9]),
            chunk(b"LIST", &movi),
        ];
        chunk(b"RIFF", &[body.concat(), chunk(b"idx1", &[0; 32])].concat())
    }

    #[test]
    fn pictures_among_sound_and_junk() {
        let pictures = [jpeg::sample(32, 16, 5), jpeg::sample(32, 16, 250)];
        let bytes = avi(b"MJPG", &pictures);
        for portion in [1, 13, 100_000] {
            let frames = demux(Avi::default(), &bytes, portion).unwrap();
            let got: Vec<_> = frames.iter().map(|f| f.1.clone()).collect();
            assert_eq!(got, pictures, "portion {portion}");
        }
        let mut d = Avi::default();
        d.step(&bytes, true).unwrap();
        d.step(&bytes[12..], true).unwrap();
        assert_eq!(d.fps(), Some(25.0));
        // Cut anywhere: what is complete comes, nothing panics.
        for cut in 0..bytes.len() {
            let _ = demux(Avi::default(), &bytes[..cut], 100_000);
        }
    }

    #[test]
    fn other_codecs_are_named() {
        let e = demux(Avi::default(), &avi(b"H264", &[]), 1000).unwrap_err();
        assert!(e.contains("\"H264\"") && e.contains("ffmpeg"), "{e}");
    }
}

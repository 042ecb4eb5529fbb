//! AVI with MJPEG video, what cheap cameras and `ffmpeg -c:v mjpeg clip.avi` write. RIFF chunks: a header list, then
//! the `movi` list with one chunk per frame.

use super::{Demux, MAX_FRAME, Shape, Step};
use hanja_picture::jpeg;

/// Largest header list, bytes; usual ones have a few hundred.
const MAX_HEADER: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Avi {
    opened: bool,
    video: Option<Video>,
    /// The last chunk's size was odd: a byte of padding follows, which some writers forget.
    odd: bool,
    /// Two pictures in one chunk have been reported.
    fields_reported: bool,
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
        if std::mem::take(&mut self.odd) && (bytes[0] == 0 || !is_id(bytes)) && is_id(&bytes[1..]) {
            return Ok(Step::Skip(1));
        }
        if !is_id(bytes) {
            return Ok(self.find_step(&available));
        }
        let id = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let size = u32_at(bytes, 4).unwrap_or(0) as usize;
        match (&id, &bytes[8..12]) {
            (b"LIST", b"hdrl") => {
                if size > MAX_HEADER {
                    return Err("the AVI header is damaged".into());
                }
                if let Some(step) = available.missing(8 + size) {
                    return Ok(step);
                }
                self.video = Some(header(&bytes[12..8 + size.max(4)])?);
            }
            (b"LIST", b"movi" | b"rec ") | (b"RIFF", b"AVIX") => return Ok(Step::Skip(12)),
            _ if self.is_video(id) => return Ok(self.picture(&available, size)),
            _ => {}
        }
        self.odd = size % 2 == 1;
        Ok(Step::Skip(8 + size as u64))
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

/// Whether a chunk can begin here: an identifier is four printable characters.
fn is_id(bytes: &[u8]) -> bool {
    let id = bytes.get(..4);
    id.is_some_and(|id| id.iter().all(|b| (0x20..0x7f).contains(b)))
}

/// Whether this is a chunk that AVI files are made of, and no coincidence.
fn is_usual(bytes: &[u8]) -> bool {
    match bytes.first_chunk::<4>() {
        Some(b"LIST" | b"RIFF" | b"JUNK" | b"idx1") => true,
        Some([tens, ones, kind @ ..]) => {
            let numbered = tens.is_ascii_digit() && ones.is_ascii_digit();
            numbered && kind.iter().all(u8::is_ascii_lowercase)
        }
        None => false,
    }
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

    /// A video chunk of `size` bytes. A writer may have got the size wrong: a picture ends where it ends, as long as a chunk
    /// of the video follows there.
    fn picture(&mut self, available: &Available<'_>, size: usize) -> Step {
        let bytes = available.bytes;
        if size == 0 {
            return Step::Empty(8);
        }
        let mut scan = jpeg::EndScan::default();
        let end = scan.find(&bytes[8..]).unwrap_or_default();
        // A whole picture, and the next chunk, before the chunk's end: the size is wrong.
        let early = end.filter(|end| *end < size && self.video_follows(bytes, 8 + end));
        // Or it ends later, at the next chunk, and none can begin where this one claims to end.
        let late = end.filter(|end| {
            let claimed = bytes
                .get(8 + size..)
                .is_some_and(|rest| is_usual(rest) || rest.get(1..).is_some_and(is_usual));
            *end > size && !claimed && self.video_follows(bytes, 8 + end)
        });
        let size = match early.or(late) {
            Some(end) => end,
            None if size > MAX_FRAME => return Step::Lost(8),
            None => match available.missing(8 + size) {
                // The last chunk of a cut file, or one that claims more than there is.
                Some(Step::End) if end.is_some() => end.unwrap_or_default(),
                Some(step) => return step,
                None => size,
            },
        };
        self.odd = size % 2 == 1;
        let content = &bytes[8..8 + size];
        let Some(picture) = Shape::of_jpeg(content) else {
            return Step::Lost(8 + size as u64);
        };
        if let Some(end) = end.filter(|end| *end + 2 < size)
            && Shape::of_jpeg(content[end..].trim_ascii_start()) == Some(picture)
            && !std::mem::replace(&mut self.fields_reported, true)
        {
            let Shape { width, height, .. } = picture;
            tracing::warn!(
                "its frames are two fields of {width}x{height} each, of which the first is shown; weave them with: \
                 ffmpeg -i CLIP -vf yadif -c:v mjpeg -q:v 3 clip.avi"
            );
        }
        Step::Frame {
            bytes: 8..8 + size,
            consume: 8 + size,
            picture,
        }
    }

    /// Whether a chunk of the video begins at `at`, or after a byte or three of padding.
    fn video_follows(&self, bytes: &[u8], at: usize) -> bool {
        (at..at + 4).any(|at| {
            let chunk = bytes.get(at..at + 10).and_then(|c| c.first_chunk::<10>());
            chunk.is_some_and(|[a, b, c, d, .., x, y]| {
                self.is_video([*a, *b, *c, *d]) && [*x, *y] == [0xff, 0xd8]
            })
        })
    }

    /// The step to the next chunk of the video, where none can begin.
    fn find_step(&self, available: &Available<'_>) -> Step {
        let bytes = available.bytes;
        let next = (1..bytes.len().saturating_sub(9)).find(|at| self.video_follows(bytes, *at));
        match next {
            Some(at) => Step::Lost(at as u64),
            None if available.eof => Step::Lost(bytes.len() as u64),
            None if bytes.len() == 12 => Step::Need(64),
            None => Step::Lost((bytes.len() - 12) as u64),
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
    let (mut stream, mut overall) = (0, None);
    for (id, body) in chunks(list) {
        if &id == b"avih" {
            // Microseconds of a frame; some writers leave the stream's own rate empty.
            overall = u32_at(body, 0).map(|us| 1e6 / f64::from(us));
        }
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
                let overall = overall.filter(|r| (0.01..=1000.0).contains(r));
                Ok(Video {
                    stream,
                    fps: fps.or(overall),
                })
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
    use super::super::{demux, sample_jpeg};
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
        let pictures = [sample_jpeg(32, 16, 5), sample_jpeg(32, 16, 250)];
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
    fn a_forgotten_byte_of_padding_and_wrong_sizes_cost_nothing() {
        // An odd number of bytes each, so that padding matters.
        let pictures: Vec<_> = (0..6u8)
            .map(|n| {
                let mut jpeg = sample_jpeg(32 + 8 * u32::from(n % 2), 16, 40 * n);
                if jpeg.len().is_multiple_of(2) {
                    jpeg.splice(2..2, *b"\xff\xfe\0\x03x"); // a comment
                }
                jpeg
            })
            .collect();
        let whole = avi(b"MJPG", &pictures);
        let places: Vec<_> = (0..whole.len())
            .filter(|at| whole[*at..].starts_with(b"01dc"))
            .collect();
        let mut unpadded = whole.clone();
        for (at, picture) in places.iter().zip(&pictures).rev() {
            unpadded.remove(at + 8 + picture.len());
        }
        let sized = |which: usize, wrong: i64| {
            let mut bytes = whole.clone();
            let at = places[which] + 4;
            let size = i64::try_from(pictures[which].len()).unwrap() + wrong;
            bytes[at..at + 4].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
            bytes
        };
        for (what, bytes) in [
            ("unpadded", unpadded),
            ("too long", sized(2, 300)),
            ("far too long", sized(2, 0x7000_0000)),
            ("too short", sized(2, -101)),
        ] {
            let frames = demux(Avi::default(), &bytes, 100_000).unwrap();
            let got: Vec<_> = frames.iter().map(|f| f.1.clone()).collect();
            assert_eq!(got, pictures, "{what}");
        }
        // Rubbish in the middle: the others are there.
        let mut spoilt = whole.clone();
        spoilt[places[1]..places[1] + 60].fill(0xa5);
        let frames = demux(Avi::default(), &spoilt, 100_000).unwrap();
        assert_eq!(frames.len(), pictures.len() - 1);
    }

    #[test]
    fn other_codecs_are_named() {
        let e = demux(Avi::default(), &avi(b"H264", &[]), 1000).unwrap_err();
        assert!(e.contains("\"H264\"") && e.contains("ffmpeg"), "{e}");
    }
}

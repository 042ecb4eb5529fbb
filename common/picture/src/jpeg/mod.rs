//! What passing JPEGs on without decoding needs: their size, their end, and to be whole.
//!
//! Many cameras leave out the Huffman tables, which are always the same. Decoders of Motion JPEG add them by themselves, others
//! do not, browsers among them. So [`whole`] makes pictures whole once, before anybody sees them; it gives parts to be written
//! one after the other, and copies nothing. A missing end marker is left alone: readers do without it, and with one a picture
//! that is cut short could not be told from a whole one.

mod tables;

use image::metadata::Orientation;
use std::ops::Range;

/// Bytes that are no marker, between two segments of a header: readers skip them, but not without end.
const MOST_STRAY: usize = 64 << 10;
/// An end marker further from the end than this is not looked for; what follows it there is padding.
const TAIL: usize = 4096;
const END: &[u8] = b"\xff\xd9";

/// What a header says, up to the start of the scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Pixels, as they are stored.
    pub width: u32,
    /// Pixels, as they are stored.
    pub height: u32,
    /// 1: grey, 3: colour, 4: CMYK.
    pub components: u8,
    /// How EXIF data say that it is to be turned; `NoTransforms` where they say nothing.
    pub orientation: Orientation,
    has_tables: bool,
    /// Where the scan's marker begins.
    scan: usize,
    /// Not to be passed on: stray bytes, and EXIF data that would turn the picture in some readers and not in others.
    cuts: Cuts,
}

/// So many ranges at most, so that nothing is allocated.
const CUTS: usize = 4;
type Cuts = [Range<usize>; CUTS];

/// Width and height from the frame header; `None`: not a JPEG, or cut before its header.
#[must_use]
pub fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut walk = Walk::begin(bytes)?;
    loop {
        let segment = walk.next(bytes)?;
        if let Some((width, height, _)) = segment.frame(bytes) {
            return Some((width, height));
        }
        if segment.code == SOS {
            return None;
        }
    }
}

const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;
const APP1: u8 = 0xe1;

/// A segment: its marker's code, where the marker begins, and its content with the two bytes of its length.
struct Segment {
    code: u8,
    begin: usize,
    content: Range<usize>,
    /// Stray bytes before the marker.
    stray: Range<usize>,
}

impl Segment {
    /// Width, height and components, of SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
    fn frame(&self, bytes: &[u8]) -> Option<(u32, u32, u8)> {
        if !matches!(self.code, 0xc0..=0xcf) || matches!(self.code, DHT | 0xc8 | 0xcc) {
            return None;
        }
        let b = bytes.get(self.content.start + 3..self.content.start + 8)?;
        let height = u16::from_be_bytes([b[0], b[1]]);
        let width = u16::from_be_bytes([b[2], b[3]]);
        (width > 0 && height > 0).then_some((width.into(), height.into(), b[4]))
    }
}

/// The segments of a header in order.
struct Walk {
    at: usize,
}

impl Walk {
    fn begin(bytes: &[u8]) -> Option<Self> {
        bytes.starts_with(b"\xff\xd8").then_some(Self { at: 2 })
    }

    fn next(&mut self, bytes: &[u8]) -> Option<Segment> {
        let from = self.at;
        let (code, begin, start) = loop {
            let begin = find_marker(bytes, self.at)?;
            let (code, start) = marker(bytes, begin)?;
            // A stuffed byte or a marker without content: not what a header is made of.
            if !matches!(code, 0x00 | 0x01 | 0xd0..=0xd9) {
                break (code, begin, start);
            }
            self.at = start;
            if self.at - from > MOST_STRAY {
                return None;
            }
        };
        let length = bytes.get(start..start + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 || begin - from > MOST_STRAY {
            return None;
        }
        self.at = start + length;
        Some(Segment {
            code,
            begin,
            content: start..start + length,
            stray: from..begin,
        })
    }
}

/// Where the next 0xff is.
fn find_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let found = bytes
        .get(at..)?
        .iter()
        .take(MOST_STRAY + 1)
        .position(|b| *b == 0xff)?;
    Some(at + found)
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

impl Header {
    /// Reads the header of a whole picture; `None`: not a JPEG, cut before its scan, or with more between its segments than
    /// can be left out.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut walk = Walk::begin(bytes)?;
        let (mut frame, mut has_tables, mut orientation) = (None, false, Orientation::NoTransforms);
        let (mut cuts, mut count) = (Cuts::default(), 0);
        let mut cut = |range: Range<usize>| {
            if !range.is_empty() {
                *cuts.get_mut(count)? = range;
                count += 1;
            }
            Some(())
        };
        let scan = loop {
            let segment = walk.next(bytes)?;
            cut(segment.stray.clone())?;
            frame = frame.or_else(|| segment.frame(bytes));
            match segment.code {
                SOS => break segment.begin,
                DHT => has_tables = true,
                APP1 => {
                    let content = bytes.get(segment.content.start + 2..segment.content.end)?;
                    let exif = content.strip_prefix(b"Exif\0\0");
                    match exif.and_then(Orientation::from_exif_chunk) {
                        None | Some(Orientation::NoTransforms) => {}
                        Some(turned) => {
                            orientation = turned;
                            cut(segment.begin..segment.content.end)?;
                        }
                    }
                }
                _ => {}
            }
        };
        let (width, height, components) = frame?;
        Some(Self {
            width,
            height,
            components,
            orientation,
            has_tables,
            scan,
            cuts,
        })
    }

    /// Whether every reader shows the same picture: upright as it is stored, and grey or colour.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.orientation == Orientation::NoTransforms && matches!(self.components, 1 | 3)
    }

    /// See [`whole`]; `bytes` are those that this header was read from.
    #[must_use]
    pub fn whole<'a>(&self, bytes: &'a [u8]) -> Whole<'a> {
        if self.has_tables && self.cuts.iter().all(Range::is_empty) {
            return Whole::untouched(bytes);
        }
        let mut parts: [&[u8]; CUTS + 3] = [&[]; CUTS + 3];
        let mut at = 0;
        for (part, cut) in parts.iter_mut().zip(&self.cuts) {
            if !cut.is_empty() {
                *part = &bytes[at..cut.start];
                at = cut.end;
            }
        }
        parts[CUTS] = &bytes[at..self.scan];
        if !self.has_tables {
            parts[CUTS + 1] = &tables::STANDARD;
        }
        parts[CUTS + 2] = &bytes[self.scan..];
        Whole { parts }
    }
}

/// A picture in parts.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    parts: [&'a [u8]; CUTS + 3],
}

impl<'a> Whole<'a> {
    /// Bytes to which nothing is done.
    #[must_use]
    pub fn untouched(bytes: &'a [u8]) -> Self {
        let mut parts: [&[u8]; CUTS + 3] = [&[]; CUTS + 3];
        parts[0] = bytes;
        Self { parts }
    }

    /// To be written one after the other; some may be empty.
    #[must_use]
    pub fn parts(&self) -> &[&'a [u8]] {
        &self.parts
    }

    /// The picture in one piece: where it lies if nothing was done to it, else put together in `buffer`.
    pub fn in_one_piece<'b>(&self, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let [first, rest @ ..] = &self.parts;
        if rest.iter().all(|part| part.is_empty()) {
            return first;
        }
        buffer.clear();
        for part in &self.parts {
            buffer.extend_from_slice(part);
        }
        buffer
    }

    /// Bytes of all parts.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a picture is never empty")]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// The picture with Huffman tables, and without stray bytes and EXIF data that would turn it; [untouched](Whole::untouched)
/// where all of that is in order, or its header cannot be read.
///
/// ```
/// # let jpeg = [0; 4];
/// let whole = hanja_picture::jpeg::whole(&jpeg).parts().concat();
/// # assert_eq!(whole, jpeg);
/// ```
#[must_use]
pub fn whole(bytes: &[u8]) -> Whole<'_> {
    Header::read(bytes).map_or_else(|| Whole::untouched(bytes), |header| header.whole(bytes))
}

/// Whether there is an end marker at the end, or not far before it.
#[must_use]
pub fn has_end(scan: &[u8]) -> bool {
    let tail = &scan[scan.len().saturating_sub(TAIL)..];
    tail.windows(2).any(|pair| pair == END)
}

/// Bytes that are no JPEG, or one that is cut before its scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JPEG, or cut before its scan")]
pub struct NotJpeg;

/// State of a search for a picture's end: with a longer buffer it goes on where it stopped in a shorter one.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndScan {
    at: usize,
    entropy: bool,
    /// A scan has begun.
    scanned: bool,
}

impl EndScan {
    /// Finds the end of the picture that starts at 0: `Ok(Some(len))`, `Ok(None)` if more bytes are needed. A picture
    /// without an end marker ends where the next one begins.
    ///
    /// # Errors
    /// This is no JPEG, or it is cut before its scan.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotJpeg> {
        if self.at == 0 {
            match bytes.get(..2) {
                Some(b"\xff\xd8") => self.at = 2,
                Some(_) => return Err(NotJpeg),
                None => return Ok(None),
            }
        }
        loop {
            if self.entropy && !self.skip_entropy(bytes) {
                return Ok(None);
            }
            let Some((code, start)) = self.marker(bytes)? else {
                return Ok(None);
            };
            match code {
                0xd9 => return Ok(Some(start)),
                0xd8 if self.scanned => return Ok(Some(self.at)),
                // Another picture begins, and this one has not.
                0xd8 => return Err(NotJpeg),
                0x00 | 0x01 | 0xd0..=0xd7 => self.at = start,
                _ => {
                    let Some(length) = bytes.get(start..start + 2) else {
                        return Ok(None);
                    };
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    if length < 2 {
                        return Err(NotJpeg);
                    }
                    if bytes.len() < start + length {
                        return Ok(None);
                    }
                    self.at = start + length;
                    self.entropy = code == SOS;
                    self.scanned |= self.entropy;
                }
            }
        }
    }

    /// Whether the picture has begun its scan: what there is of it may be all of it, without an end marker.
    #[must_use]
    pub fn scanned(&self) -> bool {
        self.scanned
    }

    /// The next marker of the header, after stray bytes; `Ok(None)` if it is not there yet.
    fn marker(&mut self, bytes: &[u8]) -> Result<Option<(u8, usize)>, NotJpeg> {
        match find_marker(bytes, self.at.min(bytes.len())) {
            Some(begin) => {
                self.at = begin;
                Ok(marker(bytes, begin))
            }
            None if bytes.len().saturating_sub(self.at) > MOST_STRAY => Err(NotJpeg),
            None => Ok(None),
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
mod tests;

//! Pictures in a directory, one after the other. JPEGs go into the ring as they are, like a camera's; other kinds are
//! decoded once.

use super::Shape;
use crate::pace::Pace;
use crate::source::{Event, Frame, Source, SourceError};
use hanja_picture::{StillError, jpeg};
use hanja_record::PixelFormat;
use hanja_ring::now_ns;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ENDINGS: [&str; 6] = ["jpg", "jpeg", "jpe", "png", "bmp", "webp"];
/// Pictures are kept in memory up to this; the rest is read anew each time.
const CACHE: usize = 64 << 20;
/// A decoded picture takes three bytes a pixel in each slot of the ring: 8K, in 800 MB.
const MAX_PIXELS: u64 = 34_000_000;

#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    files: Vec<PathBuf>,
    next: usize,
    repeat: bool,
    pace: Pace,
    cache: HashMap<usize, (Shape, Vec<u8>)>,
    cached: usize,
    /// The picture shown now, if the cache has no room for it.
    current: (Shape, Vec<u8>),
    /// Files whose error has been logged.
    warned: Vec<bool>,
    any_usable: bool,
    seq: u64,
}

impl Dir {
    pub(crate) fn open(path: &Path, fps: f64, repeat: bool) -> Result<Self, SourceError> {
        let entries = std::fs::read_dir(path).map_err(|source| SourceError::Read {
            path: path.to_owned(),
            source,
        })?;
        let picture = |p: &PathBuf| {
            let ending = p.extension().and_then(|e| e.to_str()).unwrap_or("");
            ENDINGS.iter().any(|e| e.eq_ignore_ascii_case(ending))
        };
        let mut files: Vec<_> = entries
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(picture)
            .collect();
        if files.is_empty() {
            return Err(SourceError::Empty(path.to_owned()));
        }
        alphanumeric_sort::sort_path_slice(&mut files); // page2 before page10
        let shape = Shape {
            format: PixelFormat::Grey,
            width: 0,
            height: 0,
        };
        Ok(Self {
            path: path.to_owned(),
            warned: vec![false; files.len()],
            files,
            next: 0,
            repeat,
            pace: Pace::new(fps),
            cache: HashMap::new(),
            cached: 0,
            current: (shape, Vec::new()),
            any_usable: false,
            seq: 0,
        })
    }

    /// Makes picture `index` available in the cache or as the current one; false: it cannot be used.
    fn load(&mut self, index: usize) -> bool {
        if self.cache.contains_key(&index) {
            return true;
        }
        match read(&self.files[index]) {
            Ok(picture) => {
                if self.cached + picture.1.len() <= CACHE {
                    self.cached += picture.1.len();
                    self.cache.insert(index, picture);
                } else {
                    self.current = picture;
                }
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.warned[index], true) {
                    tracing::warn!("{} left out: {}", self.files[index].display(), error.reason);
                }
                false
            }
        }
    }

    /// The next usable picture; `None`: the end.
    fn advance(&mut self) -> Result<Option<usize>, SourceError> {
        loop {
            if self.next == self.files.len() {
                if !self.any_usable {
                    return Err(SourceError::Empty(self.path.clone()));
                }
                if !self.repeat {
                    return Ok(None);
                }
                (self.next, self.any_usable) = (0, false);
            }
            let index = self.next;
            self.next += 1;
            if self.load(index) {
                self.any_usable = true;
                return Ok(Some(index));
            }
        }
    }
}

impl Source for Dir {
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        let Some(due) = self.pace.next_due(wait) else {
            return Ok(Event::Idle);
        };
        let Some(index) = self.advance()? else {
            return Ok(Event::Ended);
        };
        self.seq += 1;
        let (shape, bytes) = self.cache.get(&index).unwrap_or(&self.current);
        Ok(Event::Frame(Frame {
            format: shape.format,
            width: shape.width,
            height: shape.height,
            stride: shape.format.min_stride(shape.width),
            bytes,
            driver_seq: self.seq - 1,
            t_sensor: due,
            t_dequeued: now_ns(),
            flags: 0,
            truth: &[],
        }))
    }
}

/// A JPEG as it is, where every reader makes the same of it; anything else decoded, as `hanja detect` does.
fn read(path: &Path) -> Result<(Shape, Vec<u8>), StillError> {
    let bytes = hanja_picture::bytes(path)?;
    let passes = |header: &jpeg::Header| header.is_plain() && jpeg::has_end(&bytes);
    if let Some(header) = jpeg::Header::read(&bytes).filter(passes) {
        let shape = Shape {
            format: PixelFormat::Mjpg,
            width: header.width,
            height: header.height,
        };
        return Ok((shape, bytes));
    }
    let picture = hanja_picture::decode(path, &bytes, MAX_PIXELS)?;
    let shape = Shape {
        format: PixelFormat::Rgb3,
        width: picture.width,
        height: picture.height,
    };
    Ok((shape, picture.into_rgb()))
}

#[cfg(test)]
mod tests {
    use super::super::sample_jpeg;
    use super::*;

    fn frames(
        dir: &Path,
        repeat: bool,
        most: usize,
    ) -> Result<Vec<(PixelFormat, u32)>, SourceError> {
        let mut source = Dir::open(dir, 500.0, repeat)?;
        let mut seen = Vec::new();
        while seen.len() < most {
            match source.next(Duration::from_millis(20))? {
                Event::Frame(f) => seen.push((f.format, f.width)),
                Event::Idle => {}
                Event::Ended => break,
            }
        }
        Ok(seen)
    }

    #[test]
    fn jpegs_as_they_are_others_decoded_broken_ones_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a.jpg"), sample_jpeg(32, 16, 1)).unwrap();
        std::fs::write(at("b.jpg"), &sample_jpeg(32, 16, 1)[..15]).unwrap();
        image::RgbImage::new(20, 10).save(at("c.png")).unwrap();
        std::fs::write(at("notes.txt"), "no picture").unwrap();
        let want = [(PixelFormat::Mjpg, 32), (PixelFormat::Rgb3, 20)];
        assert_eq!(frames(dir.path(), false, 9).unwrap(), want);
        assert_eq!(frames(dir.path(), true, 4).unwrap(), [want, want].concat());
    }

    #[test]
    fn nothing_usable_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            frames(dir.path(), true, 1),
            Err(SourceError::Empty(_))
        ));
        std::fs::write(dir.path().join("a.jpg"), "rubbish").unwrap();
        assert!(matches!(
            frames(dir.path(), true, 1),
            Err(SourceError::Empty(_))
        ));
        assert!(matches!(
            frames(Path::new("/nowhere"), true, 1),
            Err(SourceError::Read { .. })
        ));
    }
}

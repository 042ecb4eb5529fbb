//! Everything a scene can be made of, read once before the first picture is drawn: handwriting,
//! pen strokes, fonts, characters that are not numerals, and photographs.

use super::canvas::Canvas;
use super::fonts::{self, Word};
use super::glyph::Glyph;
use super::{SynthError, SynthOptions, Writers};
use hanja_handwriting::{CLASSES, LABELS, Stroke, smooth_polyline};
use rayon::prelude::*;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Shapes so close to a numeral that no reader could tell: never drawn as something else.
pub(crate) const AMBIGUOUS: &str = "一二三四五六七八九十ノ丨丿乀丶亠亅冫儿罒乂メ乄ニハミ彡ㅡㅣㅓ＋－＝ー―卜トこにへヘtlI1|+-=_~—–─〇";

/// The material, all in memory.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// Scanned handwriting by class.
    pub(crate) written: [Vec<Glyph>; CLASSES],
    /// Recorded pen strokes by class.
    pub(crate) strokes: [Vec<Glyph>; CLASSES],
    /// The numerals as fonts draw them, by class.
    pub(crate) fonts: [Vec<Glyph>; CLASSES],
    /// Pictures of other characters, one list a `--distractors` folder.
    pub(crate) others: Vec<Vec<Glyph>>,
    /// Recorded pen strokes of other hanja, most like a numeral first.
    pub(crate) other_strokes: Vec<Glyph>,
    /// Other characters as fonts draw them: look-alikes, then everything else.
    pub(crate) other_fonts: Vec<Glyph>,
    /// Words as fonts draw them.
    pub(crate) words: Vec<Word>,
    /// The Latin digits among `others` and `other_fonts`.
    pub(crate) digits: Vec<Glyph>,
    /// Photographs.
    pub(crate) photos: Vec<Canvas>,
    /// Files that could not be used, with the reason.
    pub(crate) warnings: Vec<String>,
}

impl Library {
    /// Reads all that `options` names.
    ///
    /// # Errors
    /// A folder or file that does not exist or has nothing usable in it. Single unreadable
    /// pictures are skipped and listed in `warnings`.
    pub(crate) fn load(options: &SynthOptions) -> Result<Self, SynthError> {
        let mut library = Self::default();
        for folder in &options.chars {
            library.load_handwriting(folder, options.writers)?;
        }
        for folder in &options.distractors {
            library.load_others(folder, options)?;
        }
        for file in &options.strokes {
            library.load_strokes(file, options.writers)?;
        }
        for path in &options.fonts {
            library.load_fonts(path, options.writers)?;
        }
        for folder in &options.backgrounds {
            library.load_photos(folder)?;
        }
        Ok(library)
    }

    fn load_handwriting(&mut self, folder: &Path, writers: Writers) -> Result<(), SynthError> {
        let before: usize = self.written.iter().map(Vec::len).sum();
        for class in 0..CLASSES {
            let files = pictures(&folder.join((class + 1).to_string())).unwrap_or_default();
            let files: Vec<_> = files.into_iter().filter(|f| writers.takes(f)).collect();
            let glyphs = self.read_glyphs(&files);
            self.written[class].extend(glyphs);
        }
        if !folder.is_dir() {
            return Err(SynthError::NoFolder {
                what: "--chars",
                path: folder.to_owned(),
            });
        }
        let after: usize = self.written.iter().map(Vec::len).sum();
        if after == before && !writers.held_out() {
            return Err(SynthError::NothingInside {
                what: "--chars",
                path: folder.to_owned(),
                wanted: "folders 1/ to 10/ with JPEG or PNG pictures of one character each",
            });
        }
        Ok(())
    }

    fn load_others(&mut self, folder: &Path, options: &SynthOptions) -> Result<(), SynthError> {
        let skipped = |f: &PathBuf| {
            let name = f.to_string_lossy();
            options.skip.iter().any(|s| name.contains(s.as_str()))
        };
        let mut files = pictures(folder).map_err(|_| SynthError::NoFolder {
            what: "--distractors",
            path: folder.to_owned(),
        })?;
        files.retain(|f| !skipped(f) && options.writers.takes_other(f));
        if files.is_empty() {
            return Err(SynthError::NothingInside {
                what: "--distractors",
                path: folder.to_owned(),
                wanted: "JPEG or PNG pictures of one character each, at any depth",
            });
        }
        let glyphs = self.read_glyphs(&files);
        if folder.ends_with("mnist") {
            self.digits.extend(glyphs.iter().cloned());
        }
        self.others.push(glyphs);
        Ok(())
    }

    fn read_glyphs(&mut self, files: &[PathBuf]) -> Vec<Glyph> {
        let read: Vec<Result<Glyph, String>> = files.par_iter().map(|f| read_glyph(f)).collect();
        let mut glyphs = Vec::with_capacity(read.len());
        for result in read {
            match result {
                Ok(glyph) => glyphs.push(glyph),
                Err(reason) => self.warnings.push(reason),
            }
        }
        glyphs
    }

    fn load_strokes(&mut self, file: &Path, writers: Writers) -> Result<(), SynthError> {
        let bad = |reason: String| SynthError::Strokes {
            path: file.to_owned(),
            reason,
        };
        for (character, strokes) in read_strokes(file).map_err(bad)? {
            let Some(glyph) = Glyph::from_strokes(&strokes) else {
                continue;
            };
            match LABELS.iter().position(|l| *l == character) {
                Some(class) if !writers.held_out() => self.strokes[class].push(glyph),
                Some(_) => {}
                // Characters of many strokes look like no numeral; a blot at small sizes.
                None if AMBIGUOUS.contains(&character) || strokes.len() > 12 => {}
                None => self.other_strokes.push(glyph),
            }
        }
        Ok(())
    }

    fn load_fonts(&mut self, path: &Path, writers: Writers) -> Result<(), SynthError> {
        let loaded = fonts::load(path)?;
        for font in loaded {
            if !writers.held_out() && font.numerals.iter().all(Option::is_some) {
                for (class, glyph) in font.numerals.into_iter().enumerate() {
                    self.fonts[class].extend(glyph);
                }
            }
            self.digits.extend(font.digits);
            self.other_fonts.extend(font.others);
            self.words.extend(font.words);
        }
        Ok(())
    }

    fn load_photos(&mut self, folder: &Path) -> Result<(), SynthError> {
        let files = pictures(folder).map_err(|_| SynthError::NoFolder {
            what: "--backgrounds",
            path: folder.to_owned(),
        })?;
        let read: Vec<_> = files.par_iter().map(|f| read_photo(f)).collect();
        for result in read {
            match result {
                Ok(photo) => self.photos.push(photo),
                Err(reason) => self.warnings.push(reason),
            }
        }
        if self.photos.is_empty() {
            return Err(SynthError::NothingInside {
                what: "--backgrounds",
                path: folder.to_owned(),
                wanted: "JPEG or PNG photographs",
            });
        }
        Ok(())
    }
}

/// All pictures under `folder`, at any depth, sorted so that the order does not depend on the disk.
fn pictures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if path.is_dir() {
                open.push(path);
            } else if ["jpg", "jpeg", "png", "bmp", "webp"]
                .contains(&extension.to_ascii_lowercase().as_str())
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read_glyph(file: &Path) -> Result<Glyph, String> {
    let picture = image::open(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let grey = picture.to_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    Glyph::from_grey(grey.as_raw(), width, height)
        .ok_or_else(|| format!("{}: no ink stands out from the ground", file.display()))
}

/// Photographs are kept at no more than 512 pixels on the shorter side: frames are not larger.
fn read_photo(file: &Path) -> Result<Canvas, String> {
    let picture = image::open(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let short = picture.width().min(picture.height());
    let picture = if short > 512 {
        let to = |v: u32| (u64::from(v) * 512 / u64::from(short)) as u32;
        let (w, h) = (to(picture.width()), to(picture.height()));
        picture.resize_exact(w, h, image::imageops::FilterType::Triangle)
    } else {
        picture
    };
    let rgb = picture.to_rgb8();
    let mut canvas = Canvas::new(rgb.width() as usize, rgb.height() as usize, [0.0; 3]);
    for (to, from) in canvas.pixels.iter_mut().zip(rgb.pixels()) {
        *to = from.0.map(|v| f32::from(v) / 255.0);
    }
    Ok(canvas)
}

/// Reads `[{"char", "strokes": [[[x, y]…]…]}…]` or `{"char": [[[x, y]…]…]…}`, plain or gzipped.
fn read_strokes(file: &Path) -> Result<Vec<(String, Vec<Stroke>)>, String> {
    let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        // A bound on what a small hostile file may unfold to.
        let reader = flate2::read::GzDecoder::new(bytes.as_slice());
        reader
            .take(256 << 20)
            .read_to_end(&mut text)
            .map_err(|e| e.to_string())?;
        text
    } else {
        bytes
    };
    type Lines = Vec<Vec<(f32, f32)>>;
    #[derive(serde::Deserialize)]
    struct Sample {
        char: String,
        // Absent where a sample is recorded in another form, such as SVG paths.
        #[serde(default)]
        strokes: Lines,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum File {
        Samples(Vec<Sample>),
        ByCharacter(std::collections::BTreeMap<String, Lines>),
    }
    let parsed: File = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let samples: Vec<(String, Lines)> = match parsed {
        File::Samples(samples) => samples.into_iter().map(|s| (s.char, s.strokes)).collect(),
        File::ByCharacter(map) => map.into_iter().collect(),
    };
    let smooth = |lines: Lines| lines.iter().map(|l| smooth_polyline(l, 6)).collect();
    Ok(samples
        .into_iter()
        .map(|(character, lines)| (character, smooth(lines)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn stroke_files_come_in_two_forms_plain_or_gzipped() {
        let folder = tempfile::tempdir().unwrap();
        let samples = r#"[{"char":"一","source":"x","strokes":[[[0,5],[9,5]]]},{"char":"二"}]"#;
        let by_character = r#"{"人":[[[5,0],[0,9]],[[5,3],[9,9]]]}"#;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(by_character.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let read = |bytes: &[u8]| {
            let file = folder.path().join("strokes");
            std::fs::write(&file, bytes).unwrap();
            read_strokes(&file)
        };
        let found = read(samples.as_bytes()).unwrap();
        assert_eq!(
            found.iter().map(|(_, s)| s.len()).collect::<Vec<_>>(),
            [1, 0]
        );
        for bytes in [by_character.as_bytes(), packed.as_slice()] {
            let found = read(bytes).unwrap();
            assert_eq!((found[0].0.as_str(), found[0].1.len()), ("人", 2));
        }
        assert!(read(b"[1, 2]").is_err());
    }

    #[test]
    fn ambiguous_characters_and_numerals_are_never_distractors() {
        for character in ["一", "十", "ニ", "ハ", "+", "-", "=", "ㅡ", "t"] {
            assert!(
                AMBIGUOUS.contains(character),
                "{character} would be drawn as a distractor"
            );
        }
        for character in ["人", "入", "力", "土", "王", "工", "西"] {
            assert!(
                !AMBIGUOUS.contains(character),
                "{character} should be a distractor"
            );
        }
    }
}

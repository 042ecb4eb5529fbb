//! Characters from font files: a font is one more careful hand, and the only source with every
//! look-alike in it.

use super::SynthError;
use super::glyph::Glyph;
use super::library::AMBIGUOUS;
use ab_glyph::{Font, FontVec, PxScale, ScaleFont};
use hanja_handwriting::{CLASSES, LABELS};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Hanja that share strokes with the numerals, then others that forms and notes are full of.
const HANJA: &str = "人入力土士干王工丁下上匕西刀又大小口日目田由甲申山川千万百零去元六亢文方\
立主五吾正止匹皿血四回因曲典七切匕比北毛也屯九丸几凡力乃及久夕十古千牛午半平木本末未八分公父交\
三王玉主川二于元云示仁一丁上下不天夫年月火水金木土日名前学校字國語文字漢數";
const HANGUL: &str = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우\
주추쿠투푸후그느드르므브스으즈츠크트프흐기니디리미비시이지치키티피히일이삼사오육칠팔구십의를은는을\
에서한글국어수학산과학교장님년월일점수이름반번호시험문제답";
const KANA: &str = "あいうえおかきくけさしすせそたちつてなぬねのはひふほまみむめもやゆよらりるれ\
ろわをんアイウエオカキクケコサシスセソタチツテナヌネノヒフホマムメモヤユヨラリルレロワヲン";
const LATIN: &str = "ABCDEFGHJKLMNOPQRSUVWXYZabcdefghjkmnopqrsuvwxyz?!&%#@*()/<>{}[]→←↑↓△□○";
const DIGITS: &str = "023456789";

/// What one font draws.
#[derive(Debug)]
pub(crate) struct LoadedFont {
    /// The ten numerals; `None` where the font draws nothing.
    pub(crate) numerals: [Option<Glyph>; CLASSES],
    pub(crate) digits: Vec<Glyph>,
    pub(crate) others: Vec<Glyph>,
    pub(crate) words: Vec<Word>,
}

/// A handwritten word or sum: strokes that alone could be a numeral, `-` or `l` or `t`, beside others that say what
/// they are.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) glyph: Glyph,
    /// Its length, in heights of a capital letter.
    pub(crate) length: f32,
}

/// Words of the languages that notes are written in, short ones above all; names, sums, dates, abbreviations.
const WORDS: &str = "it is in to of the and with what will have this that it's I'll little title until total list \
tell tilt limit hill fill still kill-time half-life self- -like t-shirt e-mail x-ray by-pass A-B x=1 y=2x a+b a-b \
2+3=5 7-4=3 x+y=z t=0 1/2 3-4 10:30 12-31 +1 -1 No. Nr. vs. etc. Tel. Mr. St. Dr. movement needed believe added, \
Germany facilities week couldn't information reference Elise Fritz Lili Otto Attila Tina Lotte letter bottle table \
milk tea T-bone F = ma E = mc + c = - x - = + -- a - b to-do le la les et est une filles petite l'été d'ici \
der die das und ist mit Titel Tisch elle fait tout très il lui notre ville 12 31 14 41 17 71 111 1st 2nd 4th i.e. \
학교 수학 시험 이름 번호 우리 나라 으로 그리고 합니다 오늘 스트 그으 미흐 일기 이ㅡ ㅡ이 트위스트 아이";

/// Loads a font file, or every `.ttf` and `.otf` in a folder, in name order.
///
/// # Errors
/// When there is no such file or folder, it holds no font, or a file is not a font.
pub(crate) fn load(path: &Path) -> Result<Vec<LoadedFont>, SynthError> {
    let files = if path.is_dir() {
        font_files(path)
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        return Err(SynthError::NothingInside {
            what: "--fonts",
            path: path.to_owned(),
            wanted: ".ttf or .otf files",
        });
    }
    files.par_iter().map(|f| load_file(f)).collect()
}

fn font_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_font = |p: &PathBuf| {
        let extension = p.extension().and_then(|e| e.to_str()).unwrap_or("");
        ["ttf", "otf"].contains(&extension.to_ascii_lowercase().as_str())
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_font).collect();
    files.sort();
    files
}

fn load_file(file: &Path) -> Result<LoadedFont, SynthError> {
    let bad = |reason: String| SynthError::Font {
        path: file.to_owned(),
        reason,
    };
    let bytes = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
    let font = FontVec::try_from_vec(bytes).map_err(|e| bad(e.to_string()))?;
    let of = |text: &str| -> Vec<Glyph> {
        let mut wanted: Vec<char> = text.chars().filter(|c| !AMBIGUOUS.contains(*c)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.into_iter().filter_map(|c| draw(&font, c)).collect()
    };
    let numerals = LABELS.map(|l| l.chars().next().and_then(|c| draw(&font, c)));
    let digits = of(DIGITS);
    let mut others = of(HANJA);
    for text in [HANGUL, KANA, LATIN, DIGITS] {
        others.extend(of(text));
    }
    let words = WORDS.split_whitespace();
    let words = words.filter_map(|w| draw_word(&font, w)).collect();
    Ok(LoadedFont {
        numerals,
        digits,
        others,
        words,
    })
}

/// Draws one word; `None` for a single mark, which could be anything, and where the font lacks a letter.
fn draw_word(font: &FontVec, word: &str) -> Option<Word> {
    const SIZE: f32 = 56.0;
    let scaled = font.as_scaled(PxScale::from(SIZE));
    let (mut x, mut outlines) = (0.0, Vec::new());
    let mut previous = None;
    for character in word.chars() {
        let id = scaled.glyph_id(character);
        if id.0 == 0 {
            return None;
        }
        if let Some(previous) = previous {
            x += scaled.kern(previous, id);
        }
        previous = Some(id);
        let placed = id.with_scale_and_position(PxScale::from(SIZE), ab_glyph::point(x, SIZE));
        x += scaled.h_advance(id);
        outlines.push(font.outline_glyph(placed)?);
    }
    if outlines.len() < 2 {
        return None;
    }
    let edge = |of: fn(&ab_glyph::Rect) -> f32, pick: fn(f32, f32) -> f32| {
        outlines.iter().map(|o| of(&o.px_bounds())).reduce(pick)
    };
    let (left, right) = (edge(|b| b.min.x, f32::min)?, edge(|b| b.max.x, f32::max)?);
    let (top, bottom) = (edge(|b| b.min.y, f32::min)?, edge(|b| b.max.y, f32::max)?);
    let (width, height) = ((right - left) as usize + 10, (bottom - top) as usize + 10);
    if width > 1024 || height > 256 {
        return None;
    }
    let mut grey = vec![0u8; width * height];
    for outline in &outlines {
        let corner = outline.px_bounds().min;
        let (dx, dy) = (
            (corner.x - left) as usize + 4,
            (corner.y - top) as usize + 4,
        );
        outline.draw(|x, y, cover| {
            let at = (y as usize + dy) * width + x as usize + dx;
            if let Some(pixel) = grey.get_mut(at) {
                *pixel = (*pixel).max((cover.clamp(0.0, 1.0) * 255.0) as u8);
            }
        });
    }
    let glyph = Glyph::from_grey(&grey, width, height)?;
    let length = (right - left).max(bottom - top) / (0.7 * SIZE);
    Some(Word { glyph, length })
}

/// Draws one character 72 pixels high; `None` when the font lacks it or draws it blank.
fn draw(font: &FontVec, character: char) -> Option<Glyph> {
    const SIZE: f32 = 72.0;
    let id = font.glyph_id(character);
    if id.0 == 0 {
        return None;
    }
    let glyph = id.with_scale_and_position(PxScale::from(SIZE), ab_glyph::point(0.0, 0.0));
    let outline = font.outline_glyph(glyph)?;
    let bounds = outline.px_bounds();
    let (w, h) = (
        bounds.width().ceil() as usize,
        bounds.height().ceil() as usize,
    );
    if w == 0 || h == 0 || w > 4096 || h > 4096 {
        return None;
    }
    // A border of ground, which is how a glyph's polarity is told.
    let (width, height) = (w + 8, h + 8);
    let mut grey = vec![0u8; width * height];
    outline.draw(|x, y, cover| {
        let at = (y as usize + 4) * width + x as usize + 4;
        if let Some(pixel) = grey.get_mut(at) {
            *pixel = (cover.clamp(0.0, 1.0) * 255.0) as u8;
        }
    });
    Glyph::from_grey(&grey, width, height)
}

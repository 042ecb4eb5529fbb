//! The letters burnt into pictures: the ten numerals and the digits as bitmaps, so that no font is needed.

/// Height of a label in pixels.
pub(super) const HEIGHT: i64 = 16;

const DIGIT_WIDTH: usize = 6;
const DIGIT_ROWS: i64 = 10;
/// 0 to 9, point, number sign; 6x10 each.
const DIGITS: &str = "\
.####. ..##.. .####. .####. ...### ###### ..###. ###### .####. .####. ...... ......
##..## .###.. ##..## ##..## ..#### ##.... .##... ....## ##..## ##..## ...... .#..#.
##..## ####.. ....## ....## ..#.## ##.... ##.... ....## ##..## ##..## ...... .#..#.
##..## ..##.. ....## ....## .##.## #####. ##.... ...##. ##..## ##..## ...... ######
##..## ..##.. ...##. ..###. .#..## ##..## #####. ...##. .####. ##..## ...... .#..#.
##..## ..##.. ..##.. ....## ##..## ....## ##..## ..##.. ##..## .##### ...... .#..#.
##..## ..##.. .##... ....## ###### ....## ##..## ..##.. ##..## ....## ...... ######
##..## ..##.. ##.... ....## ....## ....## ##..## .##... ##..## ....## ...... .#..#.
##..## ..##.. ##.... ##..## ....## ##..## ##..## .##... ##..## ...##. ..##.. .#..#.
.####. ###### ###### .####. ....## .####. .####. .##... .####. .###.. ..##.. ......
";

const NUMERAL_WIDTH: usize = 16;
/// 一 to 五; 16x16 each.
const FIRST_FIVE: &str = "\
................ ................ ................ ................ ................
................ ................ ................ .##############. .##############.
................ ................ ..############.. .##############. .##############.
................ ...##########... ..############.. .##..##..##..##. .....##.........
................ ...##########... ................ .##..##..##..##. .....##.........
................ ................ ................ .##..##..##..##. .....##.........
................ ................ ................ .##..##..##..##. ..###########...
################ ................ ...##########... .##.##...##..##. ..###########...
################ ................ ...##########... .####....######. ....##.....##...
................ ................ ................ .##..........##. ....##.....##...
................ ................ ................ .##..........##. ....##.....##...
................ ................ ................ .##..........##. ....##.....##...
................ ################ ................ .##############. ...##......##...
................ ################ ################ .##############. ################
................ ................ ################ .##..........##. ################
................ ................ ................ ................ ................
";
/// 六 to 十.
const LAST_FIVE: &str = "\
................ ................ ................ ................ ................
.......##....... .....##......... ................ ......##........ .......##.......
.......##....... .....##......... .....##.##...... ......##........ .......##.......
........##...... .....##......... .....##..##..... ......##........ .......##.......
................ .....##.....###. .....##..##..... .##########..... .......##.......
################ .....##.#######. .....##..##..... .##########..... .......##.......
################ ..##########.... ....##...##..... ......##.##..... ################
................ #######......... ....##....##.... ......##.##..... ################
....##....##.... ##...##......... ....##....##.... .....##..##..... .......##.......
....##....##.... .....##......... ...##.....##.... .....##..##..... .......##.......
...##......##... .....##.......## ...##......##... .....##..##...## .......##.......
...##......##... .....##.......## ..##.......##... ....##...##...## .......##.......
..##........##.. .....##.......## ..##........##.. ...##....##...## .......##.......
..##........##.. .....########### .##..........##. ..##.....####### .......##.......
.##..........##. ......#########. ##............## ###.......#####. .......##.......
................ ................ ................ ................ ................
";

/// One letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glyph {
    /// Class 0 to 9 of the shipped model: 一 to 十.
    Numeral(usize),
    /// 0 to 9.
    Digit(usize),
    Point,
    NumberSign,
}

/// What is written on a box: numeral and score, `三 0.93`, or `#12 0.93` for a class that is not one of ours.
pub(super) fn label(class: u16, score: f32) -> Vec<Glyph> {
    let mut text = Vec::new();
    match usize::from(class) {
        numeral @ 0..=9 => text.push(Glyph::Numeral(numeral)),
        _ => {
            text.push(Glyph::NumberSign);
            text.extend(class.to_string().bytes().map(digit));
        }
    }
    text.extend(format!("{:.2}", score.clamp(0.0, 1.0)).bytes().map(digit));
    text
}

/// Anything that is no digit (the point; `NaN` of a broken record) becomes a point.
fn digit(byte: u8) -> Glyph {
    match byte {
        b'0'..=b'9' => Glyph::Digit(usize::from(byte - b'0')),
        _ => Glyph::Point,
    }
}

impl Glyph {
    /// Bitmap, which of the letters in it, width of each, and the row at which it begins.
    fn place(self) -> (&'static str, usize, usize, i64) {
        let low = HEIGHT - DIGIT_ROWS - 2;
        match self {
            Self::Numeral(n @ 0..=4) => (FIRST_FIVE, n, NUMERAL_WIDTH, 0),
            Self::Numeral(n) => (LAST_FIVE, n - 5, NUMERAL_WIDTH, 0),
            Self::Digit(n) => (DIGITS, n, DIGIT_WIDTH, low),
            Self::Point => (DIGITS, 10, DIGIT_WIDTH, low),
            Self::NumberSign => (DIGITS, 11, DIGIT_WIDTH, low),
        }
    }

    /// In pixels.
    pub(super) fn width(self) -> i64 {
        match self {
            Self::Numeral(_) => NUMERAL_WIDTH as i64 + 3, // and a space
            _ => DIGIT_WIDTH as i64,
        }
    }

    /// The set pixels as (x, y).
    pub(super) fn pixels(self) -> impl Iterator<Item = (i64, i64)> {
        let (bitmap, index, width, top) = self.place();
        bitmap.lines().enumerate().flat_map(move |(y, row)| {
            let letter = row.split(' ').nth(index).unwrap_or_default();
            letter
                .bytes()
                .take(width)
                .enumerate()
                .filter(|(_, b)| *b == b'#')
                .map(move |(x, _)| (x as i64, y as i64 + top))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn bitmaps_are_whole() {
        for (bitmap, rows, letters, width) in [
            (DIGITS, 10, 12, DIGIT_WIDTH),
            (FIRST_FIVE, 16, 5, NUMERAL_WIDTH),
            (LAST_FIVE, 16, 5, NUMERAL_WIDTH),
        ] {
            assert_eq!(bitmap.lines().count(), rows);
            for row in bitmap.lines() {
                let got: Vec<_> = row.split(' ').map(str::len).collect();
                assert_eq!(got, vec![width; letters], "{row}");
                assert!(row.bytes().all(|b| b"#. ".contains(&b)));
            }
        }
    }

    #[test]
    fn every_letter_is_its_own() {
        let numerals = (0..10).map(Glyph::Numeral);
        let all = numerals
            .chain((0..10).map(Glyph::Digit))
            .chain([Glyph::Point, Glyph::NumberSign]);
        let shapes: HashSet<Vec<_>> = all.map(|g| g.pixels().collect()).collect();
        assert_eq!(shapes.len(), 22);
        assert!(shapes.iter().all(|s| !s.is_empty()));
        let inside = |p: &(i64, i64)| (0..16).contains(&p.0) && (0..HEIGHT).contains(&p.1);
        assert!(shapes.iter().flatten().all(inside));
    }

    #[test]
    fn labels() {
        use Glyph::{Digit, NumberSign, Numeral, Point};
        assert_eq!(
            label(2, 0.934),
            [Numeral(2), Digit(0), Point, Digit(9), Digit(3)]
        );
        assert_eq!(
            label(12, 2.0),
            [
                NumberSign,
                Digit(1),
                Digit(2),
                Digit(1),
                Point,
                Digit(0),
                Digit(0)
            ]
        );
        assert_eq!(label(0, f32::NAN).len(), 4, "NaN must not panic");
    }
}

//! Writing on the screen without ever leaving it: whatever is asked, what does not fit is cut.

use crate::look;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

/// See the module. Columns and rows count from the corner of its area.
#[derive(Debug)]
pub(crate) struct Pen<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
}

impl<'a> Pen<'a> {
    /// Writes in `area`, as much of it as there is.
    pub(crate) fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area }
    }

    /// A pen for some of the rows.
    pub(crate) fn rows(&mut self, from: u16, rows: u16) -> Pen<'_> {
        self.part(0, from, self.area.width, rows)
    }

    /// A pen for a part.
    pub(crate) fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Pen<'_> {
        let x = self.area.x.saturating_add(x);
        let y = self.area.y.saturating_add(y);
        let area = Rect::new(x, y, width, height).intersection(self.area);
        Pen {
            buffer: self.buffer,
            area,
        }
    }

    pub(crate) fn width(&self) -> u16 {
        self.area.width
    }

    pub(crate) fn height(&self) -> u16 {
        self.area.height
    }

    /// Writes from column `x`; gives the column after it. Cut text ends with a sign of that.
    pub(crate) fn text(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        self.within(x, y, self.area.width.saturating_sub(x), text, style)
    }

    /// Writes into `width` columns.
    pub(crate) fn within(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        let width = width.min(self.area.width.saturating_sub(x));
        if width == 0 || y >= self.area.height {
            return x;
        }
        let text = cut(text, width.into());
        let at = (self.area.x + x, self.area.y + y);
        let (end, _) = self
            .buffer
            .set_stringn(at.0, at.1, text, width.into(), style);
        end - self.area.x
    }

    /// Writes so that it ends before column `end`; what does not fit into `width` is cut.
    pub(crate) fn right(&mut self, end: u16, width: u16, y: u16, text: &str, style: Style) {
        let needed = width_of(text).min(width.into()) as u16;
        self.within(end.saturating_sub(needed), y, needed, text, style);
    }

    /// A line across, with a title at its left and one at its right.
    pub(crate) fn rule(&mut self, y: u16, left: &str, right: &str) {
        let line = "─".repeat(self.area.width.into());
        self.text(0, y, &line, look::dim());
        if !left.is_empty() {
            self.text(2, y, &format!(" {left} "), look::bold());
        }
        let room = usize::from(self.area.width).saturating_sub(width_of(left) + 8);
        if !right.is_empty() && width_of(right) <= room {
            let end = self.area.width.saturating_sub(2);
            self.right(end, self.area.width, y, &format!(" {right} "), look::dim());
        }
    }
}

/// Columns that a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, or its beginning with a sign that there is more.
fn cut(text: &str, width: usize) -> std::borrow::Cow<'_, str> {
    if width_of(text) <= width {
        return text.into();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width_of(c.encode_utf8(&mut [0; 4]));
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short.into()
}

/// Breaks a text between words into lines of at most `width` columns; a longer word is broken too.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut needed = width_of(word);
        if used > 0 && used + 1 + needed <= width {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
            used += 1;
        } else if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let columns = width_of(c.encode_utf8(&mut [0; 4]));
            if needed > width && used + columns > width {
                lines.push(String::new());
                needed -= used;
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += columns;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 3));
        let mut pen = Pen::new(&mut buffer, Rect::new(2, 1, 50, 50));
        assert_eq!((pen.width(), pen.height()), (8, 2));
        for (x, y) in [(0, 0), (7, 1), (8, 0), (0, 2), (u16::MAX, u16::MAX)] {
            pen.text(x, y, "三三三三三三", Style::new());
            pen.within(x, y, u16::MAX, "abc", Style::new());
            pen.right(x, 5, y, "ends here", Style::new());
            pen.rule(y, "a title that is long", "another");
        }
        pen.part(u16::MAX, u16::MAX, 5, 5)
            .text(0, 0, "nowhere", Style::new());
        assert_eq!(buffer.content[0].symbol(), " ");
    }

    #[test]
    fn cut_text_says_so_and_fits() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("三三三", 4), "三…");
        assert_eq!(cut("abc", 1), "…");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(
            wrap("a /very/long/path", 6),
            ["a", "/very/", "long/p", "ath"]
        );
        for width in 0..9 {
            for line in wrap("三三三 ab 四四四四四 c", width) {
                assert!(width_of(&line) <= width.max(2), "{line}");
            }
        }
    }
}

//! How things look: colours, or none; Unicode, or ASCII. Everything is drawn as if both were there, and what the
//! terminal does not have is taken away from the finished picture, in one place.

use hanja_record::{MetricId, NUMERALS, StageName};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The sixteen colours of the terminal's own palette, so that light and dark grounds both work.
    pub color: bool,
    /// Block and line characters and CJK; otherwise ASCII alone.
    pub unicode: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// Where the terminal has it and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never; bold and reverse remain.
    Never,
}

/// Terminals without colour, by the beginning of their name.
const MONOCHROME: [&str; 6] = ["dumb", "vt1", "vt2", "vt3", "vt5", "hp"];

impl Look {
    /// From what the environment says; `var` looks a variable up.
    pub fn choose(colors: Colors, ascii: bool, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|v| !v.is_empty());
        let term = set("TERM").unwrap_or_default();
        let monochrome = term.is_empty()
            || term.ends_with("-m")
            || term.ends_with("-mono")
            || MONOCHROME.iter().any(|m| term.starts_with(m));
        // The first that is set decides, as in the C library.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let charset = locale.unwrap_or_default().to_ascii_lowercase();
        Self {
            color: match colors {
                Colors::Auto => !monochrome && set("NO_COLOR").is_none(),
                Colors::Always => true,
                Colors::Never => false,
            },
            unicode: !ascii && (charset.contains("utf-8") || charset.contains("utf8")),
        }
    }

    /// Takes away what the terminal does not have.
    pub(crate) fn reduce(self, buffer: &mut Buffer) {
        if !self.color {
            for cell in &mut buffer.content {
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            }
        }
        if !self.unicode {
            let mut carried = None;
            for cell in &mut buffer.content {
                carried = to_ascii(cell, carried);
            }
        }
    }
}

/// Replaces a cell's character by one of ASCII. `before`: what the wide character in the cell before wants here. Gives
/// what this one wants in the cell after it.
fn to_ascii(cell: &mut Cell, before: Option<char>) -> Option<char> {
    if let Some(second) = before {
        cell.set_char(second);
        return None;
    }
    let symbol = cell.symbol();
    if symbol.is_ascii() {
        return None;
    }
    if let Some(n) = NUMERALS.iter().position(|n| *n == symbol) {
        let ten = n == 9;
        cell.set_char(if ten { '1' } else { char::from(b'1' + n as u8) });
        return Some(if ten { '0' } else { ' ' });
    }
    let wide = ratatui::text::Span::raw(symbol).width() > 1;
    let c = match symbol {
        "▁" => '_',
        "─" => '-',
        "▂" => '.',
        "▃" => ':',
        "▄" => '-',
        "▅" => '=',
        "▆" => '+',
        "▇" => '*',
        "█" => '#',
        "░" => '.',
        "━" => '=',
        "│" | "┊" | "▏" => '|',
        "┌" | "┐" | "└" | "┘" => '+',
        "·" => '|',
        "▲" => '!',
        "●" | "•" => '*',
        "○" => 'o',
        "…" => '~',
        "–" | "—" => '-',
        "×" => 'x',
        "µ" | "μ" => 'u',
        _ => '?',
    };
    cell.set_char(c);
    wide.then_some(' ')
}

/// Good news.
pub(crate) fn good() -> Style {
    Style::new().fg(Color::Green)
}

/// Something to look at.
pub(crate) fn warn() -> Style {
    Style::new().fg(Color::Yellow)
}

/// Something is broken.
pub(crate) fn bad() -> Style {
    Style::new().fg(Color::Red)
}

/// Of second rank.
pub(crate) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// Of first rank.
pub(crate) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A sign that is seen first: the same style on its ground, colour or none.
pub(crate) fn badge(style: Style) -> Style {
    style.add_modifier(Modifier::BOLD | Modifier::REVERSED)
}

/// The colour of a stage.
pub(crate) fn stage(name: StageName) -> Color {
    match name {
        StageName::Capture => Color::Cyan,
        StageName::Infer => Color::Magenta,
        StageName::Render => Color::Blue,
    }
}

/// The colour of a step: near its stage's, and another than its neighbours'.
pub(crate) fn step(id: MetricId) -> Color {
    match id {
        MetricId::Dequeue => Color::Cyan,
        MetricId::Publish => Color::Blue,
        MetricId::Queue | MetricId::Deliver => Color::Gray,
        MetricId::Preprocess => Color::Yellow,
        MetricId::Submit => Color::Cyan,
        MetricId::Inference => Color::Magenta,
        MetricId::Postprocess => Color::Green,
        MetricId::Announce => Color::Cyan,
        MetricId::Present => Color::Blue,
        MetricId::EndToEnd | MetricId::Show | MetricId::None => Color::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    fn look(colors: Colors, ascii: bool, vars: &[(&str, &str)]) -> (bool, bool) {
        let var = |name: &str| {
            let found = vars.iter().find(|v| v.0 == name);
            found.map(|v| v.1.to_owned())
        };
        let look = Look::choose(colors, ascii, var);
        (look.color, look.unicode)
    }

    #[test]
    fn the_environment_decides() {
        use Colors::{Always, Auto, Never};
        let utf8 = ("LANG", "ko_KR.UTF-8");
        let term = ("TERM", "xterm-256color");
        for (vars, expected) in [
            (&[utf8, term][..], (true, true)),
            (&[utf8, term, ("NO_COLOR", "1")], (false, true)),
            (&[utf8, term, ("NO_COLOR", "")], (true, true)),
            (&[utf8, ("TERM", "vt100")], (false, true)),
            (&[utf8, ("TERM", "xterm-mono")], (false, true)),
            (&[utf8], (false, true)),
            (&[term], (true, false)),
            (&[term, utf8, ("LC_ALL", "C")], (true, false)),
            (
                &[term, ("LC_ALL", ""), ("LC_CTYPE", "C.utf8")],
                (true, true),
            ),
        ] {
            assert_eq!(look(Auto, false, vars), expected, "{vars:?}");
        }
        assert_eq!(
            look(Always, true, &[utf8, ("NO_COLOR", "1")]),
            (true, false)
        );
        assert_eq!(look(Never, false, &[utf8, term]), (false, true));
    }

    #[test]
    fn ascii_keeps_every_column() {
        let text = "│十三·█ 김x";
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, text, warn());
        let reduced = Look {
            color: false,
            unicode: false,
        };
        reduced.reduce(&mut buffer);
        let shown: String = buffer.content.iter().map(Cell::symbol).collect();
        assert_eq!(shown, "|103 |# ? x ");
        assert!(buffer.content.iter().all(|c| c.fg == Color::Reset));
    }
}

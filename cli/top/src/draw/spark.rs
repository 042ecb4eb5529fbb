//! Curves of block characters.

use super::pen::Pen;
use ratatui::style::{Color, Style};

const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// Below this part of the scale a value is conspicuous.
const LOW: f64 = 0.8;

/// How values become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// More is better, and nothing is bad.
    Rate,
    /// A number as any other.
    Amount,
}

/// Draws a curve over all of the pen's rows, a value a column. `top`: the value of a full column. Where there is no
/// value, nothing is drawn.
pub(super) fn draw(
    pen: &mut Pen<'_>,
    values: &[Option<f64>],
    top: f64,
    meaning: Meaning,
    color: Color,
) {
    let rows = pen.height();
    for (x, value) in values.iter().take(pen.width().into()).enumerate() {
        let Some(value) = value else { continue };
        let part = if top > 0.0 { value / top } else { 0.0 };
        let color = match meaning {
            Meaning::Rate if *value <= 0.0 => Color::Red,
            Meaning::Rate if part < LOW => Color::Yellow,
            _ => color,
        };
        // Nothing is a line at the bottom, so that it is seen to be nothing rather than unknown.
        let full = 8.0 * f64::from(rows);
        let mut eighths = (part.clamp(0.0, 1.0) * full).round().max(1.0) as usize;
        for y in (0..rows).rev() {
            if eighths == 0 {
                break;
            }
            let here = eighths.min(8);
            eighths -= here;
            pen.text(x as u16, y, LEVELS[here - 1], Style::new().fg(color));
        }
    }
}

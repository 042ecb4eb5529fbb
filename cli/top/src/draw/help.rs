//! The keys, and what the words mean.

use super::Screen;
use super::head;
use super::pen::{Pen, wrap};
use crate::look;
use ratatui::style::Style;

const KEYS: [(&str, &str); 6] = [
    ("q", "quit"),
    ("space", "pause"),
    ("1 2 3", "a stage"),
    ("r", "reset"),
    ("?", "help"),
    ("Esc", "back"),
];

const WORDS: [(&str, &str); 13] = [
    ("q, Ctrl-C", "quit"),
    ("space", "hold the picture, and let it go on"),
    (
        "1 2 3, Tab",
        "capture, infer or render alone; again or Esc: back",
    ),
    ("r", "count and measure from now on"),
    ("Ctrl-L, Ctrl-Z", "draw anew; suspend"),
    ("", ""),
    (
        "stages",
        "frames a second, then what the process costs: a full core is 100 %; readers: without this view",
    ),
    (
        "a frame's way",
        "medians of the last minute beside each other; ┊ is where the next frame comes",
    ),
    (
        "table",
        "milliseconds that half of the frames, and 99 of 100, do not exceed",
    ),
    (
        "newer was there",
        "infer was busy, and took a newer frame next",
    ),
    (
        "lost in driver",
        "the camera's numbers have gaps: the frame never came",
    ),
    (
        "ring full",
        "readers held every slot, so capture had none to write to",
    ),
    (
        "more",
        "docs/top.md; the same numbers for programs: hanja tap stats --json, /metrics",
    ),
];

/// The line of keys.
pub(super) fn keys(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    let mut x = 1;
    for (key, what) in KEYS.into_iter().take(5) {
        let what = match what {
            "pause" if screen.paused.is_some() => "go on",
            other => other,
        };
        let needed = (key.len() + what.len() + 1) as u16;
        if x + needed > pen.width() {
            break;
        }
        x = pen.text(x, 0, key, look::bold());
        x = pen.text(x + 1, 0, what, look::dim()) + 3;
    }
}

/// The line of keys where there is a way back.
pub(super) fn keys_back(pen: &mut Pen<'_>) {
    let mut x = 1;
    for (key, what) in [KEYS[5], KEYS[2], KEYS[1], KEYS[0]] {
        x = pen.text(x, 0, key, look::bold());
        x = pen.text(x + 1, 0, what, look::dim()) + 3;
    }
}

pub(super) fn draw(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    head::state(screen, &mut pen.rows(0, 1));
    pen.rule(1, "help", concat!("hanja ", env!("CARGO_PKG_VERSION")));
    let (mut y, width) = (2, usize::from(pen.width()).saturating_sub(20));
    for (word, meaning) in WORDS {
        pen.within(2, y, 16, word, look::bold());
        for line in wrap(meaning, width) {
            pen.text(19, y, &line, Style::new());
            y += 1;
        }
    }
    keys_back(&mut pen.rows(pen.height().saturating_sub(1), 1));
}

//! `hanja top`: decides whether there is a terminal to draw on, and with what; the view itself is the crate `hanja_top`.

use crate::args::{ColorChoice, Global, TopArgs};
use hanja_top::{Colors, Look};
use std::io::{self, IsTerminal};

/// Columns where nobody says how many there are.
const COLUMNS: u16 = 80;

pub(crate) fn top(global: &Global, args: &TopArgs) -> anyhow::Result<()> {
    let colors = match args.color {
        ColorChoice::Auto => Colors::Auto,
        ColorChoice::Always => Colors::Always,
        ColorChoice::Never => Colors::Never,
    };
    let look = Look::choose(colors, args.ascii, variable);
    let dir = global.reading_dir();
    // A dumb terminal has no way to move the cursor.
    let dumb = variable("TERM").is_none_or(|t| t.is_empty() || t == "dumb");
    if args.once || dumb || !io::stdout().is_terminal() {
        Ok(hanja_top::once(&dir, columns(), look, io::stdout().lock())?)
    } else {
        Ok(hanja_top::watch(&dir, args.interval, look)?)
    }
}

fn variable(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

/// What the user says, or the terminal.
fn columns() -> u16 {
    let said = variable("COLUMNS").and_then(|c| c.parse().ok());
    said.or_else(hanja_top::columns)
        .unwrap_or(COLUMNS)
        .clamp(20, 500)
}

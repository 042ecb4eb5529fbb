//! The picture on the terminal, as a pure function of what is known and of the time.

mod below;
mod detail;
mod head;
mod help;
mod lanes;
mod pen;
mod plan;
mod spark;
mod way;

use crate::look::Look;
use crate::messages::{Warning, warnings};
use crate::model::Model;
use hanja_record::StageName;
use hanja_stage::liveness::Liveness;
use pen::Pen;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Which picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// All stages.
    #[default]
    All,
    /// One of them.
    Stage(StageName),
    /// The keys and what the words mean.
    Help,
}

/// What is to be drawn.
#[derive(Debug)]
pub(crate) struct Screen<'a> {
    model: &'a Model,
    live: Liveness,
    warnings: Vec<Warning>,
    now: u64,
    look: Look,
    /// The runtime directory.
    place: &'a str,
    /// Nanoseconds since the picture stands still because the user said so.
    pub(crate) paused: Option<u64>,
    /// The line of keys is shown.
    pub(crate) keys: bool,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(model: &'a Model, now: u64, look: Look, place: &'a str) -> Self {
        let live = model.liveness(now);
        let warnings = warnings(model, &live, now);
        Self {
            model,
            live,
            warnings,
            now,
            look,
            place,
            paused: None,
            keys: true,
        }
    }

    /// Draws the whole buffer.
    pub(crate) fn draw(&self, view: View, buffer: &mut Buffer) {
        let area = buffer.area;
        buffer.reset();
        let mut pen = Pen::new(buffer, area);
        match view {
            View::All => self.all(&mut pen),
            View::Stage(name) => detail::draw(self, name, &mut pen),
            View::Help => help::draw(self, &mut pen),
        }
        self.look.reduce(buffer);
    }

    /// Rows in which everything of the first view has its place.
    pub(crate) fn natural_height(&self, width: u16) -> u16 {
        let most = plan::most_warnings(u16::MAX);
        plan::natural_height(head::lines(self, width, most).len())
    }

    fn all(&self, pen: &mut Pen<'_>) {
        let (width, height) = (pen.width(), pen.height());
        let told = head::lines(self, width, plan::most_warnings(height));
        let measured = !self.model.steps(self.now).is_empty();
        let mut plan = plan::Plan::new(width, height, told.len(), self.keys);
        if !measured {
            plan.without_steps();
        }
        head::state(self, &mut pen.rows(0, 1));
        let mut y = 1;
        let mut next = |rows: u16| {
            let from = y;
            y += rows;
            (from, rows)
        };
        let (from, rows) = next(plan.warnings);
        head::draw(&told, &mut pen.rows(from, rows));
        let (from, rows) = next(plan.stages());
        lanes::draw(self, &plan, &mut pen.rows(from, rows));
        let (from, rows) = next(plan.way());
        way::draw(self, &plan, &mut pen.rows(from, rows));
        let (from, rows) = next(plan.below);
        below::draw(self, &mut pen.rows(from, rows));
        if plan.keys {
            help::keys(self, &mut pen.rows(height.saturating_sub(1), 1));
        }
    }
}

/// The whole area as text, without what is empty at the ends of lines and below.
pub(crate) fn plain(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        let mut covered = 0;
        for cell in row {
            if covered > 0 {
                covered -= 1; // the second half of a wide character
                continue;
            }
            line.push_str(cell.symbol());
            covered = pen::width_of(cell.symbol()).saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
    text
}

/// A buffer of that size with the picture in it.
pub(crate) fn picture(screen: &Screen<'_>, view: View, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    screen.draw(view, &mut buffer);
    buffer
}

#[cfg(test)]
mod tests;

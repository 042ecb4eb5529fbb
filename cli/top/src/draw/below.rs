//! Below: where the frames went, and what is found in the newest one.

use super::Screen;
use super::pen::{Pen, width_of};
use crate::look;
use crate::messages::{count, span};
use crate::model::{Count, Found};
use hanja_record::{Detection, StageName, Status, numeral};
use ratatui::style::{Color, Style};

/// Both halves need so many columns.
const BOTH: u16 = 70;
/// Of these, the counts take so many.
const COUNTS: u16 = 38;
/// Columns of the list of detections, beside the map.
const LIST: u16 = 25;

/// What is counted, in the order of interest where rows are few.
const TOLD: [(StageName, Count, &str); 8] = [
    (StageName::Capture, Count::Frames, "captured"),
    (StageName::Infer, Count::Frames, "looked at"),
    (StageName::Infer, Count::Busy, "newer was there"),
    (StageName::Capture, Count::Lost, "lost in driver"),
    (StageName::Capture, Count::RingFull, "ring full"),
    (StageName::Infer, Count::Undecodable, "undecodable"),
    (StageName::Infer, Count::NoSignal, "no signal"),
    (StageName::Render, Count::Missed, "missed by render"),
];

pub(super) fn draw(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    if pen.height() < 2 {
        return;
    }
    let (width, height) = (pen.width(), pen.height());
    if width < BOTH {
        found(screen, pen);
        return;
    }
    counts(screen, &mut pen.part(0, 0, COUNTS, height));
    found(
        screen,
        &mut pen.part(COUNTS + 2, 0, width - COUNTS - 2, height),
    );
}

/// Where the frames went.
pub(super) fn counts(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    let since = screen.model.since_ns();
    let since = since.map(|ns| format!("in {}", span(screen.now.saturating_sub(ns))));
    pen.rule(0, "frames", &since.unwrap_or_default());
    let rows = usize::from(pen.height().saturating_sub(1));
    let total = |told: &(StageName, Count, &str)| screen.model.stage(told.0).totals.get(told.1);
    // Few rows: what has happened comes before what has not.
    let mut shown: Vec<_> = TOLD.iter().collect();
    if rows < TOLD.len() {
        shown[2..].sort_by_key(|told| total(told) == 0);
    }
    for (y, told) in shown.into_iter().take(rows).enumerate() {
        let y = y as u16 + 1;
        let stage = screen.model.stage(told.0);
        let frames = told.1 == Count::Frames;
        let (rate, total) = (stage.rate(told.1, screen.now), total(told));
        let style = match rate {
            Some(r) if r > 0.0 && !frames => look::warn(),
            _ if total == 0 => look::dim(),
            _ => Style::new(),
        };
        pen.within(2, y, 17, told.2, style);
        let known = stage.newest().is_some();
        let rate = rate.map_or_else(|| "–".to_owned(), |r| format!("{r:.1}/s"));
        pen.right(27, 8, y, &rate, style);
        let total = if known { count(total) } else { "–".into() };
        pen.right(37, 9, y, &total, style);
    }
}

/// What the newest record says.
fn found(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    let Some(found) = &screen.model.found else {
        pen.rule(0, "found now", "");
        pen.text(2, 1, "no record yet", look::dim());
        return;
    };
    let header = &found.record.header;
    let n = found.record.detections.len();
    let live = screen.live.stages.infer.state.ok();
    let title = if live { "found now" } else { "found last" };
    pen.rule(
        0,
        &format!("{title} · {n}"),
        &format!("frame {}", header.frame_seq),
    );
    let rows = pen.height() - 1;
    let mut list = pen.part(1, 1, LIST, rows);
    if n == 0 {
        let text = match header.status {
            s if s == Status::NoSignal as u16 => "no signal",
            s if s == Status::Undecodable as u16 => "undecodable",
            _ => "no numerals in view",
        };
        list.text(1, 0, text, look::dim());
    }
    listed(&found.record.detections, &mut list);
    let (w, h) = (header.frame_width, header.frame_height);
    let room = pen.width().saturating_sub(LIST + 2);
    let (columns, rows) = map_size(w, h, room, rows);
    if columns >= 8 && rows >= 3 {
        let x = (LIST + 3).min(pen.width() - columns - 1);
        map(found, screen.look.color, &mut pen.part(x, 1, columns, rows));
    }
}

/// Label, score, and where.
fn listed(detections: &[Detection], pen: &mut Pen<'_>) {
    let rows = usize::from(pen.height());
    for (y, d) in detections.iter().take(rows).enumerate() {
        let left = detections.len() - y;
        if y + 1 == rows && left > 1 {
            pen.text(1, y as u16, &format!("… {left} more"), look::dim());
            break;
        }
        let y = y as u16;
        let label = numeral(d.class);
        let x = pen.within(1, y, 9, &label, look::bold()) + 1;
        let x = pen.text(
            x.max(4),
            y,
            &format!("{:.2}", d.score.clamp(-9.0, 9.0)),
            Style::new(),
        );
        let [x1, y1, x2, y2] = [d.x1, d.y1, d.x2, d.y2].map(|v| v.clamp(-9999.0, 99_999.0));
        let place = format!("{x1:.0},{y1:.0} {x2:.0},{y2:.0}");
        pen.text(x + 2, y, &place, look::dim());
    }
}

/// Columns and rows of the map, frame included: a cell is twice as high as it is wide.
fn map_size(width: u32, height: u32, room: u16, rows: u16) -> (u16, u16) {
    if width == 0 || height == 0 {
        return (0, 0);
    }
    let ratio = (2.0 * f64::from(width) / f64::from(height)).clamp(0.2, 20.0);
    let inner = f64::from(rows.saturating_sub(2));
    let columns = (inner * ratio).round() as u16 + 2;
    if columns <= room {
        return (columns, rows);
    }
    let inner = f64::from(room.saturating_sub(2));
    (room, (inner / ratio).round() as u16 + 2)
}

/// The picture as a small map, a box where something is found.
fn map(found: &Found, color: bool, pen: &mut Pen<'_>) {
    outline(pen, look::dim());
    let (columns, rows) = (pen.width() - 2, pen.height() - 2);
    let header = &found.record.header;
    let mut pen = pen.part(1, 1, columns, rows);
    let scale = |v: f32, of: u32, cells: u16| {
        let part = f64::from(v) / f64::from(of.max(1));
        (part * f64::from(cells)).clamp(0.0, f64::from(cells))
    };
    let style = if color {
        Style::new().fg(Color::Magenta)
    } else {
        Style::new()
    };
    // The best last, so that its label is on top.
    for d in found.record.detections.iter().rev() {
        let x = |v| scale(v, header.frame_width, columns);
        let y = |v| scale(v, header.frame_height, rows);
        let (left, top) = (x(d.x1).floor() as u16, y(d.y1).floor() as u16);
        let right = (x(d.x2).ceil() as u16).max(left + 1).min(columns);
        let bottom = (y(d.y2).ceil() as u16).max(top + 1).min(rows);
        let (w, h) = (right.saturating_sub(left), bottom.saturating_sub(top));
        if w >= 4 && h >= 3 {
            outline(&mut pen.part(left, top, w, h), style);
        }
        let label = numeral(d.class);
        let label = label.strip_prefix("class ").unwrap_or(&label);
        let space = (w.max(1) - 1).saturating_sub(width_of(label) as u16 - 1);
        let column = (left + space.div_ceil(2)).min(columns.saturating_sub(width_of(label) as u16));
        let row = (top + (h.max(1) - 1) / 2).min(rows.saturating_sub(1));
        pen.text(column, row, label, style.patch(look::bold()));
    }
}

/// A box along the edges of the pen's area.
fn outline(pen: &mut Pen<'_>, style: Style) {
    let (w, h) = (pen.width(), pen.height());
    if w < 2 || h < 2 {
        return;
    }
    let line = "─".repeat(usize::from(w) - 2);
    pen.text(0, 0, &format!("┌{line}┐"), style);
    pen.text(0, h - 1, &format!("└{line}┘"), style);
    for y in 1..h - 1 {
        pen.text(0, y, "│", style);
        pen.text(w - 1, y, "│", style);
    }
}

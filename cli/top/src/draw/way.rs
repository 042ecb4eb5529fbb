//! A frame's way: how long each step takes, as one bar beside the time there is, and as a table.

use super::Screen;
use super::pen::{Pen, width_of};
use super::plan::{Plan, Steps};
use crate::look;
use crate::messages::ms;
use crate::model::Latency;
use hanja_record::MetricId;
use ratatui::style::{Color, Modifier, Style};

/// Columns of a step's name.
const NAME: u16 = 12;
/// Bars end at so many times the longest median.
pub(super) const MOST: f64 = 3.0;
/// Columns of a number.
const NUMBER: u16 = 7;

pub(super) fn draw(screen: &Screen<'_>, plan: &Plan, pen: &mut Pen<'_>) {
    if !plan.bar {
        return;
    }
    let steps = screen.model.steps(screen.now);
    let total = screen.model.latency(MetricId::EndToEnd, screen.now);
    heading(screen, total.as_ref(), pen);
    if steps.is_empty() {
        pen.text(1, 1, "no frame has come through yet", look::dim());
        return;
    }
    bar(
        screen,
        &steps,
        &mut pen.part(1, 1, pen.width().saturating_sub(2), 1),
    );
    let all = || steps.iter().map(|(_, l)| *l).chain(total);
    // One frame that was held up for seconds does not make all the others invisible.
    let longest = all().map(|l| l.p99).fold(0.0, f64::max);
    let longest = longest.min(MOST * all().map(|l| l.p50).fold(0.0, f64::max));
    match plan.steps {
        Steps::No => {}
        Steps::Two => {
            let half = pen.width() / 2;
            for x in [0, half] {
                titles(&mut pen.part(x, 2, half - 2, 1), &["p50", "p99"]);
            }
            for (i, (id, latency)) in steps.iter().enumerate() {
                let (row, x) = (i as u16 % 5, i as u16 / 5 * half);
                let mut pen = pen.part(x, 3 + row, half - 2, 1);
                entry(&mut pen, *id, latency, &[latency.p50, latency.p99], longest);
            }
        }
        Steps::One => {
            let all = steps.iter().map(|(id, l)| (*id, l));
            let sum = total.as_ref().map(|l| (MetricId::EndToEnd, l));
            titles(&mut pen.rows(2, 1), &["p50", "p90", "p99", "max"]);
            for (y, (id, l)) in all.chain(sum).enumerate() {
                let mut pen = pen.rows(3 + y as u16, 1);
                entry(&mut pen, id, l, &[l.p50, l.p90, l.p99, l.max], longest);
            }
        }
    }
}

fn heading(screen: &Screen<'_>, total: Option<&Latency>, pen: &mut Pen<'_>) {
    let frame = screen
        .model
        .frame_ms()
        .map(|f| format!("one frame is {} ms", ms(f)));
    let left = match total {
        Some(l) => format!(
            "a frame's way · {} ms, 99 % within {} ms",
            ms(l.p50),
            ms(l.p99)
        ),
        None => "a frame's way".into(),
    };
    pen.rule(0, &left, &frame.unwrap_or_default());
}

/// One bar: the medians of all steps, and a mark where the next frame comes.
fn bar(screen: &Screen<'_>, steps: &[(MetricId, Latency)], pen: &mut Pen<'_>) {
    let width = f64::from(pen.width());
    let sum: f64 = steps.iter().map(|(_, l)| l.p50).sum();
    let frame = screen.model.frame_ms().unwrap_or(0.0);
    // A little more than the frame, so that its mark is seen.
    let scale = sum.max(frame * 1.02).max(1e-6);
    let column = |ms: f64| (ms / scale * width).round().clamp(0.0, width) as u16;
    let (mut until, mut shown) = (0.0, 0);
    for (id, latency) in steps {
        let from = column(until);
        until += latency.p50;
        let to = column(until);
        if to > from {
            let style = segment_style(screen, *id, shown);
            let line = !screen.look.color;
            segment(&mut pen.part(from, 0, to - from, 1), *id, style, line);
            shown += 1;
        }
    }
    let (end, mark) = (column(until), column(frame));
    if frame > 0.0 {
        for x in end..mark {
            pen.text(x, 0, "░", look::dim());
        }
        pen.text(
            mark.min(pen.width().saturating_sub(1)),
            0,
            "┊",
            look::bold(),
        );
    }
}

/// Neighbours differ, with colours or without.
fn segment_style(screen: &Screen<'_>, id: MetricId, shown: usize) -> Style {
    if screen.look.color {
        Style::new().fg(Color::Black).bg(look::step(id))
    } else if shown.is_multiple_of(2) {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new()
    }
}

/// A step of the bar with as much of its name as fits; without colour it begins with a line.
fn segment(pen: &mut Pen<'_>, id: MetricId, style: Style, line: bool) {
    let width = usize::from(pen.width());
    let edge = if line { "▏" } else { "" };
    let room = width - usize::from(line);
    let shown = match id.name() {
        _ if room < 3 => "",
        name if name.len() <= room => name,
        name => &name[..room],
    };
    let pad = " ".repeat((room - width_of(shown)) / 2);
    let text = format!("{edge}{pad}{shown}");
    pen.text(0, 0, &format!("{text:width$}"), style);
}

/// Above the numbers.
fn titles(pen: &mut Pen<'_>, titles: &[&str]) {
    pen.text(3, 0, "ms", look::dim());
    let mut x = 3 + NAME;
    for title in titles {
        x += NUMBER;
        pen.right(x, NUMBER, 0, title, look::dim());
    }
}

/// A step: its colour, its name, its numbers, and the median as a bar that goes on to the 99th percentile.
fn entry(pen: &mut Pen<'_>, id: MetricId, latency: &Latency, numbers: &[f64], longest: f64) {
    let sum = id == MetricId::EndToEnd;
    let style = if sum { look::bold() } else { Style::new() };
    pen.text(
        1,
        0,
        if sum { " " } else { "█" },
        Style::new().fg(look::step(id)),
    );
    let name = if sum { "end to end" } else { id.name() };
    pen.within(3, 0, NAME, name, style);
    let mut x = 3 + NAME;
    for number in numbers {
        x += NUMBER;
        pen.right(x, NUMBER, 0, &ms(*number), style);
    }
    let room = pen.width().saturating_sub(x + 3);
    let scale = f64::from(room) / longest.max(1e-6);
    let cells = |ms: f64| (ms * scale).round().clamp(0.0, f64::from(room)) as usize;
    let (solid, light) = (cells(latency.p50), cells(latency.p99));
    let style = Style::new().fg(look::step(id));
    let end = pen.text(x + 2, 0, &"█".repeat(solid), style);
    pen.text(end, 0, &"░".repeat(light.saturating_sub(solid)), style);
}

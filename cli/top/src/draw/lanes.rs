//! The stages as lanes: a minute of frames per second, and what each costs.

use super::Screen;
use super::head::style;
use super::pen::Pen;
use super::plan::Plan;
use super::spark::{self, Meaning};
use crate::look;
use crate::messages::{cpu, memory, sign, span};
use crate::model::{Second, Stage, health};
use hanja_record::StageName;
use hanja_stage::liveness::{Health, State};
use ratatui::style::Style;

/// Where the curves begin.
const CURVE: u16 = 13;
/// Titles and widths of the numbers.
const NUMBERS: [(&str, u16); 4] = [("fps", 7), ("cpu", 7), ("memory", 10), ("readers", 9)];

/// So much more than the source's rate is the height of a curve: a line between two stages.
const HEADROOM: f64 = 1.15;

/// Columns of the curves, and seconds in a column.
fn curve(width: u16) -> (u16, u64) {
    match width {
        0..40 => (0, 1),
        40..76 => (12, 5),
        76..110 => (30, 2),
        110..180 => (60, 1),
        _ => (120, 1),
    }
}

pub(super) fn draw(screen: &Screen<'_>, plan: &Plan, pen: &mut Pen<'_>) {
    if plan.stage_rows == 0 {
        return;
    }
    let mut y = 0;
    if plan.stage_rule {
        heading(pen);
        y = 1;
    }
    let top = top(screen);
    for stage in &screen.model.stages {
        lane(screen, stage, top, &mut pen.rows(y, plan.stage_rows));
        y += plan.stage_rows;
    }
}

fn heading(pen: &mut Pen<'_>) {
    let (columns, seconds) = curve(pen.width());
    let title = match u64::from(columns) * seconds {
        0 => "stages".to_owned(),
        s => format!(
            "stages · the last {}",
            span(s * crate::model::SECOND).replace("60 s", "minute")
        ),
    };
    pen.rule(0, &title, "");
    let at = numbers_at(pen.width());
    let mut titles = String::new();
    for (title, width) in NUMBERS {
        if at + (titles.len() as u16) + width < pen.width() {
            titles += &format!("{title:>0$}", usize::from(width));
        }
    }
    // From the blank before the first on: the rule goes on between title and titles.
    let blanks = titles.len() - titles.trim_start().len();
    let skipped = blanks.saturating_sub(1);
    pen.text(
        at + skipped as u16,
        0,
        &format!("{} ", &titles[skipped..]),
        look::dim(),
    );
}

fn numbers_at(width: u16) -> u16 {
    match curve(width).0 {
        0 => CURVE,
        columns => CURVE + columns + 1,
    }
}

/// Frames per second of a full column: somewhat above the source's, or above a stage's that has more.
fn top(screen: &Screen<'_>) -> f64 {
    let source = screen.model.frame_ms().map_or(0.0, |ms| 1e3 / ms);
    let seen = screen.model.stages.iter().filter_map(|s| s.newest());
    HEADROOM * seen.map(|s| s.fps()).fold(source, f64::max)
}

fn lane(screen: &Screen<'_>, stage: &Stage, top: f64, pen: &mut Pen<'_>) {
    let health = health(&screen.live, stage.name);
    let color = look::stage(stage.name);
    let single = pen.height() < 2;
    let (columns, seconds) = curve(pen.width());
    let name = look::bold().fg(color);
    pen.within(1, 0, CURVE - 2, stage.name.name(), name);
    let values = stage.cells(screen.now, columns.into(), seconds, f64::min, |s| {
        Some(s.stats.fps())
    });
    let rows = pen.height().min(3);
    let mut area = pen.part(CURVE, 0, columns, rows);
    spark::draw(&mut area, &values, top, Meaning::Rate, color);
    let at = numbers_at(pen.width());
    if single && health.state != State::Live {
        pen.text(
            at,
            0,
            sign(health.state),
            style(health.state).patch(look::bold()),
        );
        return;
    }
    let last = stage.current(screen.now);
    let last = last.filter(|_| health.state != State::NotRunning);
    numbers(stage, last, at, pen);
    let word = sign(health.state).to_lowercase();
    pen.within(1, 1, CURVE - 2, &word, style(health.state));
    let [first, second] = about(screen, stage, health);
    pen.text(at + 1, 1, &first, Style::new());
    pen.text(at + 1, 2, &second, look::dim());
}

fn numbers(stage: &Stage, last: Option<&Second>, at: u16, pen: &mut Pen<'_>) {
    let fps = last.map(|s| format!("{:.1}", s.stats.fps()));
    let cores = last.and_then(|s| s.cores).map(cpu);
    let rss = last.map(|s| memory(s.stats.rss_kib));
    let readers = stage.readers().filter(|_| last.is_some());
    let readers = readers.map(|(leases, taps)| leases.saturating_add(taps).to_string());
    let mut x = at;
    for ((_, width), text) in NUMBERS.iter().zip([fps, cores, rss, readers]) {
        x += width;
        if x > pen.width() {
            break;
        }
        let bold = if x == at + NUMBERS[0].1 {
            look::bold()
        } else {
            Style::new()
        };
        pen.right(x, *width, 0, text.as_deref().unwrap_or("–"), bold);
    }
}

/// What the stage works on, and how long it has been there. What is wrong with it stands in the sentences.
fn about(screen: &Screen<'_>, stage: &Stage, health: &Health) -> [String; 2] {
    let Some(stats) = stage.newest().filter(|_| health.state != State::NotRunning) else {
        return [health.message.clone(), String::new()];
    };
    let up = span(screen.now.saturating_sub(stats.started_ns));
    let mut first = describe(screen, stage);
    if stage.restarts > 0 {
        first = format!("{}. life · {first}", stage.restarts + 1);
    }
    [first, format!("up {up} · process {}", stats.pid)]
}

/// In words, shortest first: cut text keeps what matters.
fn describe(screen: &Screen<'_>, stage: &Stage) -> String {
    match stage.name {
        StageName::Capture => {
            let picture = screen.model.picture.as_ref().map(|p| {
                let format = p.meta.format().map_or("?", |f| f.name());
                format!("{}x{} {format}", p.meta.width, p.meta.height)
            });
            let parts = picture.into_iter().chain([stage.what.clone()]);
            parts.collect::<Vec<_>>().join(" · ")
        }
        StageName::Infer => {
            // "rten; not tensorrt: why; not onnxruntime: why": the reasons have their place in the stage's own view.
            let backend = stage.description.split(';').next().unwrap_or_default();
            let parts = [backend, &stage.what];
            let parts = parts.into_iter().filter(|p| !p.is_empty());
            parts.collect::<Vec<_>>().join(" · ")
        }
        StageName::Render => stage.what.clone(),
    }
}

//! One stage, with everything that it says of itself.

use super::Screen;
use super::pen::{Pen, wrap};
use super::spark::{self, Meaning};
use super::way::MOST;
use super::{head, help};
use crate::look;
use crate::messages::{count, cpu, memory, ms, sign, span};
use crate::model::{Count, Latency, Second, Stage, health};
use hanja_record::{MetricId, StageName, StageStats};
use hanja_stage::liveness::State;
use ratatui::style::{Color, Style};

pub(super) fn draw(screen: &Screen<'_>, name: StageName, pen: &mut Pen<'_>) {
    let stage = screen.model.stage(name);
    let height = pen.height();
    head::state(screen, &mut pen.rows(0, 1));
    help::keys_back(&mut pen.rows(height.saturating_sub(1), u16::from(height > 4)));
    let pen = &mut pen.rows(1, height.saturating_sub(2));
    let health = health(&screen.live, name);
    let word = sign(health.state);
    pen.rule(0, &format!("{} · {}", name.name(), word.to_lowercase()), "");
    let mut y = 1;
    if health.state != State::Live {
        let x = pen.text(
            1,
            y,
            &format!(" {word} "),
            look::badge(head::style(health.state)),
        );
        let sentence = [&health.message, &health.remedy].map(String::as_str);
        let sentence = sentence.into_iter().filter(|t| !t.is_empty());
        pen.text(
            x + 1,
            y,
            &sentence.collect::<Vec<_>>().join(" · "),
            Style::new(),
        );
        y += 1;
    }
    let Some(stats) = stage.newest() else { return };
    for line in identity(screen, stage, stats) {
        for line in wrap(&line, usize::from(pen.width()).saturating_sub(2)) {
            pen.text(1, y, &line, Style::new());
            y += 1;
        }
    }
    y = counts(screen, stage, y, pen);
    y = curves(screen, stage, y, pen);
    latencies(screen, stage, y, pen);
}

/// Who it is.
fn identity(screen: &Screen<'_>, stage: &Stage, stats: &StageStats) -> Vec<String> {
    let up = span(screen.now.saturating_sub(stats.started_ns));
    let said = screen.now.saturating_sub(stats.t_ns) as f64 / 1e9;
    let mut who = format!(
        "process {} · up {up} · generation {:x} · ABI {}.{} · spoke {said:.1} s ago",
        stats.pid, stats.generation, stats.abi_major, stats.abi_minor
    );
    if let Some(at) = stage.restarted_ns {
        let ago = span(screen.now.saturating_sub(at));
        who += &format!(" · started again {}x, last {ago} ago", stage.restarts);
    }
    let mut lines = vec![who];
    lines.extend(
        [&stage.what, &stage.description]
            .into_iter()
            .filter(|t| !t.is_empty())
            .cloned(),
    );
    if let Some((leases, taps)) = stage.readers() {
        let many = |n: u32, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (leases, taps) = (many(leases, "stage"), many(taps, "tap"));
        lines.push(format!("read by {leases} and {taps}, without this view"));
    }
    lines
}

type Curve = (
    &'static str,
    fn(&Second) -> Option<f64>,
    fn(f64) -> String,
    Meaning,
);

const CURVES: [Curve; 4] = [
    (
        "fps",
        |s| Some(s.stats.fps()),
        |v| format!("{v:.1}"),
        Meaning::Rate,
    ),
    ("cpu", |s| s.cores, cpu, Meaning::Amount),
    (
        "memory",
        |s| Some(f64::from(s.stats.rss_kib)),
        |v| memory(v as u32),
        Meaning::Amount,
    ),
    ("p99 ms", worst, ms, Meaning::Amount),
];

/// The 99th percentile of the whole way, or of the longest step.
fn worst(second: &Second) -> Option<f64> {
    let metrics = second.stats.metrics.iter().filter(|m| m.count > 0);
    let us = metrics.map(|m| m.p99_us).max()?;
    Some(f64::from(us) / 1e3)
}

/// A curve a row: now, and the range of the time shown.
fn curves(screen: &Screen<'_>, stage: &Stage, y: u16, pen: &mut Pen<'_>) -> u16 {
    let columns = pen.width().saturating_sub(48).clamp(12, 120);
    let seconds = 120u16.div_ceil(columns).max(1);
    let shown = u64::from(columns * seconds);
    pen.rule(
        y,
        &format!("the last {}", span(shown * crate::model::SECOND)),
        "",
    );
    let color = look::stage(stage.name);
    for (i, (name, value, say, meaning)) in CURVES.into_iter().enumerate() {
        let y = y + 1 + i as u16;
        let pick = if meaning == Meaning::Rate {
            f64::min
        } else {
            f64::max
        };
        let values = stage.cells(screen.now, columns.into(), seconds.into(), pick, value);
        let known = || values.iter().flatten().copied();
        let (least, most) = (known().reduce(f64::min), known().reduce(f64::max));
        pen.text(1, y, name, look::bold());
        let now = stage.current(screen.now).and_then(value);
        pen.right(
            19,
            10,
            y,
            &now.map_or_else(|| "–".into(), say),
            Style::new(),
        );
        spark::draw(
            &mut pen.part(21, y, columns, 1),
            &values,
            most.unwrap_or(0.0),
            meaning,
            color,
        );
        if let (Some(least), Some(most)) = (least, most) {
            let range = format!("{} to {}", say(least), say(most));
            pen.text(22 + columns, y, &range, look::dim());
        }
    }
    y + 1 + CURVES.len() as u16
}

fn latencies(screen: &Screen<'_>, stage: &Stage, mut y: u16, pen: &mut Pen<'_>) {
    let measured = |id: &MetricId| Some((*id, stage.latency(*id, screen.now)?));
    let mut all: Vec<(MetricId, Latency)> = MetricId::ALL.iter().filter_map(measured).collect();
    // The whole first: the last rows may have no room.
    all.sort_by_key(|(id, _)| *id != MetricId::EndToEnd);
    if all.is_empty() {
        return;
    }
    pen.rule(y, "milliseconds in the last minute", "");
    let longest = all.iter().map(|(_, l)| l.p99).fold(1e-6, f64::max);
    let longest = longest.min(MOST * all.iter().map(|(_, l)| l.p50).fold(1e-6, f64::max));
    y += 1;
    let titles = ["p50", "p90", "p99", "max", "frames"];
    for (i, title) in titles.into_iter().enumerate() {
        pen.right(20 + 8 * i as u16, 8, y, title, look::dim());
    }
    for (id, l) in all {
        y += 1;
        pen.text(1, y, &id.name().replace('_', " "), Style::new());
        let numbers = [ms(l.p50), ms(l.p90), ms(l.p99), ms(l.max), count(l.count)];
        for (i, number) in numbers.iter().enumerate() {
            pen.right(20 + 8 * i as u16, 8, y, number, Style::new());
        }
        let room = pen.width().saturating_sub(56);
        let cells = |v: f64| (v / longest * f64::from(room)).round().min(f64::from(room)) as usize;
        let color = match look::step(id) {
            Color::Reset => look::stage(stage.name),
            color => color,
        };
        let style = Style::new().fg(color);
        let end = pen.text(54, y, &"█".repeat(cells(l.p50)), style);
        let light = cells(l.p99).saturating_sub(cells(l.p50));
        pen.text(end, y, &"░".repeat(light), style);
    }
}

fn counts(screen: &Screen<'_>, stage: &Stage, mut y: u16, pen: &mut Pen<'_>) -> u16 {
    let told: &[(Count, &str)] = match stage.name {
        StageName::Capture => &[
            (Count::Frames, "captured"),
            (Count::Lost, "lost in driver"),
            (Count::RingFull, "ring full"),
        ],
        StageName::Infer => &[
            (Count::Frames, "looked at"),
            (Count::Busy, "newer was there"),
            (Count::Undecodable, "undecodable"),
            (Count::NoSignal, "no signal"),
        ],
        StageName::Render => &[(Count::Frames, "shown"), (Count::Missed, "missed")],
    };
    let parts = told.iter().map(|(which, word)| {
        let rate = stage
            .rate(*which, screen.now)
            .map_or_else(String::new, |r| format!(" ({r:.1}/s)"));
        format!("{word} {}{rate}", count(stage.totals.get(*which)))
    });
    let text = parts.collect::<Vec<_>>().join(" · ");
    for line in wrap(&text, usize::from(pen.width()).saturating_sub(2)) {
        pen.text(1, y, &line, Style::new());
        y += 1;
    }
    y
}

//! The first lines: how it is, in a sign that cannot be mistaken, and what there is to say.

use super::Screen;
use super::pen::{Pen, width_of, wrap};
use crate::look;
use crate::messages::{Level, ms, sign, span};
use crate::model::Count;
use hanja_record::{MetricId, StageName};
use hanja_stage::liveness::State;
use ratatui::style::Style;

/// A line of the sentences.
#[derive(Debug)]
pub(super) struct Line {
    mark: Option<Level>,
    text: String,
    style: Style,
    /// Follows the text on the same line.
    remedy: String,
}

/// The sentences, broken into lines; what to do about them as far as there is room in `most` lines.
pub(super) fn lines(screen: &Screen<'_>, width: u16, most: u16) -> Vec<Line> {
    let width = usize::from(width).saturating_sub(4);
    let texts: Vec<_> = screen
        .warnings
        .iter()
        .map(|w| wrap(&w.text, width))
        .collect();
    let mut used: usize = texts.iter().map(Vec::len).sum();
    let mut lines = Vec::new();
    for (warning, texts) in screen.warnings.iter().zip(texts) {
        let style = match warning.level {
            Level::Bad => look::bad(),
            Level::Warn => look::warn(),
            Level::Note => Style::new(),
        };
        let mut mark = Some(warning.level);
        let sentence = texts.into_iter().map(|text| Line {
            mark: mark.take(),
            text,
            style,
            remedy: String::new(),
        });
        lines.extend(sentence);
        let remedy = warning.remedy.as_str();
        let Some(last) = lines.last_mut().filter(|_| !remedy.is_empty()) else {
            continue;
        };
        if width_of(&last.text) + width_of(remedy) + 3 <= width {
            remedy.clone_into(&mut last.remedy);
            continue;
        }
        let more = wrap(remedy, width);
        if used + more.len() <= usize::from(most) {
            used += more.len();
            lines.extend(more.into_iter().map(Line::of_remedy));
        }
    }
    if lines.is_empty() {
        lines.extend(praise(screen));
    }
    lines
}

impl Line {
    fn of_remedy(text: String) -> Self {
        Self {
            mark: None,
            text,
            style: look::dim(),
            remedy: String::new(),
        }
    }
}

/// Nothing is wrong: that is worth a line too.
fn praise(screen: &Screen<'_>) -> Option<Line> {
    let infer = screen.model.stage(StageName::Infer);
    let none = |count| infer.rate(count, screen.now) == Some(0.0);
    let all = none(Count::Busy) && none(Count::Undecodable);
    (all && screen.live.ok).then(|| Line {
        mark: Some(Level::Note),
        text: "every frame is looked at".into(),
        style: look::good(),
        remedy: String::new(),
    })
}

pub(super) fn draw(lines: &[Line], pen: &mut Pen<'_>) {
    let rows = usize::from(pen.height());
    for (y, line) in lines.iter().take(rows).enumerate() {
        let y = y as u16;
        match line.mark {
            Some(Level::Note) => pen.text(1, y, "•", line.style),
            Some(_) => pen.text(1, y, "▲", line.style.patch(look::bold())),
            None => 0,
        };
        let hidden = lines.iter().skip(rows).filter(|l| l.mark.is_some()).count();
        if y as usize + 1 == rows && hidden > 0 {
            let sign = format!("+ {hidden} more");
            let room = pen.width().saturating_sub(sign.len() as u16 + 1);
            pen.within(3, y, room.saturating_sub(4), &line.text, line.style);
            pen.text(room, y, &sign, look::bold());
            continue;
        }
        let end = pen.text(3, y, &line.text, line.style);
        if !line.remedy.is_empty() {
            pen.text(end, y, &format!(" · {}", line.remedy), look::dim());
        }
    }
}

/// The style of a state.
pub(super) fn style(state: State) -> Style {
    match state {
        State::Live => look::good(),
        State::Waiting | State::Starting => look::warn(),
        _ => look::bad(),
    }
}

/// The first line.
pub(super) fn state(screen: &Screen<'_>, pen: &mut Pen<'_>) {
    let overall = &screen.live.overall;
    let sign = format!(" {} ", sign(overall.state));
    let mut x = 1;
    if let Some(ns) = screen.paused {
        let paused = format!(" PAUSED {} ", span(ns));
        x = pen.text(x, 0, &paused, look::badge(look::warn())) + 1;
        x = pen.text(x, 0, "it was", look::dim()) + 1;
    }
    x = pen.text(x, 0, &sign, look::badge(style(overall.state))) + 2;
    let name = format!("hanja top · {}", screen.place);
    let end = pen.text(x, 0, &beside(screen), Style::new());
    let room = pen.width().saturating_sub(1);
    if usize::from(end) + 2 + width_of(&name) <= usize::from(room) {
        pen.right(room, room, 0, &name, look::dim());
    }
}

/// Beside the sign, in few words: the sentences come below.
fn beside(screen: &Screen<'_>) -> String {
    let overall = &screen.live.overall;
    if overall.state == State::Live {
        return live_words(screen);
    }
    let stages = screen.live.stages.named().into_iter();
    let names: Vec<_> = stages
        .filter(|(_, j)| j.state == overall.state)
        .map(|(name, _)| name)
        .collect();
    let dark = screen
        .model
        .picture
        .as_ref()
        .and_then(|p| p.no_signal_since);
    let ns = match (overall.state, dark) {
        (State::NoSignal, Some(since)) => Some(screen.now.saturating_sub(since)),
        _ => overall.age_ms.map(|ms| ms.saturating_mul(1_000_000)),
    };
    let whose = if names.len() == 3 {
        String::new()
    } else {
        names.join(" and ")
    };
    let age = ns.map(|ns| format!("for {}", span(ns)));
    let parts = [whose, age.unwrap_or_default()];
    let parts = parts.into_iter().filter(|p| !p.is_empty());
    parts.collect::<Vec<_>>().join(" · ")
}

/// What matters while it lives: how many frames, how late.
fn live_words(screen: &Screen<'_>) -> String {
    let mut parts = Vec::new();
    if let Some(stats) = screen.model.stage(StageName::Infer).newest() {
        parts.push(format!("{:.1} fps", stats.fps()));
    }
    if let Some(l) = screen.model.latency(MetricId::EndToEnd, screen.now) {
        parts.push(format!("{} ms from sensor to result", ms(l.p50)));
    }
    parts.join(" · ")
}

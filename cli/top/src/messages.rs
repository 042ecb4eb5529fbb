//! What there is to say, in sentences: pure functions of what is known.

use crate::model::{Count, Model, SECOND};
use hanja_record::StageName;
use hanja_stage::liveness::{Liveness, State};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What is shown is not the desk as it is now.
    Bad,
    /// Frames are not looked at.
    Warn,
    /// Good to know.
    Note,
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) level: Level,
    pub(crate) text: String,
    /// What to do about it; may be empty.
    pub(crate) remedy: String,
}

impl Warning {
    fn new(level: Level, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (text, remedy) = (text.into(), remedy.into());
        Self {
            level,
            text,
            remedy,
        }
    }
}

/// From this part of the time between two frames on, infer is called the limit.
const NEAR: f64 = 0.7;
/// A stage that came back is spoken of for so long.
const RECENT: u64 = 60 * SECOND;
/// Less than one frame in so many seconds is no rate worth a sentence.
const RARE: f64 = 0.05;

/// The state in a word or two that cannot be mistaken.
pub(crate) fn sign(state: State) -> &'static str {
    match state {
        State::Live => "LIVE",
        State::Waiting => "WAITING",
        State::NoSignal => "NO SIGNAL",
        State::ClockFrozen => "CLOCK FROZEN",
        State::Repeating => "SAME FRAME AGAIN",
        State::Starting => "STARTING",
        State::Stale => "STALE",
        State::NotRunning => "NOT RUNNING",
    }
}

/// Everything that is not as it should be, worst first.
pub(crate) fn warnings(model: &Model, live: &Liveness, now: u64) -> Vec<Warning> {
    let mut all = judged(model, live, now);
    if let Some((stage, why)) = model.unreadable() {
        let text = format!("{} cannot be read: {why}", stage.name());
        all.push(Warning::new(Level::Bad, text, ""));
    }
    if live.stages.infer.state == State::Live {
        all.extend(limit(model, now));
    }
    all.extend(losses(model, now));
    all.extend(restarts(model, now));
    let notices = live.notices.iter();
    all.extend(notices.map(|n| Warning::new(Level::Note, n.message.clone(), "")));
    all.sort_by_key(|w| w.level);
    all
}

/// What the judgement says of each stage. The whole pipeline missing is one sentence, not three.
fn judged(model: &Model, live: &Liveness, now: u64) -> Vec<Warning> {
    let named = live.stages.named();
    if named.iter().all(|(_, j)| j.state == State::NotRunning) {
        let (text, remedy) = (&live.overall.message, &live.overall.remedy);
        return vec![Warning::new(Level::Bad, text, remedy)];
    }
    let told = named.iter().filter_map(|(_, j)| {
        let level = match j.state {
            State::Live | State::Waiting => return None,
            State::Starting => Level::Note,
            _ => Level::Bad,
        };
        let dark = model.picture.as_ref().and_then(|p| p.no_signal_since);
        let text = match dark {
            Some(since) if j.state == State::NoSignal => {
                format!("{}, for {}", j.message, span(now.saturating_sub(since)))
            }
            _ => j.message.clone(),
        };
        Some(Warning::new(level, text, &j.remedy))
    });
    told.collect()
}

/// Whether infer keeps up.
fn limit(model: &Model, now: u64) -> Option<Warning> {
    let infer = model.stage(StageName::Infer);
    let busy = infer.rate(Count::Busy, now).unwrap_or(0.0);
    let (work, frame) = (model.infer_ms(now)?, model.frame_ms()?);
    let tight = work > NEAR * frame;
    let times = format!("{} ms of a {} ms frame", ms(work), ms(frame));
    if busy <= RARE {
        let text = format!("infer is the limit: {times}");
        return tight.then(|| Warning::new(Level::Note, text, ""));
    }
    let passed = format!("{} are passed over", per_second(busy, "frames"));
    let (text, remedy) = if tight {
        (
            format!("infer is the limit: {times}; {passed}"),
            "a smaller --size, --model hanja-pico, fewer programs beside it, or a GPU",
        )
    } else {
        (
            format!("infer is late now and then: {passed}"),
            "its work fits, so something else takes its time: look at the load of the machine",
        )
    };
    Some(Warning::new(Level::Warn, text, remedy))
}

/// Frames that were not looked at for other reasons.
fn losses(model: &Model, now: u64) -> Vec<Warning> {
    let told = [
        (
            StageName::Capture,
            Count::RingFull,
            "frames are dropped: every slot is leased",
            "a stage does not give back what it holds: restart infer and render",
        ),
        (
            StageName::Capture,
            Count::Lost,
            "frames are lost in the driver",
            "its bus or the processor is too busy: fewer fps, a smaller picture, another port",
        ),
        (
            StageName::Infer,
            Count::Undecodable,
            "frames cannot be decoded",
            "a bad cable or port damages them; infer's log names them",
        ),
        (
            StageName::Render,
            Count::Missed,
            "render does not keep up with the records",
            "the machine is too busy for the view; the pipeline itself goes on",
        ),
    ];
    let warning = |(stage, count, what, remedy): (StageName, Count, &str, &str)| {
        let rate = model.stage(stage).rate(count, now).filter(|r| *r > RARE)?;
        let text = format!("{what} ({})", per_second(rate, ""));
        Some(Warning::new(Level::Warn, text, remedy))
    };
    told.into_iter().filter_map(warning).collect()
}

fn restarts(model: &Model, now: u64) -> Vec<Warning> {
    let told = model.stages.iter().filter_map(|s| {
        let ago = now.saturating_sub(s.restarted_ns?);
        let times = match s.restarts {
            1 => String::new(),
            n => format!(" ({n} times since this view began to count)"),
        };
        let text = format!(
            "{} was started again {} ago{times}",
            s.name.name(),
            span(ago)
        );
        (ago < RECENT).then(|| Warning::new(Level::Note, text, "its log says why it ended"))
    });
    told.collect()
}

/// `12.1 frames a second`, or `8 frames a minute` where that is less than one.
pub(crate) fn per_second(rate: f64, what: &str) -> String {
    let (number, unit) = match rate {
        r if r < 0.95 => (format!("{:.0}", r * 60.0), "a minute"),
        r if r < 99.95 => (format!("{r:.1}"), "a second"),
        r => (format!("{r:.0}"), "a second"),
    };
    let parts = [&number, what, unit];
    let parts = parts.into_iter().filter(|p| !p.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

/// A time as people say it.
pub(crate) fn span(ns: u64) -> String {
    match ns / SECOND {
        s @ ..120 => format!("{s} s"),
        s @ ..7200 => format!("{} min", s / 60),
        s @ ..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// Milliseconds in at most five characters.
pub(crate) fn ms(ms: f64) -> String {
    match ms {
        m if !m.is_finite() => "?".into(),
        m if m < 0.00995 => format!("{m:.3}"),
        m if m < 9.995 => format!("{m:.2}"),
        m if m < 99.95 => format!("{m:.1}"),
        m if m < 99_999.0 => format!("{m:.0}"),
        _ => "long".into(),
    }
}

/// A count in at most nine characters.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..10_000_000 => grouped(n),
        10_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} G", n as f64 / 1e9),
        _ => "many".into(),
    }
}

/// Thousands apart, from five digits on.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Memory in at most seven characters.
pub(crate) fn memory(kib: u32) -> String {
    match f64::from(kib) / 1024.0 {
        m if m < 9.95 => format!("{m:.1} MiB"),
        m if m < 9999.5 => format!("{m:.0} MiB"),
        m => format!("{:.0} GiB", m / 1024.0),
    }
}

/// Cores kept busy as a percentage of one, at most six characters.
pub(crate) fn cpu(cores: f64) -> String {
    format!("{:.0} %", (cores * 100.0).clamp(0.0, 99_900.0))
}

#[cfg(test)]
mod tests;

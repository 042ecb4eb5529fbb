//! `hanja status`: how the pipeline is, in a few lines for people, as JSON and as an exit status for scripts. By taps
//! alone: whoever may tap may ask, and asking disturbs nobody.

use crate::args::{Global, StatusArgs};
use anyhow::bail;
use hanja_record::StageStats;
use hanja_ring::now_ns;
use hanja_stage::liveness::{Health, Liveness, Observer, Presence, Snapshot, StageSnapshot, State};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A stage that runs answers within a few milliseconds, on a machine under load within a few hundred.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks with `--wait`.
const LOOK: Duration = Duration::from_millis(100);

/// The exit status: 3 as of `systemctl status`, the others in the order of badness.
fn exit_status(state: State) -> u8 {
    match state {
        State::Live => 0,
        State::NotRunning => 3,
        State::Starting | State::Waiting => 4,
        State::NoSignal | State::ClockFrozen | State::Repeating => 5,
        State::Stale => 6,
    }
}

pub(crate) fn status(global: &Global, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let dir = global.reading_dir();
    let mut observer = Observer::new(&dir);
    let deadline = args.wait.map(|wait| Instant::now() + wait);
    let live = loop {
        let live = observer.judge(PATIENCE);
        refuse(observer.snapshot())?;
        match deadline {
            Some(deadline) if !live.ok && Instant::now() < deadline => std::thread::sleep(LOOK),
            _ => break live,
        }
    };
    let snapshot = observer.snapshot();
    let text = if args.json {
        let mut text = serde_json::to_string(&StatusJson::new(
            &dir.display().to_string(),
            &live,
            snapshot,
        ))?;
        text.push('\n');
        text
    } else {
        lines(&dir.display().to_string(), &live, snapshot)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(exit_status(live.overall.state)))
}

/// Not to be allowed to look is no state of the pipeline.
fn refuse(snapshot: &Snapshot) -> anyhow::Result<()> {
    let refused = snapshot.stages.iter().find_map(|s| match &s.presence {
        Presence::Refused(why) => Some(why),
        _ => None,
    });
    match refused {
        Some(why) => bail!(
            "cannot look at the pipeline: {why}; taps are for members of the group hanja-tap, and for the same release on both sides"
        ),
        None => Ok(()),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct StatusJson<'a> {
    runtime_dir: &'a str,
    #[serde(flatten)]
    live: &'a Liveness,
    reasons: Vec<String>,
    processes: Vec<ProcessJson>,
}

/// One stage's process, by its own last word; null where it has not spoken.
#[derive(Serialize)]
struct ProcessJson {
    stage: &'static str,
    pid: Option<u32>,
    uptime_s: Option<u64>,
    fps: Option<f64>,
    readers: Option<u32>,
    what: Option<String>,
}

impl<'a> StatusJson<'a> {
    fn new(runtime_dir: &'a str, live: &'a Liveness, snapshot: &Snapshot) -> Self {
        let now = now_ns();
        let named = live.stages.named().map(|(name, _)| name);
        let processes = named
            .into_iter()
            .zip(&snapshot.stages)
            .map(|(stage, seen)| {
                let stats = seen.stats.as_ref();
                ProcessJson {
                    stage,
                    pid: stats.map(|s| s.pid),
                    uptime_s: stats.map(|s| now.saturating_sub(s.started_ns) / 1_000_000_000),
                    fps: stats.map(StageStats::fps),
                    readers: stats.map(|s| s.readers),
                    what: stats.map(StageStats::what),
                }
            });
        Self {
            runtime_dir,
            live,
            reasons: live.reasons(),
            processes: processes.collect(),
        }
    }
}

/// A line for the whole, one per stage, one per notice.
fn lines(dir: &str, live: &Liveness, snapshot: &Snapshot) -> String {
    let overall = &live.overall;
    let stages = live.stages.named();
    let nobody = stages.iter().all(|(_, j)| j.state == State::NotRunning);
    let mut text = String::new();
    let _ = match (overall.state, overall.age_ms) {
        (State::Live, Some(age)) => writeln!(text, "live: what is shown is {age} ms old"),
        // By what is said of each below: a stage that comes just now may be seen at one tap and not yet at another.
        (State::NotRunning, _) if nobody => {
            writeln!(text, "not running: no pipeline runs in {dir}")
        }
        (state, _) => writeln!(text, "{}: {}", spoken(state), overall.message),
    };
    if !overall.remedy.is_empty() {
        let _ = writeln!(text, "  {}", overall.remedy);
    }
    for ((name, health), seen) in stages.into_iter().zip(&snapshot.stages) {
        line(&mut text, name, health, seen);
    }
    for notice in &live.notices {
        let _ = writeln!(text, "note: {}", notice.message);
    }
    text
}

fn line(text: &mut String, name: &str, health: &Health, seen: &StageSnapshot) {
    let state = spoken(health.state);
    let _ = write!(text, "{name:8} {state:13}");
    let Some(stats) = seen.stats.filter(|_| health.state != State::NotRunning) else {
        text.truncate(text.trim_end().len());
        text.push('\n');
        return;
    };
    let age = health
        .age_ms
        .map_or_else(|| "-".into(), |ms| format!("{ms} ms"));
    let up = now_ns().saturating_sub(stats.started_ns);
    // A rate of long ago would be taken for one of now.
    let fps = match health.state {
        State::Stale | State::Starting => "-".into(),
        _ => format!("{:.1}", stats.fps()),
    };
    let _ = writeln!(
        text,
        "{fps:>6} fps  age {age:>8}  up {:>6}  process {}  {}",
        span(up),
        stats.pid,
        stats.what()
    );
}

/// As people say it.
fn spoken(state: State) -> String {
    state.code().replace('_', " ")
}

fn span(ns: u64) -> String {
    match ns / 1_000_000_000 {
        s @ ..120 => format!("{s} s"),
        s @ ..7200 => format!("{} min", s / 60),
        s @ ..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_stage::liveness::judge;

    #[test]
    fn every_state_has_an_exit_status_that_is_no_error() {
        for state in State::ALL {
            let status = exit_status(state);
            assert_eq!(status == 0, state.ok(), "{state:?}");
            assert!(
                ![1, 2].contains(&status),
                "{state:?}: taken by errors and usage"
            );
        }
    }

    #[test]
    fn the_lines_of_nothing_and_of_something() {
        let mut snapshot = Snapshot::default();
        for stage in &mut snapshot.stages {
            stage.presence = Presence::Absent;
        }
        let text = lines("/run/x", &judge(&snapshot, 1), &snapshot);
        assert_eq!(
            text,
            "not running: no pipeline runs in /run/x\n  start it with: systemctl start hanja-pipeline, or: hanja run\n\
             capture  not running\ninfer    not running\nrender   not running\n"
        );
        let mut stats = StageStats::new(1);
        (stats.t_ns, stats.started_ns, stats.pid, stats.fps_milli) =
            (now_ns(), now_ns(), 7, 30_000);
        stats.set_what("synth:");
        (snapshot.stages[0].stats, snapshot.stages[0].presence) = (Some(stats), Presence::Attached);
        let text = lines("/run/x", &judge(&snapshot, now_ns()), &snapshot);
        assert!(text.contains("capture  starting          - fps"), "{text}");
        assert!(text.contains("process 7  synth:\n"), "{text}");
    }
}

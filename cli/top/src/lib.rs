//! `hanja top`: a pipeline at a glance, on a terminal. It reads taps alone, so it can neither slow nor disturb a stage;
//! whatever is missing, stopped, restarted or of an older version is shown as that.
//!
//! Three parts that know nothing of each other's insides: `model` is what is known, `messages` says it in sentences,
//! `draw` makes the picture. Around them, `feed` fills the model from the taps, `app` is what keys do, and `terminal`
//! keeps the terminal in order, whatever happens.

#![forbid(unsafe_code)]

mod app;
mod draw;
mod feed;
#[cfg(test)]
mod fixture;
mod keys;
mod look;
mod messages;
mod model;
mod terminal;

pub use look::{Colors, Look};

use app::{App, Then};
use draw::{Screen, View, picture, plain};
use feed::Feed;
use hanja_ring::now_ns;
use model::Model;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use terminal::{Signals, Taken};

/// How often the rings are looked at, at least. A look costs microseconds.
const LOOK: Duration = Duration::from_millis(100);
/// Longest that a single picture waits for the stages to speak twice, which they do once a second.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Longest that the first picture of many waits for all stages to answer.
const FIRST: Duration = Duration::from_millis(300);
/// Between two looks meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the view ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// The terminal cannot be used, or is gone.
    #[error("the terminal cannot be used: {0}; hanja top --once needs none")]
    Terminal(io::Error),
    /// Standard output of a single picture.
    #[error("writing to standard output: {0}")]
    Output(#[source] io::Error),
}

/// Shows the pipeline of `runtime_dir` until a key or a signal ends it, with a new picture every `interval`.
///
/// # Errors
/// [`TopError::Terminal`]. A pipeline that is not there is none.
pub fn watch(runtime_dir: &Path, interval: Duration, look: Look) -> Result<(), TopError> {
    let signals = Signals::catch().map_err(TopError::Terminal)?;
    let mut taken = Taken::take(look.color).map_err(TopError::Terminal)?;
    let result = Watch {
        place: runtime_dir.display().to_string(),
        feed: Feed::new(runtime_dir),
        app: App::new(Model::new(now_ns())),
        interval,
        look,
    }
    .run(&signals, &mut taken);
    drop(taken);
    match result {
        // It went away and took the reason to go on with it.
        Err(_) if signals.stop() => Ok(()),
        other => other.map_err(TopError::Terminal),
    }
}

struct Watch {
    place: String,
    feed: Feed,
    app: App,
    interval: Duration,
    look: Look,
}

impl Watch {
    fn run(&mut self, signals: &Signals, taken: &mut Taken) -> io::Result<()> {
        // The first picture is of what is there, not of what has not answered yet.
        let begin = Instant::now();
        while begin.elapsed() < FIRST && !signals.stop() {
            self.feed.look(&mut self.app.model);
            if self.feed.answered() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let mut due = Instant::now();
        while !signals.stop() {
            self.feed.look(&mut self.app.model);
            if signals.suspend() {
                taken.suspend()?;
                due = Instant::now();
            }
            if signals.redraw() {
                taken.repaint()?;
                due = Instant::now();
            }
            if Instant::now() >= due {
                self.draw(taken)?;
                due = Instant::now() + self.interval;
            }
            let wait = due.saturating_duration_since(Instant::now()).min(LOOK);
            for key in taken.keys(wait)? {
                match self.app.press(key, now_ns()) {
                    Then::Nothing => continue,
                    Then::Quit => return Ok(()),
                    Then::Draw => {}
                    Then::Repaint => taken.repaint()?,
                    Then::Suspend => taken.suspend()?,
                }
                due = Instant::now();
            }
        }
        Ok(())
    }

    fn draw(&mut self, taken: &mut Taken) -> io::Result<()> {
        self.app.model.explain();
        let screen = self.app.screen(now_ns(), self.look, &self.place);
        taken.draw(|buffer| screen.draw(self.app.view(), buffer))
    }
}

/// Writes one picture as plain text, `width` columns wide and as high as it takes, once the stages that are there have
/// said enough.
///
/// # Errors
/// [`TopError::Output`].
pub fn once(
    runtime_dir: &Path,
    width: u16,
    look: Look,
    mut out: impl Write,
) -> Result<(), TopError> {
    let mut feed = Feed::new(runtime_dir);
    let mut model = Model::new(now_ns());
    let begin = Instant::now();
    loop {
        feed.look(&mut model);
        if feed.settled(&model) || begin.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    model.explain();
    let place = runtime_dir.display().to_string();
    let look = Look {
        color: false,
        ..look
    };
    let mut screen = Screen::new(&model, now_ns(), look, &place);
    screen.keys = false;
    let height = screen.natural_height(width);
    let text = plain(&picture(&screen, View::All, width, height));
    out.write_all(text.as_bytes()).map_err(TopError::Output)?;
    out.flush().map_err(TopError::Output)
}

/// Columns of the terminal on standard output, if it is one.
#[must_use]
pub fn columns() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

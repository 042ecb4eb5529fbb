//! The terminal: taken over, drawn on, and given back as it was, however this program ends (but for `kill -9`).

use crate::keys::{Key, Keyboard};
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

/// The terminal is ours: the panic hook asks.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// A picture of 200 x 60 with all of its colours goes out in one piece.
const BUFFER: usize = 64 << 10;

/// What signals ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// End.
    pub(crate) stop: Arc<AtomicBool>,
    suspend: Arc<AtomicBool>,
    /// Another size, or back from being stopped.
    redraw: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            signal_hook::flag::register(signal, Arc::clone(&signals.stop))?;
        }
        signal_hook::flag::register(SIGTSTP, Arc::clone(&signals.suspend))?;
        for signal in [SIGCONT, SIGWINCH] {
            signal_hook::flag::register(signal, Arc::clone(&signals.redraw))?;
        }
        Ok(signals)
    }

    pub(crate) fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn suspend(&self) -> bool {
        self.suspend.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn redraw(&self) -> bool {
        self.redraw.swap(false, Ordering::Relaxed)
    }
}

/// A terminal that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    keyboard: Keyboard,
}

impl Taken {
    /// Takes it over.
    pub(crate) fn take(color: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        // The look has been chosen, NO_COLOR included; nobody chooses again.
        force_color_output(color);
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        let mut taken = Self {
            terminal: Terminal::new(backend)?,
            keyboard: Keyboard::open(),
        };
        taken.enter()?;
        Ok(taken)
    }

    fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::Relaxed);
        enable_raw_mode()?;
        execute!(self.terminal.backend_mut(), EnterAlternateScreen, Hide)?;
        self.repaint()
    }

    /// Forgets what is on the screen: the next picture is drawn whole.
    pub(crate) fn repaint(&mut self) -> io::Result<()> {
        // Not the terminal's own clear: that asks where the cursor is, and waits for an answer.
        self.terminal.backend_mut().clear_region(ClearType::All)?;
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Draws; what has not changed since the last time is not sent.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| picture(frame.buffer_mut()))?;
        Ok(())
    }

    /// Keys, waited for for at most `timeout`.
    pub(crate) fn keys(&mut self, timeout: Duration) -> io::Result<Vec<Key>> {
        self.keyboard.wait(timeout)
    }

    /// Stops this process as Ctrl-Z does, with the terminal as it was; back when it goes on.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
        self.enter()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = Write::flush(self.terminal.backend_mut());
        give_back();
    }
}

/// As it was before. A terminal that is gone needs nothing.
fn give_back() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        let mut out = io::stdout();
        let _ = execute!(out, LeaveAlternateScreen, Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

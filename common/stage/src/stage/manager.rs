//! What a stage says to its service manager: systemd, or `hanja run`, which understands the same words. Without one,
//! nobody listens.

use super::StageName;
use hanja_ring::now_ns;
use sd_notify::NotifyState;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Exit status of a stage that would end the same way again: wrong configuration, missing model. `sysexits.h` calls it
/// EX_CONFIG. Neither systemd (`RestartPreventExitStatus=`) nor `hanja run` starts it again.
pub const EXIT_CONFIG: u8 = 78;

/// Whether a service manager started this process.
#[must_use]
pub fn is_managed() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Manager {
    who: String,
    managed: bool,
    ready: AtomicBool,
    /// How often the manager wants to hear of progress; `None`: it does not.
    ping_every: Option<Duration>,
    pinged_ns: AtomicU64,
    progress: AtomicU64,
    note: Mutex<String>,
}

impl Manager {
    pub(super) fn new(stage: StageName) -> Self {
        Self {
            who: format!("X_HANJA_STAGE={}", stage.name()),
            managed: is_managed(),
            ready: AtomicBool::new(false),
            // A quarter of the patience: one ping that is late by half of it does no harm.
            ping_every: sd_notify::watchdog_enabled().map(|patience| patience / 4),
            pinged_ns: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            note: Mutex::default(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    pub(super) fn ready(&self, status: &str) {
        let mut states = vec![NotifyState::Status(status)];
        if !self.ready.swap(true, Ordering::Relaxed) {
            states.push(NotifyState::Ready);
        }
        self.tell(states);
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Data made progress. Costs a look at the clock, and now and then a datagram.
    pub(super) fn alive(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        let Some(every) = self.ping_every else {
            return;
        };
        let now = now_ns();
        let since = now.saturating_sub(self.pinged_ns.load(Ordering::Relaxed));
        if u128::from(since) >= every.as_nanos() {
            self.pinged_ns.store(now, Ordering::Relaxed);
            self.tell(vec![NotifyState::Watchdog]);
        }
    }

    pub(super) fn note(&self, words: &str) {
        let mut note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        words.clone_into(&mut note);
    }

    /// The line that `systemctl status` shows; once a second is often enough.
    pub(crate) fn status(&self, figures: &str) {
        if !self.managed {
            return;
        }
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        let line = if note.is_empty() {
            figures.to_owned()
        } else {
            format!("{note}; {figures}")
        };
        drop(note);
        self.tell(vec![NotifyState::Status(&line)]);
    }

    pub(super) fn reloading(&self) {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now());
        self.tell(states);
    }

    pub(super) fn reloaded(&self) {
        // A reload before the first frame must not make the stage ready.
        if self.is_ready() {
            self.tell(vec![NotifyState::Ready]);
        }
    }

    fn tell(&self, states: Vec<NotifyState<'_>>) {
        if !self.managed {
            return;
        }
        let mut message = vec![NotifyState::Custom(&self.who)];
        message.extend(states);
        if let Err(e) = sd_notify::notify(&message) {
            tracing::debug!("sd_notify: {e}");
        }
    }
}

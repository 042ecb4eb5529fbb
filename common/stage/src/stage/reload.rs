//! SIGHUP: the configuration is read again, each stage takes what it can take while it runs, and it is said key by key
//! what was taken and what needs a restart. A configuration with an error is refused as a whole.

use super::StageName;
use crate::config::{Config, ConfigError, Setting};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the configuration again, flags applied; or says why not.
pub type ReadConfig = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What is needed to answer a SIGHUP.
pub(super) struct Reload {
    read: ReadConfig,
    asked: Arc<AtomicBool>,
    /// What the stage works with now.
    settings: Mutex<Vec<Setting>>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

impl Reload {
    /// Takes SIGHUP from now on.
    pub(super) fn new(stage: StageName, config: &Config, read: ReadConfig) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&asked))?;
        Ok(Self {
            read,
            asked,
            settings: Mutex::new(config.settings(stage.name())),
        })
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    /// Reads, lets the stage take what it can, and says what became of every changed key.
    pub(super) fn run(&self, stage: StageName, take: impl FnOnce(&Config) -> Vec<&'static str>) {
        let config = match (self.read)() {
            Ok(config) => config,
            Err(e) => {
                let e = e.to_string().replace('\n', " ");
                tracing::warn!("reload refused, everything stays as it was: {e}");
                return;
            }
        };
        let mut taken = take(&config);
        match crate::logging::set_filter(config.log.as_deref()) {
            Ok(()) => taken.push("log"),
            Err(e) => tracing::warn!("reload: {e}"),
        }
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (old, new) in settings.iter_mut().zip(config.settings(stage.name())) {
            if *old == new {
                continue;
            }
            changed = true;
            let (key, old_value, new_value) = (&new.key, old.shown(), new.shown());
            if taken.contains(&key.as_str()) {
                tracing::info!("reload: {key} is now {new_value} (was {old_value})");
                *old = new;
            } else {
                tracing::warn!(
                    "reload: {key} stays {old_value}; for {new_value}: systemctl restart hanja-{}",
                    stage.name()
                );
            }
        }
        if !changed {
            tracing::info!("reload: nothing has changed for this stage");
        }
    }
}

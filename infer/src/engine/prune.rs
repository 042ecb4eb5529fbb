//! Removes files from the cache that will not be used again.

use super::cache::{Cache, ENGINE, Health, SIDECAR, TEMPORARY, TIMING, is_engine, sidecar_path};
use super::error::EngineError;
use super::key::{DeviceKey, LibraryKey};
use super::trust::trusted_dir;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The library and device that engines have to fit. One that is not known excludes no engine.
#[derive(Clone, Debug, Default)]
pub struct Current {
    /// The library on this machine.
    pub library: Option<LibraryKey>,
    /// The GPU of this machine.
    pub device: Option<DeviceKey>,
}

/// A file that was removed, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Removal {
    /// The file; a sidecar is removed with its engine.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

impl Cache {
    /// Removes engines that do not fit or cannot be used, files left over from interrupted writes, and timing caches of other
    /// libraries; with `all` every engine and timing cache. With `dry_run` nothing is removed. Files whose names this cache
    /// does not make are left alone.
    ///
    /// # Errors
    /// [`EngineError::Cache`]; [`EngineError::Trust`] if another user can write there; [`EngineError::Busy`] while an
    /// engine is being built.
    pub fn prune(
        &self,
        current: &Current,
        all: bool,
        dry_run: bool,
    ) -> Result<Vec<Removal>, EngineError> {
        if !self.dir().exists() {
            return Ok(Vec::new());
        }
        trusted_dir(self.dir())?;
        let _lock = if dry_run {
            None
        } else {
            let busy = || EngineError::Busy(self.dir().to_owned());
            Some(self.lock(false)?.ok_or_else(busy)?)
        };
        let removals = self.condemned(current, all)?;
        if !dry_run {
            for removal in &removals {
                self.remove(&removal.path)?;
                if is_engine(&name_of(&removal.path)) {
                    self.remove(&sidecar_path(&removal.path))?;
                }
            }
        }
        Ok(removals)
    }

    fn condemned(&self, current: &Current, all: bool) -> Result<Vec<Removal>, EngineError> {
        let mut removals = Vec::new();
        let mut condemn = |path: PathBuf, reason: String| {
            let bytes = std::fs::symlink_metadata(&path).map_or(0, |m| m.len());
            removals.push(Removal {
                path,
                bytes,
                reason,
            });
        };
        for entry in self.list()? {
            let unfit = match (&entry.health, &entry.sidecar) {
                (Health::Bad(why), _) => Some(why.clone()),
                (Health::Good, Some(sidecar)) => {
                    current.excludes(&sidecar.key.library, sidecar.key.device.as_ref())
                }
                (Health::Good, None) => None,
            };
            match unfit {
                _ if all => condemn(entry.path, "all were to go".into()),
                Some(why) => condemn(entry.path, why),
                None => {}
            }
        }
        for name in self.names()? {
            let path = self.dir().join(&name);
            if let Some(plan) = name.strip_suffix(SIDECAR).filter(|plan| is_engine(plan)) {
                if !self.dir().join(plan).exists() {
                    condemn(path, "the engine that it describes is gone".into());
                }
            } else if is_temporary(&name) {
                condemn(path, "left over from a write that was cut off".into());
            } else if is_timing(&name) {
                let other = current
                    .library
                    .as_ref()
                    .filter(|l| !name.starts_with(&format!("{}{}-", l.flavour, l.version)));
                if all {
                    condemn(path, "all were to go".into());
                } else if let Some(library) = other {
                    let LibraryKey { flavour, version } = library;
                    condemn(
                        path,
                        format!("not of the library here, {flavour} {version}"),
                    );
                }
            }
        }
        Ok(removals)
    }

    fn remove(&self, path: &Path) -> Result<(), EngineError> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failed("remove from", path)(e))
            }
            _ => Ok(()),
        }
    }
}

impl Current {
    /// Why an engine of that library and device cannot be used here; `None`: it can.
    fn excludes(&self, library: &LibraryKey, device: Option<&DeviceKey>) -> Option<String> {
        if let Some(here) = self.library.as_ref().filter(|here| *here != library) {
            return Some(format!(
                "built by {} {}, and here is {} {}",
                library.flavour, library.version, here.flavour, here.version
            ));
        }
        let (here, other) = self.device.as_ref().zip(device)?;
        (here != other).then(|| format!("built for {}, and here is {}", other.name, here.name))
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Whether this is `.NAME.PID.tmp`, with a NAME that the cache makes.
fn is_temporary(name: &str) -> bool {
    let inner = name
        .strip_prefix('.')
        .and_then(|n| n.strip_suffix(TEMPORARY))
        .and_then(|n| n.rsplit_once('.'))
        .filter(|(_, pid)| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()));
    inner.is_some_and(|(name, _)| {
        is_engine(name.strip_suffix(SIDECAR).unwrap_or(name)) || is_timing(name)
    })
}

/// Whether this is a name that `Key::timing_name` makes.
fn is_timing(name: &str) -> bool {
    name.strip_suffix(TIMING)
        .is_some_and(|stem| is_engine(&format!("{stem}{ENGINE}")))
}

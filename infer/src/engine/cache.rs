//! The directory of engines. Each engine is two files: the plan, and a sidecar that describes it. A plan is only handed out
//! if the key in its sidecar is the wanted one, and length and SHA-256 are those of the bytes that were read.

use super::error::EngineError;
use super::key::{DeviceKey, Key, sha256_hex};
use super::trust::{TrustError, trusted_dir, trusted_read};
use hanja_stage::config::InferConfig;
use rustix::fs::{Access, FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ending of a plan's name.
pub(super) const ENGINE: &str = ".engine";
/// What follows the plan's name in that of its sidecar.
pub(super) const SIDECAR: &str = ".json";
/// Ending of a file that is being written; its name begins with a dot.
pub(super) const TEMPORARY: &str = ".tmp";
/// Ending of a timing cache's name.
pub(super) const TIMING: &str = ".timing";
/// Held while an engine is built or the directory is pruned.
const LOCK: &str = "lock";
/// Largest sidecar that is looked at, bytes; ours have a few hundred.
const MOST_SIDECAR: usize = 64 << 10;

/// The directory of engines: the configured one, else [`default_cache_dir`].
#[must_use]
pub fn cache_dir(config: &InferConfig) -> PathBuf {
    config
        .engine_cache
        .clone()
        .unwrap_or_else(default_cache_dir)
}

/// `$CACHE_DIRECTORY` (systemd's), else `$XDG_CACHE_HOME/hanja-pipeline`, else `~/.cache/hanja-pipeline`, else
/// `/var/cache/hanja-pipeline`.
#[must_use]
pub fn default_cache_dir() -> PathBuf {
    default_dir(|name| std::env::var_os(name))
}

pub(super) fn default_dir(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    // A relative path would be another directory for each caller; the XDG standard says to ignore it.
    let dir = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let systemd = variable("CACHE_DIRECTORY").and_then(|list| {
        let first = std::env::split_paths(&list).next()?;
        first.is_absolute().then_some(first)
    });
    let own = |base: PathBuf| base.join("hanja-pipeline");
    systemd
        .or_else(|| dir("XDG_CACHE_HOME").map(own))
        .or_else(|| dir("HOME").map(|home| own(home.join(".cache"))))
        .unwrap_or_else(|| own("/var/cache".into()))
}

/// The contents of the file beside a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// What the engine is for.
    pub key: Key,
    /// Length of the plan.
    pub bytes: u64,
    /// SHA-256 of the plan, hexadecimal.
    pub sha256: String,
    /// When it was finished, seconds since 1970.
    pub built_at: u64,
    /// How long the build took.
    pub build_seconds: f64,
    /// The library that built it, and the file that the library was loaded from.
    pub built_by: String,
}

/// An engine that may be given to the library.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Where it lies.
    pub path: PathBuf,
    /// The bytes that were checked; the file is not read again.
    pub plan: Vec<u8>,
    /// Its sidecar.
    pub sidecar: Sidecar,
}

/// What the cache has for a key.
#[derive(Debug)]
pub enum Found {
    /// An undamaged engine.
    Engine(Box<Engine>),
    /// There is none.
    Nothing,
    /// An engine that cannot be used, and why; it has to be built anew.
    Unfit(String),
}

/// Whether an engine of the cache can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is what its sidecar describes.
    Good,
    /// What is wrong with it.
    Bad(String),
}

/// An engine in [`Cache::list`].
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The plan.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether it could be used.
    pub health: Health,
    /// Its sidecar, if there is one that can be read.
    pub sidecar: Option<Sidecar>,
}

/// The exclusive right to write to the cache; it ends when the value is dropped, and with the process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: OwnedFd,
}

/// A directory of engines; it need not exist yet.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache in `dir`. Nothing is touched.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory if it is missing, and checks that this user and nobody else can write there.
    ///
    /// # Errors
    /// [`EngineError::Cache`], [`EngineError::Trust`]; both name the path and the remedy.
    pub fn prepare(&self) -> Result<(), EngineError> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir);
        made.map_err(self.failed("create", &self.dir))?;
        self.writable()
    }

    /// The check of [`prepare`](Self::prepare), for a directory that exists already.
    ///
    /// # Errors
    /// As of [`prepare`](Self::prepare).
    pub fn writable(&self) -> Result<(), EngineError> {
        trusted_dir(&self.dir)?;
        rustix::fs::access(&self.dir, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|e| self.failed("write to", &self.dir)(e.into()))
    }

    /// Looks for the engine of `key` and checks all of its bytes. Why one is unfit is logged by the build that replaces it.
    ///
    /// # Errors
    /// [`EngineError::Trust`]: somebody else can write there. Building the engine anew does not remove that.
    pub fn find(&self, key: &Key) -> Result<Found, EngineError> {
        let path = self.dir.join(key.file_name());
        let unfit = |why| Ok(Found::Unfit(why));
        let plan = match trusted_read(&path) {
            Ok(plan) => plan,
            Err(e) if e.is_missing() => return Ok(Found::Nothing),
            Err(e) => return Err(e.into()),
        };
        let sidecar = match self.sidecar(&path)? {
            Ok(sidecar) => sidecar,
            Err(why) => return unfit(why),
        };
        if let Some(difference) = sidecar.key.difference(key) {
            return unfit(difference);
        }
        if let Some(damage) = sidecar.damage(&plan) {
            return unfit(damage);
        }
        Ok(Found::Engine(Box::new(Engine {
            path,
            plan,
            sidecar,
        })))
    }

    /// The sidecar of a plan, or what is wrong with it.
    fn sidecar(&self, plan: &Path) -> Result<Result<Sidecar, String>, TrustError> {
        let bytes = match trusted_read(&sidecar_path(plan)) {
            Ok(bytes) => bytes,
            Err(e) if e.is_missing() => return Ok(Err("its sidecar is missing".into())),
            Err(e) => return Err(e),
        };
        if bytes.len() > MOST_SIDECAR {
            return Ok(Err("its sidecar is too large to be one".into()));
        }
        Ok(serde_json::from_slice(&bytes).map_err(|e| format!("its sidecar is damaged ({e})")))
    }

    /// Stores an engine. Until both files are written, [`find`](Self::find) does not accept it.
    ///
    /// # Errors
    /// [`EngineError::Cache`].
    pub fn store(
        &self,
        key: &Key,
        plan: &[u8],
        build_time: Duration,
        built_by: &str,
    ) -> Result<PathBuf, EngineError> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let sidecar = Sidecar {
            key: key.clone(),
            bytes: plan.len() as u64,
            sha256: sha256_hex(plan),
            built_at: since_1970.unwrap_or_default().as_secs(),
            build_seconds: (build_time.as_secs_f64() * 1000.0).round() / 1000.0,
            built_by: built_by.to_owned(),
        };
        let path = self.dir.join(key.file_name());
        let text = serde_json::to_vec_pretty(&sidecar)
            .map_err(|e| self.failed("describe an engine in", &path)(e.into()))?;
        // If this is cut off between the two files, the sidecar of an older pair does not match the new plan.
        write_whole(&path, plan).map_err(self.failed("write to", &path))?;
        let beside = sidecar_path(&path);
        write_whole(&beside, &text).map_err(self.failed("write to", &beside))?;
        Ok(path)
    }

    /// The timing cache for builds like that of `key`; `None`: there is none that could be used.
    pub(super) fn load_timing(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.dir.join(key.timing_name());
        match trusted_read(&path) {
            Ok(bytes) => {
                // Checked here, because the library parses it in native code, which damage could crash.
                let (digest, data) = bytes.split_at_checked(64)?;
                if digest == sha256_hex(data).as_bytes() {
                    return Some(data.to_vec());
                }
                tracing::warn!(
                    "the timing cache {} is damaged: starting a new one",
                    path.display()
                );
                None
            }
            Err(e) => {
                if !e.is_missing() {
                    tracing::warn!("the timing cache is not used: {e}");
                }
                None
            }
        }
    }

    /// Stores the timing cache of a finished build of `key`.
    pub(super) fn store_timing(&self, key: &Key, data: &[u8]) -> Result<(), EngineError> {
        let path = self.dir.join(key.timing_name());
        let bytes = [sha256_hex(data).as_bytes(), data].concat();
        write_whole(&path, &bytes).map_err(self.failed("write to", &path))
    }

    /// Takes the lock; `None` if somebody else has it and `wait` is false.
    pub(super) fn lock(&self, wait: bool) -> Result<Option<Lock>, EngineError> {
        let path = self.dir.join(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |e: rustix::io::Errno| self.failed("lock", &path)(e.into());
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
        let how = if wait {
            FlockOperation::LockExclusive
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        loop {
            match rustix::fs::flock(&file, how) {
                Ok(()) => return Ok(Some(Lock { _file: file })),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// Every engine in the directory, by name; all of their bytes are checked.
    ///
    /// # Errors
    /// [`EngineError::Cache`] if the directory cannot be read. A missing directory counts as empty.
    pub fn list(&self) -> Result<Vec<Entry>, EngineError> {
        let entry = |name: String| {
            let path = self.dir.join(name);
            let bytes = std::fs::symlink_metadata(&path).map_or(0, |m| m.len());
            let sidecar = match self.sidecar(&path) {
                Ok(sidecar) => sidecar,
                Err(e) => Err(e.to_string()),
            };
            let health = match (&sidecar, trusted_read(&path)) {
                (_, Err(e)) => Health::Bad(e.to_string()),
                (Err(why), _) => Health::Bad(why.clone()),
                (Ok(sidecar), Ok(plan)) => match sidecar.damage(&plan) {
                    Some(damage) => Health::Bad(damage),
                    None if path.file_name() != Some(sidecar.key.file_name().as_ref()) => {
                        Health::Bad("its sidecar is that of another engine".into())
                    }
                    None => Health::Good,
                },
            };
            Entry {
                path,
                bytes,
                health,
                sidecar: sidecar.ok(),
            }
        };
        let names = self.names()?.into_iter();
        Ok(names.filter(|n| is_engine(n)).map(entry).collect())
    }

    /// The number of engines in the directory, and their bytes. No file is opened.
    ///
    /// # Errors
    /// As of [`list`](Self::list).
    pub fn size(&self) -> Result<(usize, u64), EngineError> {
        let names = self.names()?.into_iter().filter(|n| is_engine(n));
        let length =
            |name| std::fs::symlink_metadata(self.dir.join(name)).map_or(0, |meta| meta.len());
        Ok(names
            .map(length)
            .fold((0, 0), |(n, sum), l| (n + 1, sum + l)))
    }

    /// Names of the files in the directory, sorted, without those that are not UTF-8: the cache makes no such names.
    pub(super) fn names(&self) -> Result<Vec<String>, EngineError> {
        let dir = match std::fs::read_dir(&self.dir) {
            Ok(dir) => dir,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("read", &self.dir)(e)),
        };
        let mut names: Vec<String> = dir
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn failed(
        &self,
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> EngineError + use<> {
        let path = path.to_owned();
        move |source| EngineError::Cache {
            action,
            path,
            source,
        }
    }
}

impl Sidecar {
    /// What is wrong with the plan beside this sidecar; `None`: nothing.
    pub(super) fn damage(&self, plan: &[u8]) -> Option<String> {
        if self.bytes != plan.len() as u64 {
            let (has, had) = (plan.len(), self.bytes);
            return Some(format!("it has {has} bytes instead of {had}"));
        }
        (sha256_hex(plan) != self.sha256)
            .then(|| "its bytes have changed since it was built".into())
    }

    /// The device it was built for.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceKey> {
        self.key.device.as_ref()
    }
}

/// Whether a name has the form that [`Key::file_name`] makes. Other files in the directory are left alone.
pub(super) fn is_engine(name: &str) -> bool {
    let hash = name
        .strip_suffix(ENGINE)
        .and_then(|stem| stem.rsplit_once('-'));
    hash.is_some_and(|(_, hash)| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) fn sidecar_path(plan: &Path) -> PathBuf {
    let mut path = plan.as_os_str().to_owned();
    path.push(SIDECAR);
    path.into()
}

/// Writes a file as a whole or not at all: the name appears only when all bytes are on the disk.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}{TEMPORARY}", std::process::id()));
    let write = || {
        // It may be left over from an earlier process with the same number.
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    };
    write().inspect_err(|_| {
        // If removing fails as well, the error of writing is the one to report.
        let _ = std::fs::remove_file(&temporary);
    })
}

//! The runtime of one stage process: its runtime directory, control sockets, signals, readiness, and publishers.

use crate::activation;
use crate::config::Config;
use hanja_record::{StageName, Topic};
use hanja_ring::{Door, Geometry, Publisher, RingError, Server, listener, socket_path};
use reload::Reload;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

mod manager;
mod reload;

pub(crate) use manager::Manager;
pub use manager::{EXIT_CONFIG, is_managed};
pub use reload::ReadConfig;

/// Why a stage could not start.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The directory for the sockets cannot be used.
    #[error("cannot use the runtime directory {}: {source}; choose a writable one with --runtime-dir", path.display())]
    RuntimeDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could plant sockets there.
    #[error("the runtime directory {} belongs to user {owner} or is writable by others; choose another with --runtime-dir", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The stage runs already.
    #[error("{} already runs in {} (process {pid}); stop it, or choose another directory with --runtime-dir", stage.name(), path.display())]
    InUse {
        /// Which stage.
        stage: StageName,
        /// Where.
        path: PathBuf,
        /// Who.
        pid: i32,
    },
    /// systemd holds the sockets of a stage that somebody starts beside it.
    #[error("systemd holds the sockets of {} in {}: use systemctl start hanja-pipeline, or choose another directory with --runtime-dir", stage.name(), path.display())]
    Held {
        /// Which stage.
        stage: StageName,
        /// Where.
        path: PathBuf,
    },
    /// Sockets that the service manager handed over and that are of no use.
    #[error("{0}")]
    Handed(io::Error),
    /// No control thread or signal handler to be had.
    #[error("cannot set up the process: {0}")]
    Process(#[from] io::Error),
}

impl StageError {
    /// For a stage whose sockets in `path` process `pid` listens on.
    #[must_use]
    pub fn in_use(stage: StageName, path: &Path, pid: i32) -> Self {
        let path = path.to_owned();
        if pid == 1 {
            Self::Held { stage, path }
        } else {
            Self::InUse { stage, path, pid }
        }
    }

    /// Whether another start would end the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Handed(_))
    }
}

/// A directory for the sockets of one pipeline, created if need be and removed again if it was.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    created: bool,
}

impl RuntimeDir {
    /// Makes sure the directory is there and nobody else can write to it.
    ///
    /// # Errors
    /// [`StageError::RuntimeDir`] and [`StageError::Foreign`].
    pub fn prepare(path: &Path) -> Result<Self, StageError> {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        let fail = |source| StageError::RuntimeDir {
            path: path.to_owned(),
            source,
        };
        let created = match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            Err(e) => return Err(fail(e)),
        };
        let meta = std::fs::metadata(path).map_err(fail)?;
        if !meta.is_dir() {
            return Err(fail(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        let ours = meta.uid() == rustix::process::geteuid().as_raw() || meta.uid() == 0;
        if !ours || meta.mode() & 0o002 != 0 {
            return Err(StageError::Foreign {
                path: path.to_owned(),
                owner: meta.uid(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            created,
        })
    }

    /// Process id of a stage that is alive in this directory.
    #[must_use]
    pub fn running(path: &Path, stage: StageName) -> Option<i32> {
        listener(&socket_path(path, stage.name(), Door::Tap))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Holds off everybody else who is about to bind sockets here; ends with the descriptor.
    fn lock(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&self.path, flags, Mode::empty())?;
        rustix::fs::flock(&fd, FlockOperation::LockExclusive)?;
        Ok(fd)
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        if self.created {
            // Fails while another stage still has its sockets there; the last one out succeeds, or the supervisor.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// One stage process.
#[derive(Debug)]
pub struct Stage {
    name: StageName,
    server: Server,
    stop: Arc<AtomicBool>,
    manager: Arc<Manager>,
    reload: Option<Reload>,
    // Dropped last: the sockets in it go first.
    dir: RuntimeDir,
}

impl Stage {
    /// Claims the stage's place in the runtime directory, opens its control sockets or takes those that the service
    /// manager hands over, takes SIGTERM and SIGINT.
    ///
    /// # Errors
    /// See [`StageError`]; each names the directory and what to do.
    pub fn start(name: StageName, runtime_dir: &Path) -> Result<Self, StageError> {
        let dir = RuntimeDir::prepare(runtime_dir)?;
        let fail = |source| StageError::RuntimeDir {
            path: runtime_dir.to_owned(),
            source,
        };
        let handed = activation::take(runtime_dir, name.name()).map_err(StageError::Handed)?;
        let lock = dir.lock().map_err(fail)?;
        // Whoever handed the sockets over listens on them too.
        let both = handed.lease.is_some() && handed.tap.is_some();
        if !both && let Some(pid) = RuntimeDir::running(runtime_dir, name) {
            return Err(StageError::in_use(name, runtime_dir, pid));
        }
        let topics = Topic::ALL.map(Topic::ring);
        let server = Server::start(runtime_dir, name.name(), &topics, handed).map_err(fail)?;
        drop(lock);
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            name,
            server,
            stop,
            manager: Arc::new(Manager::new(name)),
            reload: None,
            dir,
        })
    }

    /// Takes SIGHUP from now on, which asks to `read` the configuration again; see [`reload`](Self::reload). `config` is
    /// the one the stage starts with.
    ///
    /// # Errors
    /// No signal handler to be had.
    pub fn reloads(&mut self, config: &Config, read: ReadConfig) -> io::Result<()> {
        self.reload = Some(Reload::new(self.name, config, read)?);
        Ok(())
    }

    /// If SIGHUP has come: reads the configuration and gives it to `take`, which changes what can be changed while the
    /// stage runs and returns the keys of that, such as `infer.conf`. What became of each changed key is logged. A
    /// configuration with an error is refused, in words, and nothing is changed. Look at least every second.
    pub fn reload(&self, take: impl FnOnce(&Config) -> Vec<&'static str>) {
        if let Some(reload) = self.reload.as_ref().filter(|r| r.asked()) {
            self.manager.reloading();
            reload.run(self.name, take);
            self.manager.reloaded();
        }
    }

    /// Which stage this is.
    #[must_use]
    pub fn name(&self) -> StageName {
        self.name
    }

    /// Directory of all sockets of this pipeline.
    #[must_use]
    pub fn runtime_dir(&self) -> &Path {
        self.dir.path()
    }

    /// SIGTERM or SIGINT has come: end within a second. Look at least every 100 ms.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The flag behind [`stopping`](Self::stopping), for other threads.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Tells the service manager (systemd or `hanja run`) that data flows, with a status line. Only the first call
    /// says READY.
    pub fn ready(&self, status: &str) {
        self.manager.ready(status);
    }

    /// Whether [`ready`](Self::ready) has been called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.manager.is_ready()
    }

    /// Feeds the service manager's watchdog. To be called where data made progress, or where it is certain that there
    /// was none to make, and nowhere else: a stage that does not call it for `WatchdogSec=` is killed and started again.
    pub fn alive(&self) {
        self.manager.alive();
    }

    /// How often [`alive`](Self::alive) was called.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.manager.progress()
    }

    /// A state in words, in front of the figures of the status line from now on, such as `no camera`; none when empty.
    pub fn note(&self, words: &str) {
        self.manager.note(words);
    }

    pub(crate) fn manager(&self) -> Arc<Manager> {
        Arc::clone(&self.manager)
    }

    /// Opens a topic for writing and serves it on the control sockets.
    ///
    /// # Errors
    /// No memory, or a geometry outside its limits.
    pub fn publisher(&self, topic: Topic, geometry: Geometry) -> Result<Publisher, RingError> {
        self.server.publisher(topic.ring(), geometry)
    }

    /// Processes attached to this stage's topics.
    #[must_use]
    pub fn readers(&self) -> u32 {
        let (leases, taps) = self.server.attached();
        leases.saturating_add(taps)
    }

    pub(crate) fn server(&self) -> Server {
        self.server.clone()
    }
}

#[cfg(test)]
mod tests;

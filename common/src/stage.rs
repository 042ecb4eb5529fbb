//! The runtime of one stage process: its runtime directory, control sockets, signals, readiness, and publishers.

#![expect(
    clippy::disallowed_types,
    reason = "flags between the threads of one process"
)]

use crate::clock::now_ns;
use crate::control::{ControlServer, live_listener, socket_path};
use crate::ring::writer::RingWriter;
use crate::ring::{Geometry, RingError, Slot, Stamp, Topic};
use rustix::fs::{FlockOperation, Mode, OFlags};
use sd_notify::NotifyState;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zerocopy::{Immutable, IntoBytes};

/// The three daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum StageName {
    /// Camera to frames.
    Capture = 1,
    /// Frames to detections.
    Infer = 2,
    /// Detections to people.
    Render = 3,
}

impl StageName {
    /// In the order in which a frame passes.
    pub const ALL: [StageName; 3] = [Self::Capture, Self::Infer, Self::Render];

    /// The name of subcommand, socket and log prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Infer => "infer",
            Self::Render => "render",
        }
    }
}

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
    /// No control thread or signal handler to be had.
    #[error("cannot set up the process: {0}")]
    Process(#[from] io::Error),
}

/// A directory for the sockets of one pipeline, created if need be and removed again if it was.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    created: bool,
}

impl RuntimeDir {
    /// systemd's `RUNTIME_DIRECTORY`, else `XDG_RUNTIME_DIR/hanja`, else a per-user directory under the system's
    /// directory for temporary files.
    #[must_use]
    pub fn default_path() -> PathBuf {
        let var = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        if let Some(dir) = var("RUNTIME_DIRECTORY") {
            return dir;
        }
        if let Some(dir) = var("XDG_RUNTIME_DIR") {
            return dir.join("hanja");
        }
        std::env::temp_dir().join(format!("hanja-{}", rustix::process::getuid().as_raw()))
    }

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
        live_listener(&socket_path(path, stage.name(), crate::control::Door::Tap))
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
    control: Arc<ControlServer>,
    stop: Arc<AtomicBool>,
    ready: AtomicBool,
    // Dropped last: the sockets in it go first.
    dir: RuntimeDir,
}

impl Stage {
    /// Claims the stage's place in the runtime directory, opens its control sockets, takes SIGTERM and SIGINT.
    ///
    /// # Errors
    /// See [`StageError`]; each names the directory and what to do.
    pub fn start(name: StageName, runtime_dir: &Path) -> Result<Self, StageError> {
        let dir = RuntimeDir::prepare(runtime_dir)?;
        let fail = |source| StageError::RuntimeDir {
            path: runtime_dir.to_owned(),
            source,
        };
        let lock = dir.lock().map_err(fail)?;
        if let Some(pid) = RuntimeDir::running(runtime_dir, name) {
            return Err(StageError::InUse {
                stage: name,
                path: runtime_dir.to_owned(),
                pid,
            });
        }
        let control = Arc::new(ControlServer::start(runtime_dir, name.name()).map_err(fail)?);
        drop(lock);
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            name,
            control,
            stop,
            ready: AtomicBool::new(false),
            dir,
        })
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
        let mut states = vec![NotifyState::Status(status)];
        if !self.ready.swap(true, Ordering::Relaxed) {
            states.push(NotifyState::Ready);
        }
        self.notify(states);
    }

    /// Tells `hanja run` that this stage is about to end and would end the same way again: not to be restarted, though
    /// it was ready.
    pub fn gives_up(&self) {
        self.notify(vec![NotifyState::Custom("X_HANJA_GIVES_UP=1")]);
    }

    /// To the service manager, with this stage's name. Without one, nobody listens.
    fn notify(&self, states: Vec<NotifyState<'_>>) {
        let who = format!("X_HANJA_STAGE={}", self.name.name());
        let mut message = vec![NotifyState::Custom(&who)];
        message.extend(states);
        if let Err(e) = sd_notify::notify(&message) {
            tracing::debug!("sd_notify: {e}");
        }
    }

    /// Whether [`ready`](Self::ready) has been called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Opens a topic for writing and serves it on the control sockets.
    ///
    /// # Errors
    /// No memory, or a geometry outside its limits.
    pub fn publisher(&self, topic: Topic, geometry: Geometry) -> Result<Publisher, RingError> {
        let ring = RingWriter::create(topic, generation_after(0), geometry)?;
        self.control.offer(ring.shared());
        Ok(Publisher {
            topic,
            ring,
            control: Arc::clone(&self.control),
        })
    }

    /// Processes attached to this stage's topics.
    #[must_use]
    pub fn readers(&self) -> u32 {
        self.control.readers()
    }

    pub(crate) fn control(&self) -> Arc<ControlServer> {
        Arc::clone(&self.control)
    }
}

/// Generations are microseconds since boot: unique on this machine, ascending, exact as a JSON number.
fn generation_after(previous: u64) -> u64 {
    (now_ns() / 1000).max(previous + 1)
}

/// The writing end of a topic.
#[derive(Debug)]
pub struct Publisher {
    topic: Topic,
    ring: RingWriter,
    control: Arc<ControlServer>,
}

impl Publisher {
    /// What the next publish will carry.
    #[must_use]
    pub fn next(&self) -> Stamp {
        self.ring.next()
    }

    /// Geometry of the present generation.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.ring.geometry()
    }

    /// Memory of the present generation in bytes, whoever reads it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ring.shared().total_len
    }

    /// Begins a new generation: readers are hung up on, keep what they hold, and attach to the new ring.
    ///
    /// # Errors
    /// No memory, or a geometry outside its limits; the present generation goes on.
    pub fn renew(&mut self, geometry: Geometry) -> Result<(), RingError> {
        let generation = generation_after(self.ring.next().generation);
        let ring = RingWriter::create(self.topic, generation, geometry)?;
        self.control.offer(ring.shared());
        self.ring = ring;
        Ok(())
    }

    /// Copies `parts` one after the other into a free slot, asks `meta` for the metadata (it runs just before the
    /// slot becomes visible, so it can stamp the time), publishes and wakes all readers. `Ok(None)`: every slot is
    /// leased; nothing was written, the caller counts the drop. Never waits.
    ///
    /// # Errors
    /// A payload larger than the geometry's capacity, or metadata of another size.
    pub fn publish<M: IntoBytes + Immutable>(
        &mut self,
        parts: &[&[u8]],
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let fill = |slot: &mut Slot<'_>| {
            let mut at = 0;
            for part in parts {
                slot.write(at, part);
                at += part.len();
            }
        };
        self.publish_with(len, fill, meta)
    }

    /// Like [`publish`](Self::publish) with a payload of `len` bytes that `fill` writes into the slot, in any order.
    /// Readers see neither a half-filled slot nor an older one meanwhile; they are not kept waiting.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with<M: IntoBytes + Immutable>(
        &mut self,
        len: u64,
        fill: impl FnOnce(&mut Slot<'_>),
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        self.ring.publish(len, fill, meta)
    }
}

#[cfg(test)]
mod tests;

//! Listening sockets that the service manager made and hands over (`sd_listen_fds(3)`): its clients wait in them while
//! the stage is being restarted.

use hanja_ring::{Door, Listeners, socket_path};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Once;

/// The descriptors of this process have been taken.
static TAKEN: Once = Once::new();

/// Takes what this process was given; a second call finds nothing. Descriptors of other names are closed, and it is said.
///
/// # Errors
/// A socket of another kind, or at another path than clients of `runtime_dir` look for it.
pub(crate) fn take(runtime_dir: &Path, stage: &str) -> io::Result<Listeners> {
    let mut result = Ok(Listeners::default());
    TAKEN.call_once(|| result = take_once(runtime_dir, stage));
    result
}

fn take_once(runtime_dir: &Path, stage: &str) -> io::Result<Listeners> {
    let mut listeners = Listeners::default();
    for (raw, name) in sd_notify::listen_fds_with_names()? {
        #[expect(
            unsafe_code,
            reason = "a descriptor from the environment is a bare number"
        )]
        // SAFETY: the service manager opened this descriptor for this very process: `listen_fds` has compared
        // LISTEN_PID with ours and found it open. Nobody else owns it: numbers from 3 on belong to the service
        // manager's gifts from before `main`, no other code here looks at LISTEN_FDS, and TAKEN lets this run once.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let (door, place) = match name.as_str() {
            "lease" => (Door::Lease, &mut listeners.lease),
            "tap" => (Door::Tap, &mut listeners.tap),
            _ => {
                tracing::warn!(
                    "a socket named '{name}' was handed over and is not used: FileDescriptorName= takes lease or tap"
                );
                continue;
            }
        };
        check(&fd, &socket_path(runtime_dir, stage, door))
            .map_err(|e| io::Error::other(format!("the socket handed over as '{name}' {e}")))?;
        *place = Some(fd);
    }
    Ok(listeners)
}

fn check(fd: &OwnedFd, path: &Path) -> Result<(), String> {
    let words = |e: rustix::io::Errno| format!("cannot be used: {e}");
    let unix = sockopt::socket_domain(fd).map_err(words)? == AddressFamily::UNIX;
    let seqpacket = sockopt::socket_type(fd).map_err(words)? == SocketType::SEQPACKET;
    if !unix || !seqpacket || !sockopt::socket_acceptconn(fd).map_err(words)? {
        return Err(
            "is no listening unix socket of the right kind: use ListenSequentialPacket=".into(),
        );
    }
    let address = rustix::net::getsockname(fd).map_err(words)?;
    let address = SocketAddrUnix::try_from(address).map_err(words)?;
    let bytes = address.path_bytes().unwrap_or_default();
    let there = Path::new(OsStr::from_bytes(bytes));
    // The directory may have several names, such as /var/run and /run.
    let whole = |p: &Path| p.canonicalize().ok();
    if there != path && (whole(path).is_none() || whole(there) != whole(path)) {
        return Err(format!(
            "listens elsewhere than clients look: use ListenSequentialPacket={}, or give its directory with --runtime-dir",
            path.display()
        ));
    }
    // The control thread polls and must never wait.
    let flags = fcntl_getfl(fd).map_err(words)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(words)
}

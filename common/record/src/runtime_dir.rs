//! Where the sockets of a pipeline are.

use std::path::{Path, PathBuf};

/// Where a pipeline has them that was told nothing else: systemd's `RUNTIME_DIRECTORY`, else `XDG_RUNTIME_DIR/hanja`, else
/// a per-user directory under the system's directory for temporary files.
#[must_use]
pub fn default() -> PathBuf {
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

/// Where a reader looks: the [default](default()), and if there is no such directory, where the installed service has its
/// sockets.
#[must_use]
pub fn to_read() -> PathBuf {
    let own = default();
    let service = Path::new("/run/hanja");
    if !own.exists() && service.exists() {
        service.to_owned()
    } else {
        own
    }
}

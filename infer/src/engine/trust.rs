//! Reads files that are code. An engine runs with our rights, so a file is read only if nobody but root and this user could
//! have put it there: the file, its directory and every directory above it belong to root or to this user, and nobody else
//! can write to them.
//!
//! The path is walked from the root, one `openat` at a time. The kernel follows no links, and each part of the path is
//! checked by `fstat` on the descriptor with which the walk goes on. So the file that is read is the one that was checked,
//! whatever is renamed meanwhile. Links on the way to the file (`/var/run`, a cache on another disk) are followed by the same
//! rules; the file itself must not be a link.

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// Largest file that is read, bytes; an engine is about as large as its model.
const MOST_BYTES: u64 = 4 << 30;
/// The most links that are followed, as many as by the kernel.
const MOST_LINKS: u32 = 40;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Somebody else can write to it, or could have written it.
    #[error("{} {fault}, so it could be another user's code; {remedy}", path.display())]
    Foreign {
        /// The file or the directory above it that is at fault.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
        /// A command that repairs it.
        remedy: String,
    },
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file, or the part of the path where it failed.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl TrustError {
    /// Whether the only problem is that there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Reads a file that nobody but root and this user can have written.
///
/// # Errors
/// [`TrustError`]; it names the part of the path that is at fault, and the command that repairs it.
pub fn trusted_read(path: &Path) -> Result<Vec<u8>, TrustError> {
    read_as(path, rustix::process::geteuid().as_raw())
}

/// Checks a directory, and those above it, by the same rules.
///
/// # Errors
/// [`TrustError`].
pub(super) fn trusted_dir(path: &Path) -> Result<(), TrustError> {
    let user = rustix::process::geteuid().as_raw();
    let (dir, at) = walk(path, user)?;
    judge(&stat(&dir, &at)?, &at, user, Place::Holder)
}

/// The same as [`trusted_read`] for another user id: tests cannot change theirs.
pub(super) fn read_as(path: &Path, user: u32) -> Result<Vec<u8>, TrustError> {
    let failed = |source: Errno| TrustError::Read {
        path: path.to_owned(),
        source: source.into(),
    };
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) => name,
        _ => return Err(failed(Errno::ISDIR)),
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let (dir, at) = walk(parent, user)?;
    judge(&stat(&dir, &at)?, &at, user, Place::Holder)?;
    // NONBLOCK, because opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let path = at.join(name);
    let file = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP) => {
            return Err(TrustError::Foreign {
                fault: "is a symbolic link".into(),
                remedy: "give the file that it leads to".into(),
                path,
            });
        }
        Err(source) => {
            let source = source.into();
            return Err(TrustError::Read { path, source });
        }
    };
    let found = stat(&file, &path)?;
    judge(&found, &path, user, Place::File)?;
    if u64::try_from(found.st_size).unwrap_or(u64::MAX) > MOST_BYTES {
        let source = std::io::Error::other("it is larger than 4 GiB");
        return Err(TrustError::Read { path, source });
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|source| TrustError::Read { path, source })?;
    Ok(bytes)
}

/// The role of a part of the path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The file that is read.
    File,
    /// The directory that holds it.
    Holder,
    /// A directory further up.
    Above,
    /// A link on the way.
    Link,
}

/// Opens a directory, checking every directory above it. Returns its descriptor, which is only good for looking up names, and
/// its path without links.
fn walk(dir: &Path, user: u32) -> Result<(OwnedFd, PathBuf), TrustError> {
    let absolute = std::path::absolute(if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    });
    let absolute = absolute.map_err(|source| TrustError::Read {
        path: dir.to_owned(),
        source,
    })?;
    let mut ahead: VecDeque<OsString> = parts(&absolute).collect();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    let mut fd = open_part(rustix::fs::CWD, OsStr::new("/"), &at)?;
    judge(&stat(&fd, &at)?, &at, user, Place::Above)?;
    while let Some(name) = ahead.pop_front() {
        let path = at.join(&name);
        let next = open_part(&fd, &name, &path)?;
        let found = stat(&next, &path)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Symlink {
            judge(&found, &path, user, Place::Link)?;
            links += 1;
            let failed = |source: Errno| TrustError::Read {
                path: path.clone(),
                source: source.into(),
            };
            if links > MOST_LINKS {
                return Err(failed(Errno::LOOP));
            }
            let target = rustix::fs::readlinkat(&next, "", Vec::new()).map_err(failed)?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                at = PathBuf::from("/");
                fd = open_part(rustix::fs::CWD, OsStr::new("/"), &at)?;
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(part);
            }
            continue;
        }
        judge(&found, &path, user, Place::Above)?;
        fd = next;
        if name == ".." {
            at.pop();
        } else {
            at = path;
        }
    }
    Ok((fd, at))
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn open_part(dir: impl AsFd, name: &OsStr, path: &Path) -> Result<OwnedFd, TrustError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name.as_bytes(), flags, Mode::empty()).map_err(|source| {
        TrustError::Read {
            path: path.to_owned(),
            source: source.into(),
        }
    })
}

fn stat(fd: &OwnedFd, path: &Path) -> Result<Stat, TrustError> {
    rustix::fs::fstat(fd).map_err(|source| TrustError::Read {
        path: path.to_owned(),
        source: source.into(),
    })
}

fn judge(found: &Stat, path: &Path, user: u32, place: Place) -> Result<(), TrustError> {
    let kind = FileType::from_raw_mode(found.st_mode);
    let foreign = |fault: String, remedy: String| {
        Err(TrustError::Foreign {
            path: path.to_owned(),
            fault,
            remedy,
        })
    };
    match (place, kind) {
        (Place::File, FileType::RegularFile)
        | (Place::Holder | Place::Above, FileType::Directory)
        | (Place::Link, _) => {}
        (Place::File, _) => {
            let source = std::io::Error::other("it is not a file");
            let path = path.to_owned();
            return Err(TrustError::Read { path, source });
        }
        _ => {
            let source = Errno::NOTDIR.into();
            let path = path.to_owned();
            return Err(TrustError::Read { path, source });
        }
    }
    if found.st_uid != 0 && found.st_uid != user {
        return foreign(
            format!("belongs to user {}", found.st_uid),
            format!("if it is yours: sudo chown {user} {}", quoted(path)),
        );
    }
    // The mode of a link is writable for everybody and means nothing. The sticky bit, as on /tmp, keeps others from renaming
    // files that are not theirs; that suffices for a directory further up, because the next part of the path has to belong
    // to root or to us as well. Access control lists show in the group's bits, so they are checked here too.
    let sticky = place == Place::Above && found.st_mode & 0o1000 != 0;
    if place != Place::Link && !sticky && found.st_mode & 0o022 != 0 {
        return foreign(
            format!("is writable by others (mode {:o})", found.st_mode & 0o7777),
            format!("if only you wrote to it: chmod go-w {}", quoted(path)),
        );
    }
    Ok(())
}

/// The path, quoted for a shell if necessary.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

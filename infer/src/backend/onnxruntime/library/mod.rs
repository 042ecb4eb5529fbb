//! Finding libonnxruntime, and making sure that a file is one before anything else touches it: all later code trusts it.
#![expect(unsafe_code, reason = "a library is loaded and asked for its version")]

use super::error::{LibraryFault, OnnxRuntimeError, VARIABLE};
use std::collections::BTreeSet;
use std::ffi::{CStr, OsString};
use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The oldest API that the binding can use is that of 1.17; see `api-17` in Cargo.toml.
const OLDEST: (u32, u32) = (1, ort::sys::ORT_API_VERSION);

/// A library that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    /// As the library says, such as `1.32.0`.
    pub(crate) version: String,
}

/// Where to look.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The file that the environment names; nothing else is tried then.
    pub(super) named: Option<PathBuf>,
    /// Directories to look in, in this order.
    pub(super) directories: Vec<PathBuf>,
}

impl Places {
    /// `ORT_DYLIB_PATH`; else the directories of the dynamic linker, then the wheels of Python installations.
    pub(crate) fn of_this_machine() -> Self {
        let named = std::env::var_os(VARIABLE).filter(|v| !v.is_empty());
        let mut directories = split("LD_LIBRARY_PATH");
        directories.extend(configured(Path::new("/etc/ld.so.conf")));
        let arch = std::env::consts::ARCH;
        directories.push(format!("/usr/lib/{arch}-linux-gnu").into());
        directories.extend(["/usr/local/lib", "/usr/lib64", "/usr/lib"].map(PathBuf::from));
        directories.extend(python_wheels());
        Self {
            named: named.map(PathBuf::from),
            directories,
        }
    }
}

fn split(variable: &str) -> Vec<PathBuf> {
    let value: OsString = std::env::var_os(variable).unwrap_or_default();
    let absolute = |p: &PathBuf| p.is_absolute();
    std::env::split_paths(&value).filter(absolute).collect()
}

/// The directories in ldconfig's configuration. The files of an `include` are expected in one directory, as on all
/// distributions.
fn configured(file: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let line = line.trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            let Some(directory) = Path::new(pattern.trim()).parent() else {
                continue;
            };
            for file in sorted(directory, |name| name.ends_with(".conf")) {
                let lines = std::fs::read_to_string(file).unwrap_or_default();
                found.extend(lines.lines().map(str::trim).map(PathBuf::from));
            }
        } else {
            found.push(line.into());
        }
    }
    found.retain(|p| p.is_absolute());
    found
}

/// Folders in which pip puts the library: those of the Python on the path (which is that of an active virtual environment),
/// of the user and of the system.
fn python_wheels() -> Vec<PathBuf> {
    let mut libs = Vec::new();
    libs.extend(split("VIRTUAL_ENV").into_iter().map(|p| p.join("lib")));
    for bin in split("PATH") {
        if bin.join("python3").exists() {
            libs.extend(bin.parent().map(|p| p.join("lib")));
        }
    }
    libs.extend(split("HOME").into_iter().map(|p| p.join(".local/lib")));
    libs.extend(["/usr/local/lib", "/usr/lib"].map(PathBuf::from));
    let pythons = libs
        .iter()
        .flat_map(|lib| sorted(lib, |name| name.starts_with("python3")));
    pythons
        .flat_map(|python| ["site-packages", "dist-packages"].map(|p| python.join(p)))
        .map(|packages| packages.join("onnxruntime/capi"))
        .collect()
}

/// Entries of a directory whose names are wanted, in order; none if it cannot be read.
fn sorted(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|e| wanted(&e.file_name().to_string_lossy()))
        .map(|e| e.path())
        .collect();
    found.sort();
    found
}

/// The library to use.
pub(crate) fn find(places: &Places) -> Result<Library, OnnxRuntimeError> {
    if let Some(path) = &places.named {
        return examine(path).map_err(|fault| fault.named(path));
    }
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for directory in &places.directories {
        let mut files = sorted(directory, |name| {
            name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.")
        });
        // Several versions side by side: the newest first. The bare name is a link to one of them.
        files.sort_by_key(|path| std::cmp::Reverse(numbers(&path.to_string_lossy())));
        for file in files {
            let file = std::fs::canonicalize(&file).unwrap_or(file);
            if !seen.insert(file.clone()) {
                continue;
            }
            match private(&file).and_then(|()| examine(&file)) {
                Ok(library) => return Ok(library),
                Err(fault) => refused.push((file, fault)),
            }
        }
    }
    if refused.is_empty() {
        Err(OnnxRuntimeError::NotFound)
    } else {
        Err(OnnxRuntimeError::Refused(refused))
    }
}

/// The numbers in a text, to compare versions.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok())
        .collect()
}

/// A library is code: one that was found, not named, is refused if every user could have put it there. This asks less than
/// what engines have to meet: the machine's owner chooses the places that are searched, and on common systems a group may
/// write there (Debian's /usr/local, a home with umask 002, a wheel that an administrator installed for all).
fn private(file: &Path) -> Result<(), LibraryFault> {
    for (above, path) in file.ancestors().enumerate() {
        let found = std::fs::metadata(path).map_err(LibraryFault::Read)?;
        let mode = found.permissions().mode();
        // Further up, the sticky bit keeps others from renaming what is not theirs, as in /tmp.
        let sticky = above > 1 && mode & 0o1000 != 0;
        if mode & 0o002 != 0 && !sticky {
            return Err(LibraryFault::Exposed(path.to_owned()));
        }
    }
    Ok(())
}

/// Loads the file and asks it what it is.
pub(super) fn examine(path: &Path) -> Result<Library, LibraryFault> {
    let path = std::fs::canonicalize(path).map_err(LibraryFault::Open)?;
    whole(&path)?;
    // SAFETY: loading runs the code of the file, which the user named or which lies where only its owner can write
    // (`private`). The file is complete (`whole`), so that mapping it cannot fault.
    let loaded = unsafe { libloading::Library::new(&path) }
        .map_err(|e| LibraryFault::Load(one_line(&e.to_string())))?;
    type Base = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: a function of this name has this type in every onnxruntime since 1.0.
    let base = unsafe { loaded.get::<Base>(c"OrtGetApiBase") };
    let base = base.map_err(|_| LibraryFault::NoEntry)?;
    // SAFETY: it takes nothing, and returns NULL or a table that lives as long as the library is loaded.
    let base = unsafe { base().as_ref() }.ok_or(LibraryFault::NoTable)?;
    // SAFETY: the first two entries of the table are the same in every version, and never NULL.
    let version = unsafe { (base.GetVersionString)() };
    if version.is_null() {
        return Err(LibraryFault::NoVersion);
    }
    // SAFETY: not NULL; the library returns a static text that ends in NUL.
    let version = unsafe { CStr::from_ptr(version) };
    let version = one_line(&version.to_string_lossy());
    let [major, minor, ..] = numbers(&version)[..] else {
        return Err(LibraryFault::Version(version));
    };
    if (major, minor) < (OLDEST.0.into(), OLDEST.1.into()) {
        let needed = OLDEST;
        return Err(LibraryFault::Old { version, needed });
    }
    // SAFETY: as above; it returns NULL or the table of that version.
    if unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) }.is_null() {
        let api = ort::sys::ORT_API_VERSION;
        return Err(LibraryFault::NoApi { version, api });
    }
    // Never unloaded: `ort` and the threads of the library use it until the process ends.
    std::mem::forget(loaded);
    Ok(Library { path, version })
}

/// At most 120 characters, without line breaks: the text comes from a file that may be anything.
fn one_line(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(120).collect()
}

/// Checks that a file is a shared library with nothing cut off: the dynamic linker maps as many bytes as the headers promise,
/// and touching one that is not in the file would kill the process.
fn whole(path: &Path) -> Result<(), LibraryFault> {
    // Checked before opening, which could wait for ever on a pipe.
    let meta = std::fs::metadata(path).map_err(LibraryFault::Read)?;
    if !meta.is_file() {
        return Err(LibraryFault::NoFile);
    }
    let file = File::open(path).map_err(LibraryFault::Read)?;
    let mut head = [0; 64];
    let is_elf = file.read_exact_at(&mut head, 0).is_ok() && head.starts_with(b"\x7fELF\x02\x01");
    if !is_elf {
        return Err(LibraryFault::NoLibrary);
    }
    let (table, entry, entries) = (word(&head, 32), short(&head, 54), short(&head, 56));
    for index in 0..entries {
        let mut segment = [0; 56];
        let at = table.saturating_add(index * entry);
        let read = file.read_exact_at(&mut segment, at).is_ok();
        let end = word(&segment, 8).saturating_add(word(&segment, 32));
        // Only loaded segments are mapped: type 1.
        let loaded = segment.starts_with(&[1, 0, 0, 0]);
        if !read || (loaded && end > meta.len()) {
            return Err(LibraryFault::CutShort(meta.len()));
        }
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

fn short(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[cfg(test)]
mod tests;

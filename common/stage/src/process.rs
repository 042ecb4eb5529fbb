//! Child processes: how they know their parent, how they ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Set by `hanja run` for its children: its own process id.
pub const SUPERVISED: &str = "HANJA_SUPERVISED";

/// As in `the builder ended with exit status 3`, `capture was killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

//! Child processes: how they ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// As in `the builder ended with exit status 3`, `capture was killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

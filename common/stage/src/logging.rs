//! Where log lines go. Under systemd natively into the journal, with structured fields beside the message
//! (`docs/logs.md` lists them); everywhere else to standard error, messages alone.
//!
//! A structured field is one whose name begins with `hanja.`: `hanja.fps` becomes `HANJA_FPS` in the journal and is
//! left out on standard error, where the message says the same.

use crate::process::SUPERVISED;
use hanja_record::StageName;
use std::fmt;
use std::sync::OnceLock;
use tracing::field::Field;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// What a name in the journal begins with, before it is put into capitals.
const STRUCTURED: &str = "hanja.";
/// Without a filter of one's own.
const DEFAULT: &str = "info";

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Why what is logged cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No filter.
    #[error("--log {text}: {reason}; use for example info or debug or hanja_infer=debug")]
    Filter {
        /// As given.
        text: String,
        /// What is wrong with it.
        reason: ParseError,
    },
    /// The log has been taken down.
    #[error("{0}")]
    Gone(#[from] reload::Error),
}

/// Starts logging; a second call changes nothing. `filter` is a tracing filter such as `info,hanja_infer=debug`; default `info`. `stage` goes with
/// every line into the journal.
///
/// # Errors
/// [`LogError::Filter`].
pub fn start(filter: Option<&str>, stage: Option<StageName>) -> Result<(), LogError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let first = match journal(stage) {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            // The journal and `hanja run` put the time in front of every line themselves.
            let timed = !stderr_is_journal() && std::env::var_os(SUPERVISED).is_none();
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .fmt_fields(debug_fn(plain))
                .with_target(false);
            if timed {
                registry.with(layer).try_init()
            } else {
                registry.with(layer.without_time()).try_init()
            }
        }
    };
    if first.is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// Changes what is logged from now on.
///
/// # Errors
/// [`LogError`]; the present one stays.
pub fn set_filter(filter: Option<&str>) -> Result<(), LogError> {
    let filter = parse(filter)?;
    match FILTER.get() {
        Some(handle) => Ok(handle.reload(filter)?),
        None => Ok(()), // nothing is logged in this process
    }
}

/// Whether `filter` could be set.
///
/// # Errors
/// [`LogError::Filter`].
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse(Some(filter)).map(|_| ())
}

fn parse(filter: Option<&str>) -> Result<EnvFilter, LogError> {
    let text = filter.unwrap_or(DEFAULT);
    EnvFilter::try_new(text).map_err(|reason| LogError::Filter {
        text: text.to_owned(),
        reason,
    })
}

/// Whether what is written to standard error ends up in the journal. The variable alone is inherited by processes whose
/// standard error is something else by then.
#[must_use]
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(rustix::stdio::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The layer that speaks the journal's own protocol; none where standard error is not the journal's or nobody listens.
fn journal(stage: Option<StageName>) -> Option<tracing_journald::Layer> {
    if !stderr_is_journal() {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    let layer = layer
        .with_field_prefix(None)
        .with_priority_mappings(PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        });
    Some(match stage {
        Some(stage) => layer
            .with_syslog_identifier(format!("hanja-{}", stage.name()))
            .with_custom_fields([("HANJA_STAGE", stage.name())]),
        None => layer,
    })
}

/// A field on standard error.
fn plain(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(out, "{value:?}"),
        name if name.starts_with(STRUCTURED) => Ok(()),
        name => write!(out, " {name}={value:?}"),
    }
}

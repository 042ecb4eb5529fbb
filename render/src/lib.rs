//! The third stage: shows detections to people and programs. It can only ever be late; it slows nobody.
//!
//! A hub thread takes every record in order and, while someone watches, leases its frame and makes a JPEG of it. A
//! server thread hands both to browsers ([`run`] lists the routes in `server`). Between them lies `shared`: the newest
//! view, the last records, the numbers.

#![forbid(unsafe_code)]

mod history;
mod hub;
pub mod picture;
mod presented;
mod server;
mod shared;

use hanja_ring::RingError;
use hanja_stage::Stage;
use hanja_stage::config::RenderConfig;
use hanja_stage::telemetry::Reporter;
use hub::Hub;
use server::{Guard, Server};
use shared::Shared;
use std::io;

/// Why render could not start.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Somebody else has the port.
    #[error("address {address} is already in use: choose another with --http ADDR or --http off")]
    InUse {
        /// As configured.
        address: String,
    },
    /// Not an address of this machine.
    #[error(
        "cannot serve the web view on {address}: {source}; give an address such as 127.0.0.1:8080 with --http ADDR, or --http off"
    )]
    Address {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No thread, event loop or random numbers.
    #[error("cannot start the web server: {0}")]
    Server(io::Error),
    /// No memory for the statistics.
    #[error("cannot publish statistics: {0}")]
    Ring(#[from] RingError),
}

impl RenderError {
    /// Whether another start would end the same way. An address that is in use or not there yet may be free later.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Address { source, .. } => source.kind() != io::ErrorKind::AddrNotAvailable,
            Self::InUse { .. } | Self::Server(_) | Self::Ring(_) => false,
        }
    }
}

/// Runs render until the stage is told to stop. With `http = "off"` there is no server, but records are still
/// consumed and reported.
///
/// # Errors
/// Only at start-up, see [`RenderError`].
pub fn run(stage: &Stage, config: &RenderConfig) -> Result<(), RenderError> {
    let (shared, spans) = Shared::new();
    let (server, what) = if config.http.eq_ignore_ascii_case("off") {
        (None, "no web view".to_owned())
    } else {
        let (listener, address) = server::bind(&config.http)?;
        let guard = Guard::new(address, config.token.as_deref()).map_err(RenderError::Server)?;
        let view = format!("view at http://{address}/");
        // A token that was made up only where it is needed: on the terminal, not in the statistics that every tap sees.
        // One that was configured is nobody's business: more people read logs than that file.
        let configured = config.token.as_ref().is_some_and(|t| !t.is_empty());
        match guard.token() {
            Some(token) if !configured => {
                tracing::info!("{view}?token={}", server::encode(token));
            }
            Some(_) => tracing::info!("{view}, with the token of the configuration"),
            None => tracing::info!("{view}"),
        }
        (Some(Server::start(listener, shared.clone(), guard)?), view)
    };
    let mut reporter = Reporter::new(stage, what.trim_start_matches("view at "))?;
    let mut hub = Hub::new(stage, shared, spans)?;
    reporter.stats_mut().generation = hub.generation();
    stage.ready(&what);
    while !stage.stopping() {
        let served = hub.turn(&mut reporter);
        if served && server.as_ref().is_none_or(Server::is_alive) {
            stage.alive();
        }
        // What there is to set is bound to the address.
        stage.reload(|_| Vec::new());
    }
    drop(server);
    reporter.finish();
    Ok(())
}

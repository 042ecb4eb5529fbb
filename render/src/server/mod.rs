//! The web server: one thread, a dozen routes, no state of its own.

mod events;
mod guard;
mod metrics;
mod numbers;
mod stream;

pub(crate) use guard::{Guard, encode};

use crate::RenderError;
use crate::shared::Shared;
use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Nothing but our own files, no inline script, nobody may frame the page.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Binds the address; it is in use from here on.
///
/// # Errors
/// Not an address, in use, or not ours to bind: each says how to choose another.
pub(crate) fn bind(http: &str) -> Result<(TcpListener, SocketAddr), RenderError> {
    let address = || http.to_owned();
    let candidates: Vec<_> = http
        .to_socket_addrs()
        .map_err(|source| RenderError::Address {
            address: address(),
            source,
        })?
        .collect();
    let fail = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => RenderError::InUse { address: address() },
        _ => RenderError::Address {
            address: address(),
            source,
        },
    };
    let listener = TcpListener::bind(candidates.as_slice()).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    Ok((listener, local))
}

/// A running server; ends when dropped, open streams or not.
#[derive(Debug)]
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts serving on a thread of its own.
    ///
    /// # Errors
    /// No thread or no event loop to be had.
    pub(crate) fn start(
        listener: TcpListener,
        shared: Arc<Shared>,
        guard: Guard,
    ) -> Result<Self, RenderError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(2)
            .build()
            .map_err(RenderError::Server)?;
        let (stop, mut stopped) = watch::channel(false);
        let app = router(shared, guard);
        let serve = move || {
            runtime.block_on(async {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(e) => return tracing::warn!("no web view: {e}"),
                };
                // Streams never end by themselves, so there is nothing to wait for.
                tokio::select! {
                    _ = stopped.changed() => {}
                    end = axum::serve(listener, app) => {
                        if let Err(e) = end {
                            tracing::warn!("the web view ended: {e}");
                        }
                    }
                }
            });
            runtime.shutdown_timeout(Duration::from_millis(100));
        };
        let thread = std::thread::Builder::new()
            .name("web".into())
            .spawn(serve)
            .map_err(RenderError::Server)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn router(shared: Arc<Shared>, guard: Guard) -> Router {
    Router::new()
        .route(
            "/",
            get(|| {
                asset(
                    "text/html; charset=utf-8",
                    include_str!("../../assets/index.html"),
                )
            }),
        )
        .route(
            "/app.js",
            get(|| {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/app.js"),
                )
            }),
        )
        .route(
            "/parts.js",
            get(|| {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/parts.js"),
                )
            }),
        )
        .route(
            "/words.js",
            get(|| {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/words.js"),
                )
            }),
        )
        .route(
            "/app.css",
            get(|| {
                asset(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/app.css"),
                )
            }),
        )
        .route(
            "/icon.svg",
            get(|| asset("image/svg+xml", include_str!("../../assets/icon.svg"))),
        )
        .route("/stream.mjpg", get(stream::stream))
        .route("/snapshot.jpg", get(stream::snapshot))
        .route("/detections", get(events::events))
        .route("/stats.json", get(numbers::stats))
        .route("/healthz", get(numbers::health))
        .route("/metrics", get(metrics::metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page; start at /\n") })
        .with_state(shared)
        .layer(from_fn_with_state(Arc::new(guard), guard::check))
        .layer(map_response(headers))
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

/// On every answer, refusals included.
async fn headers(mut response: Response) -> Response {
    let all = [
        (CONTENT_SECURITY_POLICY, CSP),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Everything here is either live or changes with the release.
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

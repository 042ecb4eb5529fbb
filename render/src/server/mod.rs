//! The web server: one thread, a dozen routes, no state of its own.

mod assets;
mod door;
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
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::get;
use hanja_ring::now_ns;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Nothing but our own files, no inline script or style, no text that becomes markup, nobody may frame the page.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// The page needs none of what a browser can offer beyond the window.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), usb=(), serial=()";

/// How often the event loop says that it turns, and after what time it counts as stuck.
const BEAT: Duration = Duration::from_millis(200);
const STALE: Duration = Duration::from_secs(2);

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
    beat: Arc<AtomicU64>,
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
        let beat = Arc::new(AtomicU64::new(now_ns()));
        let beats = Arc::clone(&beat);
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
                    () = keep_beating(&beats) => {}
                    () = door::serve(listener, app) => {}
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
            beat,
            thread: Some(thread),
        })
    }

    /// Whether the event loop has turned lately: no handler keeps it, and the server has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        let age = now_ns().saturating_sub(self.beat.load(Ordering::Relaxed));
        u128::from(age) < STALE.as_nanos()
    }
}

/// Says again and again that the event loop turns.
async fn keep_beating(beat: &AtomicU64) {
    loop {
        beat.store(now_ns(), Ordering::Relaxed);
        tokio::time::sleep(BEAT).await;
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
    assets::routes(Router::new())
        .route("/stream.mjpg", get(stream::stream))
        .route("/snapshot.jpg", get(stream::snapshot))
        .route("/detections", get(events::events))
        .route("/stats.json", get(numbers::stats))
        .route("/history.json", get(numbers::history))
        .route("/healthz", get(numbers::health))
        .route("/metrics", get(metrics::metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page; start at /\n") })
        .with_state(shared)
        .layer(from_fn_with_state(Arc::new(guard), guard::check))
        .layer(map_response(headers))
}

/// On every answer, refusals included.
async fn headers(mut response: Response) -> Response {
    let all = [
        (CONTENT_SECURITY_POLICY, CSP),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A handler that does not give the thread back stops the heart as well.
    #[test]
    fn the_heart_beats_with_the_event_loop() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let beat = Arc::new(AtomicU64::new(0));
            let beats = Arc::clone(&beat);
            let heart = tokio::spawn(async move { keep_beating(&beats).await });
            tokio::time::sleep(BEAT / 2).await;
            let first = beat.load(Ordering::Relaxed);
            assert!(first > 0);
            std::thread::sleep(BEAT * 3);
            assert_eq!(beat.load(Ordering::Relaxed), first, "the thread was busy");
            tokio::time::sleep(BEAT).await;
            assert!(beat.load(Ordering::Relaxed) > first);
            heart.abort();
        });
    }
}

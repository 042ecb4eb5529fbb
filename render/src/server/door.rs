//! Who is let in, and for how long: a visitor who says nothing, reads nothing or comes a thousand times costs a bounded
//! share of descriptors and memory, and never the next visitor's answer.
//!
//! | limit | value |
//! |---|---|
//! | connections | [`CONNECTIONS`], at most a quarter of the process's descriptors: the rings and control sockets need theirs |
//! | a request's head | [`HEAD_BYTES`], all of it within [`HEAD_TIME`] of the connection, or of the answer before |
//! | an answer that is not read | [`WRITE_TIME`] without a byte taken |
//!
//! With all places taken, the oldest connection that is idle makes room for a new one. One in the middle of an
//! answer is never cut: endless answers are counted where they are given (`stream`, `events`), below the number of places.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;

/// A page has up to six; this is enough for two dozen pages.
pub(super) const CONNECTIONS: usize = 128;
const HEAD_BYTES: usize = 16 << 10;
const HEAD_TIME: Duration = Duration::from_secs(10);
const WRITE_TIME: Duration = Duration::from_secs(10);
/// After a failure to accept: the listener stays readable, so without a pause it would be tried without end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An open connection.
struct Visitor {
    /// Answers under way.
    answering: Arc<AtomicU32>,
    task: AbortHandle,
}

impl Visitor {
    fn idle(&self) -> bool {
        self.answering.load(Ordering::Relaxed) == 0
    }
}

/// Accepts and answers without end.
pub(super) async fn serve(listener: TcpListener, app: Router) {
    let places = places();
    let mut visitors: Vec<Visitor> = Vec::with_capacity(places);
    let mut complained = false;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!("web view: nobody new is let in until this is over: {e}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        complained = false;
        visitors.retain(|v| !v.task.is_finished());
        if visitors.len() >= places {
            // In the order of their coming, and who has just come has had no time to ask.
            let Some(idle) = visitors.iter().position(Visitor::idle) else {
                continue; // drops, and so closes, the new one
            };
            visitors.remove(idle).task.abort();
            tokio::task::yield_now().await; // its descriptor is closed before the next is opened
        }
        let answering = Arc::new(AtomicU32::new(0));
        let visit = visit(stream, peer, app.clone(), Arc::clone(&answering));
        let task = tokio::spawn(visit).abort_handle();
        visitors.push(Visitor { answering, task });
    }
}

/// A quarter of the descriptors, at least a few.
fn places() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = limit.map_or(usize::MAX, |n| (n / 4) as usize);
    CONNECTIONS.min(quarter).max(4)
}

/// One connection, to its end.
async fn visit(stream: TcpStream, peer: SocketAddr, app: Router, answering: Arc<AtomicU32>) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let app = TowerToHyperService::new(app);
    let answer = service_fn(move |request: Request<Incoming>| {
        let under_way = UnderWay::begin(&answering);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = app.call(request);
        async move {
            answer
                .await
                .map(|a| a.map(|body| Answer { body, under_way }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), answer);
    // How it ended is the visitor's affair.
    if let Err(e) = connection.await {
        tracing::trace!("web view: {peer}: {e}");
    }
}

/// All places for endless answers of this kind, `most`, are taken.
pub(super) fn full(most: usize) -> Response {
    let text = format!(
        "{most} are being served already, which is all that there is room for; try again later\n"
    );
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response()
}

/// Counts an answer while it lives.
struct UnderWay(Arc<AtomicU32>);

impl UnderWay {
    fn begin(answering: &Arc<AtomicU32>) -> Self {
        answering.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(answering))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that is under way until it has been sent, or its visitor has gone.
struct Answer {
    body: Body,
    #[expect(dead_code, reason = "dropped with the body")]
    under_way: UnderWay,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Everything that is one answer: the page and its parts, a picture, numbers.

use crate::board::{Board, View};
use crate::picture::{FrameRef, annotated_jpeg};
use crate::status::{StatusJson, judge};
use crate::{metrics, status};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hanja_common::clock::now_ns;
use hanja_common::record::PixelFormat;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How long `/snapshot.jpg` waits for a picture that is newer than the request.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(1);
/// Snapshots leave the page, so they are better than the stream.
const SNAPSHOT_QUALITY: u8 = 92;

type Typed = ([(HeaderName, &'static str); 1], &'static str);

pub(super) async fn index() -> Typed {
    typed(
        "text/html; charset=utf-8",
        include_str!("../../page/index.html"),
    )
}

pub(super) async fn script() -> Typed {
    typed(
        "text/javascript; charset=utf-8",
        include_str!("../../page/app.js"),
    )
}

pub(super) async fn style() -> Typed {
    typed(
        "text/css; charset=utf-8",
        include_str!("../../page/app.css"),
    )
}

pub(super) async fn icon() -> Typed {
    typed("image/svg+xml", include_str!("../../page/icon.svg"))
}

fn typed(kind: &'static str, text: &'static str) -> Typed {
    ([(header::CONTENT_TYPE, kind)], text)
}

/// 200 while frames and detections are fresh, else 503; says which stage is to blame and why.
pub(super) async fn healthz(State(board): State<Arc<Board>>) -> Response {
    let health = judge(&board.facts(), now_ns());
    let status = if health.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, json(&health)).into_response()
}

pub(super) async fn stats(State(board): State<Arc<Board>>) -> Response {
    json(&StatusJson::new(&board.facts(), board.watchers(), now_ns())).into_response()
}

pub(super) async fn metrics(State(board): State<Arc<Board>>) -> impl IntoResponse {
    let text = metrics::page(&board.facts(), board.watchers(), now_ns());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

fn json(value: &impl Serialize) -> ([(HeaderName, &'static str); 1], String) {
    let mut text = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text)
}

/// The next picture, boxes burnt in.
pub(super) async fn snapshot(State(board): State<Arc<Board>>) -> Response {
    let sorry = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    let mut views = board.views();
    let Some(_watcher) = board.watch() else {
        return sorry("too many watch already\n".into());
    };
    let changed = tokio::time::timeout(SNAPSHOT_WAIT, views.changed()).await;
    let view = views.borrow_and_update().clone();
    let (Ok(Ok(())), Some(view)) = (changed, view) else {
        let health = status::judge(&board.facts(), now_ns());
        return sorry(format!("no picture within a second: {}\n", health.reason));
    };
    board.present(view.record.header.times.render_acquired);
    let h = &view.record.header;
    let name = format!(
        "inline; filename=\"hanja-{}-{}.jpg\"",
        h.frame_generation, h.frame_seq
    );
    // Decoding and encoding take long enough to make the streams stutter: not on their thread.
    match tokio::task::spawn_blocking(move || burn(&view)).await {
        Ok(jpeg) => {
            let headers = [
                (header::CONTENT_TYPE, "image/jpeg".to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            (headers, jpeg).into_response()
        }
        Err(_) => sorry("the server is stopping\n".into()),
    }
}

/// The picture with its boxes; a JPEG that browsers show and our decoder does not is passed on as it is.
fn burn(view: &View) -> Bytes {
    let header = &view.record.header;
    let frame = FrameRef {
        format: PixelFormat::Mjpg,
        width: header.frame_width,
        height: header.frame_height,
        stride: 0,
        bytes: &view.jpeg,
    };
    match annotated_jpeg(&frame, &view.record.detections, SNAPSHOT_QUALITY) {
        Ok(jpeg) => jpeg.into(),
        Err(e) => {
            tracing::debug!("snapshot without boxes: {e}");
            view.jpeg.clone()
        }
    }
}

pub(super) async fn nothing_here() -> impl IntoResponse {
    let text = "nothing here; there are / /stream.mjpg /snapshot.jpg /detections /stats.json /healthz /metrics\n";
    (StatusCode::NOT_FOUND, text)
}

//! The picture: as an endless multipart stream, and as a single JPEG with the boxes burnt in.

use super::door;
use crate::picture::{FrameRef, annotated_jpeg};
use crate::shared::{STREAMS, Shared, View};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hanja_record::PixelFormat;
use hanja_ring::now_ns;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

const BOUNDARY: &str = "hanja";
/// Patience with a camera that is just starting.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(2);
const SNAPSHOT_QUALITY: u8 = 90;

/// `multipart/x-mixed-replace`. A client that reads slowly gets fewer pictures, never older ones.
pub(super) async fn stream(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return door::full(STREAMS);
    };
    let (guard, views) = shared.watch();
    // Guard and place live in the stream's state: they go when the client does.
    let parts = stream::unfold(
        ((guard, place), views, shared),
        |(guard, mut views, shared)| async move {
            loop {
                views.changed().await.ok()?;
                let view = views.borrow_and_update().clone();
                if let Some(view) = view {
                    let bytes = part(&view, now_ns());
                    shared.presented(&view);
                    return Some((Ok::<_, Infallible>(bytes), (guard, views, shared)));
                }
            }
        },
    );
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    ([(CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response()
}

/// One part: delimiter, headers, picture, and the end of the line before the next delimiter.
/// `now`: CLOCK_MONOTONIC nanoseconds, so that a client knows how old the picture was when it left.
fn part(view: &View, now: u64) -> Bytes {
    let frame = serde_json::to_string(&view.frame).unwrap_or_default();
    let mut head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Now: {now}\r\nX-Frame: {}\r\n",
        view.jpeg.len(),
        ascii(&frame)
    );
    if let Some(record) = &view.record {
        head.push_str(&format!("X-Record: {}\r\n", ascii(record)));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &view.jpeg, b"\r\n"].concat().into()
}

/// JSON with everything beyond ASCII escaped, so that it can travel in an HTTP header. Never contains a line break:
/// JSON escapes control characters already.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

/// The next picture with its boxes; 503 when there is none within two seconds.
pub(super) async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    let (_guard, mut views) = shared.watch();
    let next = async {
        loop {
            views.changed().await.ok()?;
            let view = views.borrow_and_update().clone();
            if view.is_some() {
                return view;
            }
        }
    };
    let Ok(Some(view)) = tokio::time::timeout(SNAPSHOT_WAIT, next).await else {
        let text = "no picture within 2 s; see /healthz for the reason\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    // Decoding and encoding take milliseconds: not on the thread that feeds the streams.
    let drawn = tokio::task::spawn_blocking(move || {
        let frame = FrameRef {
            format: PixelFormat::Mjpg,
            width: view.frame.id.width,
            height: view.frame.id.height,
            stride: 0,
            bytes: &view.jpeg,
        };
        annotated_jpeg(&frame, &view.detections, SNAPSHOT_QUALITY)
    });
    match drawn.await {
        Ok(Ok(jpeg)) => ([(CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        Ok(Err(e)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::FrameMeta;
    use hanja_record::json::FrameJson;
    use serde_json::{Value, json};

    #[test]
    fn ascii_json_is_the_same_json() {
        let text = serde_json::to_string(&json!({"label": "三", "rare": "𠀋\n"})).unwrap();
        let safe = ascii(&text);
        assert!(safe.bytes().all(|b| (32..127).contains(&b)), "{safe}");
        assert_eq!(
            serde_json::from_str::<Value>(&safe).unwrap(),
            serde_json::from_str::<Value>(&text).unwrap()
        );
    }

    #[test]
    fn a_part_is_framed_to_the_byte() {
        let record = Some((r#"{"label":"三"}"#.into(), Vec::new()));
        let view = View::new(
            vec![0xff, 0xd8, 0xff, 0xd9],
            record,
            FrameJson::new(&FrameMeta::zeroed()),
            1,
        );
        let bytes = part(&view, 77);
        let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..split]).unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(lines.next(), Some("--hanja"));
        assert_eq!(lines.next(), Some("Content-Type: image/jpeg"));
        assert_eq!(lines.next(), Some("Content-Length: 4"));
        assert_eq!(lines.next(), Some("X-Now: 77"));
        assert!(lines.next().unwrap().starts_with("X-Frame: {"));
        assert_eq!(lines.next(), Some(r#"X-Record: {"label":"\u4e09"}"#));
        assert_eq!(lines.next(), None);
        assert_eq!(&bytes[split + 4..], b"\xff\xd8\xff\xd9\r\n");
    }
}

//! Render between a mad infer and a mad capture, with somebody watching.

use super::forge::{Ring, frame, record};
use super::liars::FakeServer;
use super::rings::MAD_FRAMES;
use super::wire::*;
use crate::harness::{Place, Running, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A picture as a browser gets it: the status line, then everything after it.
fn snapshot(address: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request =
        format!("GET /snapshot.jpg HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Where the web view is, as the log says.
pub(super) fn address(render: &Running) -> String {
    let line = render.wait_for("view at http://");
    let (_, rest) = line.split_once("http://").expect("an address");
    let end = rest.find('/').unwrap_or(rest.len()); // more may follow, where there is a token
    rest[..end].to_owned()
}

#[test]
fn render_shows_what_is_good_and_says_what_is_not() {
    let place = Place::new();
    let render = place.start(&["render", "--http=127.0.0.1:0"]);
    let address = address(&render);
    let mut nonsense = record(2);
    nonsense[12..16].fill(0xff);
    let mut nan = record(300);
    nan[256..].fill(0xff);
    for (nth, (fourcc, shape, _)) in MAD_FRAMES.into_iter().step_by(3).enumerate() {
        let mut records = Ring::good(DETECTIONS);
        records.payload = if nth % 2 == 0 {
            nonsense.clone()
        } else {
            nan.clone()
        };
        let _infer = FakeServer::ring(&place, "infer-tap.sock", records);
        let _capture = FakeServer::ring(&place, "capture.sock", frame(fourcc, shape, &[7; 64]));
        let answer = snapshot(&address).expect("an answer");
        // A JPEG that says nothing of itself is passed on to the browser; nothing else can be shown.
        let refused = answer.starts_with(b"HTTP/1.1 503") || answer.starts_with(b"HTTP/1.1 500");
        assert!(refused, "frame {nth}: {}", String::from_utf8_lossy(&answer));
    }
    render.wait_for("record not shown: record with impossible lengths");
    render.wait_for("not shown");
    let _infer = FakeServer::ring(&place, "infer-tap.sock", Ring::good(DETECTIONS));
    let _capture = FakeServer::ring(&place, "capture.sock", Ring::good(FRAMES));
    until("the good picture", || {
        let answer = snapshot(&address).expect("an answer");
        let jpeg = answer
            .windows(4)
            .any(|w| w.starts_with(&[0xff, 0xd8, 0xff]));
        (answer.starts_with(b"HTTP/1.1 200") && jpeg).then_some(())
    });
    assert!(!render.log().contains("panicked"), "{}", render.log());
}

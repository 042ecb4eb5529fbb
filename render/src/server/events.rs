//! Records as server-sent events: every one of them, in order, resumable.

use super::door;
use crate::shared::{Event, EventId, READERS, Shared};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{self, error::RecvError};

/// `id` is `GENERATION-SEQ`; a client that comes back with it as `Last-Event-ID` gets what it missed, as far as it is
/// still kept. An event `gap` says that records are missing between two, or may be: a client that was away over a restart of
/// infer, and whose last record is no longer kept, cannot know how the old life ended.
pub(super) async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&shared.readers).try_acquire_owned() else {
        return door::full(READERS);
    };
    let last = headers
        .get("last-event-id")
        .and_then(|v| EventId::parse(v.to_str().ok()?));
    let (backlog, live) = shared.subscribe(last);
    let reader = Reader {
        backlog,
        live,
        last,
        held: None,
        _place: place,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
        .into_response()
}

struct Reader {
    backlog: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
    /// The last record the client has.
    last: Option<EventId>,
    /// A record whose gap was just announced.
    held: Option<Arc<Event>>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<sse::Event> {
        if let Some(event) = self.held.take() {
            return Some(self.tell(&event));
        }
        let event = match self.backlog.pop_front() {
            Some(event) => event,
            None => loop {
                match self.live.recv().await {
                    Ok(event) => break event,
                    Err(RecvError::Lagged(_)) => {} // the numbers will show it
                    Err(RecvError::Closed) => return None,
                }
            },
        };
        match self.last {
            Some(last) if !event.comes_after(last) => {
                let text = format!(r#"{{"after":"{last}","next":"{}"}}"#, event.id);
                self.held = Some(event);
                Some(sse::Event::default().event("gap").data(text))
            }
            _ => Some(self.tell(&event)),
        }
    }

    fn tell(&mut self, event: &Event) -> sse::Event {
        self.last = Some(event.id);
        sse::Event::default()
            .id(event.id.to_string())
            .data(&event.json)
    }
}

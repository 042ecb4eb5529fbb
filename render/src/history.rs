//! The last few hundred records, for clients of `/detections` that come back and ask for what they missed.

use hanja_common::record::DetectionRecord;
use std::collections::VecDeque;
use std::sync::Arc;

/// Records kept: 17 s at 30 a second.
const KEPT: usize = 512;

/// Name of a record on the wire: generation and number, `17-4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) generation: u64,
    pub(crate) seq: u64,
}

impl EventId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (generation, seq) = text.trim().split_once('-')?;
        Some(Self {
            generation: generation.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.generation, self.seq)
    }
}

/// A record and how many before it render itself missed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) lapped: u64,
    pub(crate) record: Arc<DetectionRecord>,
}

/// Where a client stands: the running number of the entry it wants next, and what it has irrevocably missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: u64,
    pub(crate) gap: Gap,
}

/// What a client has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    Nothing,
    Records(u64),
    /// Something, but nobody can say how much.
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    entries: VecDeque<Entry>,
    /// Running number of the first entry.
    first: u64,
}

impl History {
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
    }

    /// Running number of the entry to come.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Where to go on for a client that has seen `id` last; an id that cannot be read names nothing we know.
    pub(crate) fn resume(&self, id: Option<EventId>) -> Cursor {
        if let Some(at) = self.entries.iter().position(|e| Some(e.id) == id) {
            return Cursor {
                next: self.first + at as u64 + 1,
                gap: Gap::Nothing,
            };
        }
        let gap = match (id, self.entries.front()) {
            (Some(id), Some(oldest))
                if id.generation == oldest.id.generation && id.seq < oldest.id.seq =>
            {
                match oldest.id.seq - id.seq - 1 {
                    0 => Gap::Nothing,
                    n => Gap::Records(n),
                }
            }
            _ => Gap::Unknown,
        };
        Cursor {
            next: self.first,
            gap,
        }
    }

    /// The entry at `cursor` and the cursor after it; where that is no longer kept, the oldest that is.
    pub(crate) fn read(&self, cursor: u64) -> Option<(Entry, Cursor)> {
        let at = cursor.max(self.first);
        let entry = self.entries.get((at - self.first) as usize)?.clone();
        let gap = match at - cursor + entry.lapped {
            0 => Gap::Nothing,
            n => Gap::Records(n),
        };
        Some((entry, Cursor { next: at + 1, gap }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(generation: u64, seq: u64) -> EventId {
        EventId { generation, seq }
    }

    fn history(ids: impl IntoIterator<Item = EventId>) -> History {
        let mut history = History::default();
        for id in ids {
            history.push(Entry {
                id,
                lapped: 0,
                record: Arc::default(),
            });
        }
        history
    }

    #[test]
    fn ids_are_read_back() {
        assert_eq!(EventId::parse("17-4"), Some(id(17, 4)));
        assert_eq!(
            EventId::parse(&id(u64::MAX, 1).to_string()),
            Some(id(u64::MAX, 1))
        );
        for bad in [
            "",
            "17",
            "17-",
            "-4",
            "a-b",
            "1-2-3",
            "99999999999999999999-1",
        ] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_client_goes_on_where_it_was() {
        let h = history((1..=5).map(|n| id(3, n)));
        let cursor = h.resume(Some(id(3, 2)));
        assert_eq!(cursor.gap, Gap::Nothing);
        let (entry, after) = h.read(cursor.next).unwrap();
        assert_eq!((entry.id, after.gap), (id(3, 3), Gap::Nothing));
        assert!(h.read(h.end()).is_none(), "the next has not come yet");
        assert_eq!(h.resume(Some(id(3, 5))).next, h.end());
    }

    #[test]
    fn what_is_gone_is_said() {
        let h = history((1..=600).map(|n| id(3, n)));
        // 512 kept: 89 to 600.
        assert_eq!(h.resume(Some(id(3, 88))).gap, Gap::Nothing);
        assert_eq!(h.resume(Some(id(3, 80))).gap, Gap::Records(8));
        assert_eq!(
            h.resume(Some(id(2, 80))).gap,
            Gap::Unknown,
            "another life of infer"
        );
        assert_eq!(
            h.resume(Some(id(3, 700))).gap,
            Gap::Unknown,
            "from the future"
        );
        assert_eq!(h.resume(None).gap, Gap::Unknown);
        let (entry, after) = h.read(0).unwrap();
        assert_eq!(
            (entry.id, after.gap),
            (id(3, 89), Gap::Records(88)),
            "too slow a reader"
        );
        assert_eq!(History::default().resume(Some(id(3, 1))).gap, Gap::Unknown);
    }

    #[test]
    fn what_render_missed_is_said_too() {
        let mut h = history([id(1, 1)]);
        h.push(Entry {
            id: id(1, 9),
            lapped: 7,
            record: Arc::default(),
        });
        assert_eq!(h.read(1).unwrap().1.gap, Gap::Records(7));
    }
}

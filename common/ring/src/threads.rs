//! A writer and two leasing readers as threads over one mapping, with plain reads of leased bytes. Processes have a
//! mapping each, which hides from ThreadSanitizer that they share memory; here it sees every access (`ci/tsan.sh`).

use super::Geometry;
use super::atomic::Word;
use super::layout::{Layout, State};
use super::memfd::{Mapping, Writable, create_mapped};
use super::protocol::{self, WriterState};
use super::words::Words;
use std::time::{Duration, Instant};

const FRAMES: u64 = 20_000;
/// Below what the bulk copy takes: the sanitizer does not see into inline assembly.
const BYTES: usize = 56;
const READERS: usize = 2;

struct Shared {
    ring: Mapping,
    layout: Layout,
    cells: [Word; READERS],
}

fn write(shared: &Shared) {
    let mut writer = WriterState::new();
    for _ in 0..FRAMES {
        let leased = |old| shared.cells.iter().any(|c| protocol::cell_holds(c, old));
        // Two leases and the newest leave one slot of four; yet one cell can be met twice in a scan, before and after
        // its reader went on to another slot. Then a frame would be dropped, and is tried again here.
        let claim = std::iter::repeat_with(|| writer.claim(&shared.ring, &shared.layout, leased))
            .flatten()
            .next()
            .expect("without end");
        let bytes = [claim.seq as u8; BYTES];
        let at = shared.layout.payload_byte(claim.slot);
        shared.ring.copy_in(at, &bytes);
        writer.publish(&shared.ring, &shared.layout, claim, BYTES as u64);
    }
}

/// Leases until the last frame was seen.
fn read(shared: &Shared, cell: &Word) {
    let (mut seen, started) = (0, Instant::now());
    while seen < FRAMES {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the writer has stopped"
        );
        let state = protocol::newest(&shared.ring, &shared.layout);
        if state == State::NEVER || !protocol::lease(&shared.ring, &shared.layout, cell, state) {
            continue;
        }
        let at = shared.layout.payload_byte(state.slot());
        // SAFETY: the slot is leased until the release below.
        let bytes = unsafe { shared.ring.bytes(at, BYTES) };
        assert!(bytes.iter().all(|b| *b == state.seq() as u8), "torn");
        assert!(state.seq() >= seen, "newest goes back");
        seen = state.seq();
        protocol::release(cell);
    }
}

/// (D1)
#[test]
fn leased_bytes_stand_still_while_others_are_written() {
    let geometry = Geometry {
        slots: 4,
        meta_len: 0,
        payload_capacity: BYTES as u64,
    };
    let layout = Layout::new(1, 1, geometry).unwrap();
    let (_fd, ring) = create_mapped("ring-test", layout.total_len, Writable::Existing).unwrap();
    let shared = Shared {
        ring,
        layout,
        cells: [(); READERS].map(|()| Word::new(0)),
    };
    std::thread::scope(|scope| {
        for cell in &shared.cells {
            scope.spawn(|| read(&shared, cell));
        }
        scope.spawn(|| write(&shared));
    });
}

//! The ring against iceoryx2 0.10, the fastest peer we know of: same work, same two processors, interleaved.
//!
//! `cd tests/bench/peer && cargo run --release -- [ROUNDS]`. Outside the project's workspace and lock file: nothing of it
//! is shipped. iceoryx2 keeps files in /dev/shm and /tmp/iceoryx2 while it runs.

#![deny(clippy::undocumented_unsafe_blocks)]

mod iox;

use hanja_bench::echo::{Bare, Echo, How, SLOTS};
use hanja_bench::pair::{self, Pinned};
use hanja_bench::stats::{Table, machine};
use hanja_bench::{SIZES, WHOLE};
use hanja_ring::baseline::Notice;
use iox::{Iox, Mode};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ring", task] => pair::serve(task),
        ["iox", mode, size, name] => {
            let _pinned = Pinned::to(true)?;
            iox::answer(mode.parse()?, size.parse()?, name)
        }
        [] => compare(7),
        [rounds] => compare(rounds.parse()?),
        _ => anyhow::bail!("usage: hanja-peer-bench [ROUNDS]"),
    }
}

fn compare(rounds: usize) -> anyhow::Result<()> {
    let mut ours = Vec::new();
    let mut theirs = vec![("iceoryx2's event", Iox::start(Mode::Event, 8)?)];
    for size in SIZES {
        theirs.push(("iceoryx2, polled", Iox::start(Mode::Polled, size)?));
        ours.push((
            "ring, polled",
            "iceoryx2, polled",
            Echo::start(&["ring"], size, SLOTS, How::Polled)?,
        ));
        ours.push((
            "ring, woken",
            "iceoryx2's event",
            Echo::start(&["ring"], size, SLOTS, How::Woken)?,
        ));
    }
    for size in &SIZES[1..] {
        theirs.push((
            "iceoryx2, written and read whole",
            Iox::start(Mode::Whole, *size)?,
        ));
        for (name, slots) in WHOLE {
            let echo = Echo::start(&["ring"], *size, slots, How::Whole)?;
            ours.push((name, "iceoryx2, written and read whole", echo));
        }
    }
    let mut futex = Bare::start(&["ring"], Notice::Futex)?;
    println!("{}; medians of {rounds} rounds", machine());
    let _pinned = Pinned::to(false)?;
    let mut table = Table::default();
    for _ in 0..rounds {
        table.add(
            "futex, nothing else",
            8,
            Some("iceoryx2's event"),
            futex.round()?,
        );
        for (name, iox) in &mut theirs {
            table.add(name, iox.size, None, iox.round()?);
        }
        for (name, against, echo) in &mut ours {
            table.add(name, echo.size, Some(against), echo.round()?);
        }
    }
    for row in table.rows() {
        let ratio = row.against.map_or(String::new(), |(name, ratio)| {
            format!(": {ratio:.2} x {name}")
        });
        println!(
            "{:>9}  {:>10.3} us  {}{ratio}",
            row.bytes, row.p50_us, row.name
        );
    }
    Ok(())
}

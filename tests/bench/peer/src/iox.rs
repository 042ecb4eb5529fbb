//! The same ping-pong with iceoryx2.

use anyhow::Context;
use hanja_bench::echo::{SPINS, sum};
use hanja_bench::pair::Other;
use hanja_bench::stats::sample;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

type Sample = iceoryx2::sample::Sample<ipc::Service, [u8], ()>;

const WAIT: Duration = Duration::from_secs(2);

/// What is handed over, and how it is noticed; see `hanja_bench::echo::How`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Spins; a loaned sample, untouched.
    Polled,
    /// A notification without data.
    Event,
    /// Spins; written whole, read whole in place.
    Whole,
}

impl std::str::FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> anyhow::Result<Self> {
        let all = [Mode::Polled, Mode::Event, Mode::Whole];
        all.into_iter()
            .find(|m| format!("{m:?}") == s)
            .context("no such mode")
    }
}

/// One side's ends: out and in, of whichever kind the mode needs.
enum Ends {
    Data {
        out: Publisher<ipc::Service, [u8], ()>,
        back: Subscriber<ipc::Service, [u8], ()>,
    },
    Event {
        out: Notifier<ipc::Service>,
        back: Listener<ipc::Service>,
    },
}

struct Side {
    _node: Node<ipc::Service>,
    ends: Ends,
    mode: Mode,
    /// Bytes sent out.
    size: usize,
    content: Vec<u8>,
}

impl Side {
    /// `there` and `back` name the two directions.
    fn open(mode: Mode, size: u64, there: &str, back: &str) -> anyhow::Result<Self> {
        let node = NodeBuilder::new().create::<ipc::Service>()?;
        let ends = if mode == Mode::Event {
            let event = |name: &str| -> anyhow::Result<_> {
                Ok(node
                    .service_builder(&name.try_into()?)
                    .event()
                    .open_or_create()?)
            };
            Ends::Event {
                out: event(there)?.notifier_builder().create()?,
                back: event(back)?.listener_builder().create()?,
            }
        } else {
            let data = |name: &str| -> anyhow::Result<_> {
                let builder = node
                    .service_builder(&name.try_into()?)
                    .publish_subscribe::<[u8]>();
                Ok(builder
                    .payload_alignment(Alignment::new(4096).context("alignment")?)
                    .open_or_create()?)
            };
            let service = data(there)?;
            let publisher = service
                .publisher_builder()
                .initial_max_slice_len(size as usize);
            Ends::Data {
                out: publisher.create()?,
                back: data(back)?.subscriber_builder().create()?,
            }
        };
        Ok(Self {
            _node: node,
            ends,
            mode,
            size: size as usize,
            content: vec![0x5a; size as usize],
        })
    }

    fn send(&self) -> anyhow::Result<()> {
        match &self.ends {
            Ends::Event { out, .. } => {
                out.notify()?;
            }
            Ends::Data { out, .. } if self.mode == Mode::Whole => {
                out.loan_slice_uninit(self.size)?
                    .write_from_slice(&self.content)
                    .send()?;
            }
            Ends::Data { out, .. } => {
                // Untouched: what an earlier sample left there. `loan_slice` would write it.
                let sample = out.loan_slice_uninit(self.size)?;
                // SAFETY: bytes of shared memory from the kernel or an earlier sample; nobody reads them here.
                unsafe { sample.assume_init() }.send()?;
            }
        }
        Ok(())
    }

    /// Whether something came.
    fn receive(&mut self) -> anyhow::Result<bool> {
        match &mut self.ends {
            Ends::Event { back, .. } => {
                let mut came = false;
                back.timed_wait(|_| came = true, WAIT)?;
                Ok(came)
            }
            Ends::Data { back, .. } => {
                let Some(sample) = spin(back)? else {
                    return Ok(false);
                };
                if self.mode == Mode::Whole {
                    black_box(sum(sample.payload()));
                }
                Ok(true)
            }
        }
    }
}

fn spin(from: &Subscriber<ipc::Service, [u8], ()>) -> anyhow::Result<Option<Sample>> {
    for _ in 0..SPINS {
        if let Some(sample) = from.receive()? {
            return Ok(Some(sample));
        }
        std::hint::spin_loop();
    }
    // The other rows want the processor: look rarely, but not at once, or both sides fall asleep in turn for ever.
    let begun = Instant::now();
    while begun.elapsed() < WAIT {
        if let Some(sample) = from.receive()? {
            return Ok(Some(sample));
        }
        let idle = begun.elapsed() > Duration::from_millis(200);
        std::thread::sleep(Duration::from_micros(if idle { 20_000 } else { 100 }));
    }
    Ok(None)
}

/// Our side, with the other process.
pub struct Iox {
    side: Side,
    pub size: u64,
    _other: Other,
}

impl Iox {
    pub fn start(mode: Mode, size: u64) -> anyhow::Result<Self> {
        let name = format!("hanja-peer/{}/{mode:?}/{size}", std::process::id());
        let side = Side::open(
            mode,
            size,
            &format!("{name}/there"),
            &format!("{name}/back"),
        )?;
        let other = Other::spawn(&["iox", &format!("{mode:?}"), &size.to_string(), &name])?;
        let mut iox = Self {
            side,
            size,
            _other: other,
        };
        let deadline = Instant::now() + 5 * WAIT;
        while iox.turn().is_err() {
            anyhow::ensure!(
                Instant::now() < deadline,
                "iceoryx2's other process does not answer"
            );
        }
        Ok(iox)
    }

    pub fn round(&mut self) -> anyhow::Result<Vec<u64>> {
        let (turns, ways) = match self.side.mode {
            Mode::Polled => (20_000, 2),
            Mode::Event => (2_000, 2),
            Mode::Whole => ((300_000_000 / self.size) as usize, 1),
        };
        sample(turns, ways, || self.turn())
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        self.side.send()?;
        anyhow::ensure!(self.side.receive()?, "no answer");
        Ok(())
    }
}

/// The other side: answers every sample with 64 bytes, every event with one.
pub fn answer(mode: Mode, size: u64, name: &str) -> anyhow::Result<()> {
    let mut side = Side::open(
        mode,
        size,
        &format!("{name}/back"),
        &format!("{name}/there"),
    )?;
    side.size = 64.min(size as usize);
    side.content.truncate(side.size);
    loop {
        if side.receive()? {
            side.send()?;
        }
    }
}

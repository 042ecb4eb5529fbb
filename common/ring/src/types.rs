//! What both ends of a ring speak of.

use std::fmt;

/// Major version of the memory's layout and of the control messages: the other side refuses another one.
pub const ABI_MAJOR: u16 = 1;

/// Minor version: grows when a reserved word gets a meaning; the other side accepts any.
pub const ABI_MINOR: u16 = 2;

/// What a ring carries: a number, by which both sides know it, and a name for people.
///
/// ```
/// use hanja_ring::Topic;
/// const PICTURES: Topic = Topic::new(1, "pictures");
/// assert_eq!((PICTURES.number(), PICTURES.name()), (1, "pictures"));
/// ```
#[derive(Clone, Copy)]
pub struct Topic {
    number: u16,
    name: &'static str,
}

impl Topic {
    /// `name` also names the memory, as `ring-NAME` in `/proc/PID/maps`.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }

    /// The number in headers and messages.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }

    /// The name in messages to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// By number: names are for people.
impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Topic {}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({}, {})", self.number, self.name)
    }
}

/// Size of a ring. Its memory is about `slots * payload_capacity`, whatever the number of readers.
///
/// ```
/// // Pictures of 640x480 in two bytes a pixel, with 256 bytes of metadata each: five megabytes.
/// let geometry = hanja_ring::Geometry { slots: 8, meta_len: 256, payload_capacity: 640 * 480 * 2 };
/// # let _ = geometry;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// 2 to 128. At least one being written, the newest, every slot that may be leased, two for taps to finish.
    pub slots: u32,
    /// Bytes of metadata per slot, a multiple of 8, at most 4032.
    pub meta_len: u32,
    /// Largest payload in bytes, 1 to 256 MiB.
    pub payload_capacity: u64,
}

/// Which publish: generation of the ring and number within it, from 1. Ordered as they were published.
///
/// ```
/// use hanja_ring::Stamp;
/// let last_of_old = Stamp { generation: 10, seq: 900 };
/// let first_of_new = Stamp { generation: 11, seq: 1 };
/// assert!(last_of_old < first_of_new);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// One writer life with one geometry; microseconds of CLOCK_MONOTONIC at its creation.
    pub generation: u64,
    /// Number of the publish.
    pub seq: u64,
}

/// A slot copied out by a tap. Reuse one: its buffers are kept.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// # let wait = std::time::Duration::from_secs(2);
/// # let mut tap = TapSubscriber::new(directory.path(), "camera", topic, Advice::default());
/// let mut sample = Sample::default();
/// # pictures.publish(&[b"a picture"], |_| ())?;
/// assert!(tap.next(&mut sample, wait));
/// assert_eq!((sample.seq, sample.lapped, sample.payload.len()), (1, 0, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Generation it came from.
    pub generation: u64,
    /// Its number in that generation.
    pub seq: u64,
    /// Slots overwritten between the previous sample and this one, before they could be read.
    pub lapped: u64,
    /// Copies thrown away because the writer was faster, since this `Sample` was made.
    pub torn_retries: u32,
    /// Metadata.
    pub meta: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
}

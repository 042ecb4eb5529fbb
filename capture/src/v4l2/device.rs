//! One open camera: what it offers, and its stream of buffers.

use super::buffers::{Buffers, Dequeued};
use super::negotiate::{Offer, Sizes, choose};
use super::sys;
use crate::source::SourceError;
use hanja_record::PixelFormat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zerocopy::FromZeros;

/// What a device reports about itself.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) card: String,
    pub(crate) driver: String,
    pub(crate) captures: bool,
    pub(crate) multi_planar: bool,
}

/// Opens a device node without waiting for anything.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        path,
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// VIDIOC_QUERYCAP.
pub(crate) fn identify(fd: &OwnedFd) -> Result<Identity, Errno> {
    let mut cap = sys::Capability::new_zeroed();
    sys::query_capability(fd, &mut cap)?;
    let caps = if cap.capabilities & sys::CAP_DEVICE_CAPS != 0 {
        cap.device_caps
    } else {
        cap.capabilities
    };
    Ok(Identity {
        card: text(&cap.card),
        driver: text(&cap.driver),
        captures: caps & sys::CAP_VIDEO_CAPTURE != 0 && caps & sys::CAP_STREAMING != 0,
        multi_planar: caps & sys::CAP_VIDEO_CAPTURE_MPLANE != 0,
    })
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The formats that the pipeline understands, with their sizes.
pub(crate) fn offers(fd: &OwnedFd) -> Vec<Offer> {
    let mut all = Vec::new();
    // Bounded, for a driver whose list never ends.
    for index in 0..128 {
        let mut desc = sys::FmtDesc {
            index,
            kind: sys::BUF_TYPE_CAPTURE,
            ..sys::FmtDesc::new_zeroed()
        };
        if sys::enum_format(fd, &mut desc).is_err() {
            break;
        }
        if let Some(format) = PixelFormat::from_fourcc(desc.pixelformat) {
            all.push(Offer {
                format,
                sizes: sizes(fd, desc.pixelformat),
            });
        }
    }
    all
}

fn sizes(fd: &OwnedFd, pixelformat: u32) -> Vec<Sizes> {
    let mut all = Vec::new();
    for index in 0..256 {
        let mut size = sys::FrameSize {
            index,
            pixelformat,
            ..sys::FrameSize::new_zeroed()
        };
        if sys::enum_frame_sizes(fd, &mut size).is_err() {
            break;
        }
        let v = size.values;
        if size.kind == sys::FRAME_DISCRETE {
            all.push(Sizes::Discrete(v[0], v[1]));
        } else {
            all.push(Sizes::Stepwise([v[0], v[1], v[2]], [v[3], v[4], v[5]]));
            break; // stepwise and continuous have one entry
        }
    }
    all
}

/// A picture of the camera, until its buffer is queued again.
#[derive(Debug)]
pub(crate) struct FilledBuffer {
    buffer: Dequeued,
    pub(crate) sequence: u32,
    /// CLOCK_MONOTONIC nanoseconds; 0 if the driver uses another clock.
    pub(crate) timestamp: u64,
    /// The timestamp is that of the beginning of the exposure.
    pub(crate) exposure: bool,
    pub(crate) damaged: bool,
}

impl FilledBuffer {
    fn new((buffer, info): (Dequeued, sys::Buffer)) -> Self {
        let clock = info.flags & sys::BUF_FLAG_TIMESTAMP_MASK;
        // Saturating: a driver may write anything.
        let seconds = info.seconds.unsigned_abs().saturating_mul(1_000_000_000);
        let stamp = seconds.saturating_add(info.microseconds.unsigned_abs().saturating_mul(1000));
        Self {
            buffer,
            sequence: info.sequence,
            timestamp: if clock == sys::BUF_FLAG_TIMESTAMP_MONOTONIC {
                stamp
            } else {
                0
            },
            exposure: info.flags & sys::BUF_FLAG_TSTAMP_SRC_MASK == sys::BUF_FLAG_TSTAMP_SRC_SOE,
            damaged: info.flags & sys::BUF_FLAG_ERROR != 0,
        }
    }

    /// The picture.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Queues the buffer to the driver again.
    pub(crate) fn requeue(self) -> Result<(), Errno> {
        self.buffer.requeue()
    }
}

/// A streaming camera.
#[derive(Debug)]
pub(crate) struct Device {
    fd: Arc<OwnedFd>,
    buffers: Buffers,
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) stride: u32,
    pub(crate) fps: Option<f64>,
    /// The connector that was chosen when it began; it cannot be changed while it streams.
    input: u32,
}

impl Device {
    /// Opens the camera at `path`, agrees on a format with its driver, maps its buffers and starts the stream. `wanted`
    /// none: any format that is understood. `size` in pixels and `fps` are wishes; what the driver made of them is in
    /// the fields.
    pub(crate) fn start(
        path: &Path,
        wanted: Option<PixelFormat>,
        size: (u32, u32),
        fps: f64,
    ) -> Result<Self, SourceError> {
        let fd = open(path).map_err(|e| camera_error(open_error(path, e)))?;
        let card = capturing(path, &fd)?;
        let (format, pix) = negotiate(path, &fd, &card, wanted, size)?;
        let fps = set_rate(&fd, fps);
        let mut input = 0;
        let _ = sys::get_input(&fd, &mut input); // a driver without inputs has none to ask about
        let fd = Arc::new(fd);
        let mapped = Buffers::map(Arc::clone(&fd));
        let mut buffers = mapped.map_err(call_error(path, "mapping the driver's buffers"))?;
        let stride = if format == PixelFormat::Mjpg {
            0
        } else {
            pix.bytesperline.max(format.min_stride(pix.width))
        };
        buffers
            .queue_all()
            .map_err(call_error(path, "VIDIOC_QBUF"))?;
        let device = Self {
            fd,
            buffers,
            format,
            width: pix.width,
            height: pix.height,
            stride,
            fps,
            input,
        };
        sys::stream_on(&*device.fd, &mut { sys::BUF_TYPE_CAPTURE })
            .map_err(call_error(path, "VIDIOC_STREAMON"))?;
        Ok(device)
    }

    /// Waits for a full buffer. `Ok(None)`: nothing within `wait`.
    pub(crate) fn wait(&self, wait: Duration) -> Result<Option<FilledBuffer>, Errno> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => {}
            Ok(_) => return Err(Errno::NODEV), // POLLERR, POLLHUP: the device is gone
            Err(e) => return Err(e),
        }
        self.dequeue()
    }

    /// A full buffer if there is one now.
    pub(crate) fn dequeue(&self) -> Result<Option<FilledBuffer>, Errno> {
        Ok(self.buffers.dequeue()?.map(FilledBuffer::new))
    }

    /// Whether the input has a signal. Without one a capture card fills its buffers with noise or one colour, and only
    /// its driver knows. A driver that does not report it, like those of USB cameras, counts as having one.
    pub(crate) fn has_signal(&self) -> bool {
        let mut input = sys::Input {
            index: self.input,
            ..sys::Input::new_zeroed()
        };
        sys::enum_input(&*self.fd, &mut input).is_err() || input.status & sys::INPUT_DEAD == 0
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Fails if the camera is gone; then there is nothing to stop.
        let _ = sys::stream_off(&*self.fd, &mut { sys::BUF_TYPE_CAPTURE });
    }
}

/// The name of a camera that can capture; an error for any other device.
fn capturing(path: &Path, fd: &OwnedFd) -> Result<String, SourceError> {
    let name = path.display();
    let identity =
        identify(fd).map_err(|_| camera_error(format!("{name} is not a video device")))?;
    if identity.captures {
        return Ok(identity.card);
    }
    let why = if identity.multi_planar {
        "offers only multi-planar formats, which are not supported"
    } else {
        "does not capture video (a metadata or output node); try the next /dev/video number"
    };
    Err(camera_error(format!("{name} ({}) {why}", identity.card)))
}

/// Chooses from what the camera offers and sets it; the driver may adjust the size.
fn negotiate(
    path: &Path,
    fd: &OwnedFd,
    card: &str,
    wanted: Option<PixelFormat>,
    size: (u32, u32),
) -> Result<(PixelFormat, sys::PixFormat), SourceError> {
    let name = path.display();
    let offers = offers(fd);
    let Some((format, size)) = choose(&offers, wanted, size) else {
        let list: Vec<_> = offers.iter().map(|o| o.format.name()).collect();
        let list = if list.is_empty() {
            "none that are understood".into()
        } else {
            list.join(", ")
        };
        let asked = wanted.map_or("auto", PixelFormat::name);
        return Err(camera_error(format!(
            "{name} ({card}) cannot deliver format {asked}; it offers {list}"
        )));
    };
    let pix = set_format(fd, format, size).map_err(call_error(path, "VIDIOC_S_FMT"))?;
    match PixelFormat::from_fourcc(pix.pixelformat) {
        Some(format) if pix.width > 0 && pix.height > 0 => Ok((format, pix)),
        _ => Err(camera_error(format!(
            "{name}: the driver insists on a format that is not understood"
        ))),
    }
}

fn camera_error(text: String) -> SourceError {
    SourceError::Camera(text)
}

/// The error of a call to the driver that failed.
fn call_error<'a>(path: &'a Path, what: &'a str) -> impl FnOnce(Errno) -> SourceError + 'a {
    move |e| {
        let (name, hint) = (path.display(), busy_hint(e));
        camera_error(format!("{name}: {what} failed: {e}{hint}"))
    }
}

fn set_format(
    fd: &OwnedFd,
    format: PixelFormat,
    size: (u32, u32),
) -> Result<sys::PixFormat, Errno> {
    let mut f = sys::Format {
        kind: sys::BUF_TYPE_CAPTURE,
        ..sys::Format::new_zeroed()
    };
    f.pix.pixelformat = format.fourcc();
    (f.pix.width, f.pix.height) = size;
    f.pix.field = sys::FIELD_NONE;
    sys::set_format(fd, &mut f)?;
    Ok(f.pix)
}

/// Asks for a rate (many drivers start at 5 fps). Returns the rate that the driver chose, if it reports one.
fn set_rate(fd: &OwnedFd, fps: f64) -> Option<f64> {
    let mut p = sys::StreamParm {
        kind: sys::BUF_TYPE_CAPTURE,
        ..sys::StreamParm::new_zeroed()
    };
    p.timeperframe = [1000, (fps * 1000.0).round() as u32];
    sys::set_parameters(fd, &mut p).ok()?;
    let [n, d] = p.timeperframe;
    (p.capability & sys::CAP_TIMEPERFRAME != 0 && n > 0).then(|| f64::from(d) / f64::from(n))
}

fn busy_hint(e: Errno) -> &'static str {
    if e == Errno::BUSY {
        " (another program uses it: fuser -v /dev/video*)"
    } else {
        ""
    }
}

/// Why a device node cannot be opened, and what to do.
fn open_error(path: &Path, e: Errno) -> String {
    let name = path.display();
    match e {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            let found = crate::devices::list_devices();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            let list = if found.is_empty() {
                "none".into()
            } else {
                found.join("; ")
            };
            format!(
                "no camera at {name}; cameras found: {list}; plug it in, or use --source synth:"
            )
        }
        Errno::ACCESS | Errno::PERM => format!(
            "no permission to open {name}: add your user to the group video (sudo usermod -aG video $USER) and log in again"
        ),
        Errno::BUSY => format!("{name} is busy: another program uses it (fuser -v {name})"),
        e => format!("cannot open {name}: {e}"),
    }
}

/// Every video device node, in order.
pub(crate) fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/dev") else {
        return Vec::new();
    };
    let number = |p: &PathBuf| -> Option<u32> {
        p.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()
    };
    let mut nodes: Vec<_> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter_map(|p| number(&p).map(|n| (n, p)))
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, p)| p).collect()
}

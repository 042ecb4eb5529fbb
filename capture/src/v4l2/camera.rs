//! A camera as a source that does not end: while the camera is missing, it delivers flagged grey frames and tries to
//! open it again.

use super::device::{Device, FilledBuffer};
use crate::devices::DeviceInfo;
use crate::pace::Pace;
use crate::source::{Event, Frame, Patience, Source, SourceError};
use hanja_record::{FrameFlags, PixelFormat};
use hanja_ring::now_ns;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `no signal` frames per second: enough to be seen as alive.
const GREY_FPS: f64 = 2.0;
const GREY_SIZE: (u32, u32) = (64, 48);
/// Milliseconds between attempts to open the camera; the last goes on for ever.
const BACK_OFF: [u64; 4] = [200, 500, 1000, 2000];
/// A camera that delivers nothing for so long has no signal (a capture card without input).
const SILENCE: Duration = Duration::from_millis(1500);
/// How often the driver is asked whether its input has a signal.
const SIGNAL_POLL: Duration = Duration::from_millis(500);

/// Which camera to open.
#[derive(Clone, Debug)]
pub(crate) enum CameraChoice {
    /// The one at this node.
    Node(PathBuf),
    /// The first usable one, searched for at every attempt.
    First,
}

/// What the user asked for.
#[derive(Clone, Debug)]
pub(crate) struct CameraRequest {
    pub(crate) which: CameraChoice,
    pub(crate) format: Option<PixelFormat>,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// Frames per second.
    pub(crate) fps: f64,
}

impl CameraRequest {
    fn start(&self) -> Result<(PathBuf, Device), SourceError> {
        let path = match &self.which {
            CameraChoice::Node(path) => path.clone(),
            CameraChoice::First => first_usable()?,
        };
        let device = Device::start(&path, self.format, self.size, self.fps)?;
        Ok((path, device))
    }
}

/// The first usable camera, or why none of those that were found is.
fn first_usable() -> Result<PathBuf, SourceError> {
    let mut devices = super::list();
    if let Some(at) = devices.iter().position(DeviceInfo::usable) {
        return Ok(devices.swap_remove(at).path);
    }
    let found: Vec<_> = devices.iter().map(ToString::to_string).collect();
    Err(SourceError::Camera(if found.is_empty() {
        "no camera is plugged in".into()
    } else {
        format!("no usable camera: {}", found.join("; "))
    }))
}

/// A camera that survives being unplugged.
#[derive(Debug)]
pub(crate) struct Camera {
    wanted: CameraRequest,
    state: State,
    /// Why there is no picture; empty while there is one.
    trouble: String,
    /// The camera that `auto` found; empty where the camera was named, or there is none.
    found: String,
    grey: Vec<u8>,
    /// Added to the driver's numbers, which begin at 0 each time it is opened: this source's numbers only rise.
    base: u64,
    last: u64,
}

#[derive(Debug)]
enum State {
    Streaming {
        device: Device,
        held: Option<FilledBuffer>,
        last_frame: Instant,
        /// Whether there is a signal, and when the driver was asked.
        signal: (bool, Instant),
        grey: Pace,
    },
    Disconnected {
        tries: usize,
        retry: Instant,
        grey: Pace,
    },
}

impl State {
    fn disconnected() -> Self {
        Self::Disconnected {
            tries: 0,
            retry: Instant::now() + Duration::from_millis(BACK_OFF[0]),
            grey: Pace::new(GREY_FPS),
        }
    }
}

impl Camera {
    /// Opens the camera. If that fails, `patience` decides: an error that lists the cameras that were found, or to wait.
    pub(crate) fn open(wanted: CameraRequest, patience: Patience) -> Result<Self, SourceError> {
        let mut camera = Self {
            wanted,
            state: State::disconnected(),
            trouble: String::new(),
            found: String::new(),
            grey: vec![128; (GREY_SIZE.0 * GREY_SIZE.1) as usize],
            base: 0,
            last: 0,
        };
        match (camera.wanted.start(), patience) {
            (Ok((path, device)), _) => camera.start_streaming(&path, device),
            (Err(e), Patience::Fail) => return Err(e),
            (Err(e), Patience::Wait) => camera.set_trouble(e.to_string()),
        }
        Ok(camera)
    }

    fn start_streaming(&mut self, path: &Path, device: Device) {
        let rate = device
            .fps
            .map_or("unknown rate".into(), |f| format!("{f:.1} fps"));
        tracing::info!(
            "{}: {} {}x{}, {rate}",
            path.display(),
            device.format,
            device.width,
            device.height
        );
        if matches!(self.wanted.which, CameraChoice::First) {
            self.found = format!("auto: {}", path.display());
        }
        self.trouble.clear();
        self.base = self.last + 1;
        let now = Instant::now();
        self.state = State::Streaming {
            signal: (device.has_signal(), now),
            device,
            held: None,
            last_frame: now,
            grey: Pace::new(GREY_FPS),
        };
    }

    fn disconnect(&mut self, why: Errno) {
        self.set_trouble(format!("camera lost ({why})"));
        self.found.clear();
        self.state = State::disconnected();
    }

    /// Logs each reason once.
    fn set_trouble(&mut self, why: String) {
        if self.trouble != why {
            tracing::warn!("{why}; waiting for it, with frames flagged 'no signal'");
            self.trouble = why;
        }
    }

    fn reopen(&mut self) {
        let State::Disconnected { tries, retry, .. } = &mut self.state else {
            return;
        };
        if Instant::now() < *retry {
            return;
        }
        *retry = Instant::now() + Duration::from_millis(BACK_OFF[(*tries).min(BACK_OFF.len() - 1)]);
        *tries += 1;
        match self.wanted.start() {
            Ok((path, device)) => self.start_streaming(&path, device),
            Err(e) => self.set_trouble(e.to_string()),
        }
    }

    /// Whether there is no camera, or it has delivered nothing for a while.
    fn is_silent(&mut self) -> bool {
        let State::Streaming { last_frame, .. } = &self.state else {
            return true;
        };
        let silent = last_frame.elapsed() > SILENCE;
        if silent {
            self.set_trouble("the camera delivers no picture".into());
        }
        silent
    }

    /// Dequeues the newest full buffer and holds it until the next call. Older ones are queued again unused, which the gap
    /// in the sequence numbers shows. False: there is none.
    fn dequeue_newest(&mut self, wait: Duration) -> Result<bool, Errno> {
        let State::Streaming {
            device,
            held,
            last_frame,
            ..
        } = &mut self.state
        else {
            return Ok(false);
        };
        if let Some(shown) = held.take() {
            shown.requeue()?;
        }
        let Some(mut newest) = device.wait(wait)? else {
            return Ok(false);
        };
        while let Some(newer) = device.dequeue()? {
            std::mem::replace(&mut newest, newer).requeue()?;
        }
        *held = Some(newest);
        *last_frame = Instant::now();
        Ok(true)
    }

    /// Whether the input has a signal; logs when that changes.
    fn has_signal(&mut self) -> bool {
        let State::Streaming { device, signal, .. } = &mut self.state else {
            return false;
        };
        if signal.1.elapsed() > SIGNAL_POLL {
            *signal = (device.has_signal(), Instant::now());
        }
        let present = signal.0;
        if !present {
            self.set_trouble("the camera's driver says that its input has no signal".into());
        } else if !self.trouble.is_empty() {
            tracing::info!("the camera delivers pictures again");
            self.trouble.clear();
        }
        present
    }

    fn grey_frame(&mut self, wait: Duration) -> Event<'_> {
        let (State::Disconnected { grey, .. } | State::Streaming { grey, .. }) = &mut self.state;
        let Some(due) = grey.next_due(wait) else {
            return Event::Idle;
        };
        self.last += 1;
        self.base += 1;
        Event::Frame(Frame {
            format: PixelFormat::Grey,
            width: GREY_SIZE.0,
            height: GREY_SIZE.1,
            stride: GREY_SIZE.0,
            bytes: &self.grey,
            driver_seq: self.last,
            t_sensor: due,
            t_dequeued: now_ns(),
            flags: FrameFlags::NO_SIGNAL,
            truth: &[],
        })
    }
}

impl Source for Camera {
    fn trouble(&self) -> Option<&str> {
        (!self.trouble.is_empty()).then_some(&*self.trouble)
    }

    fn found(&self) -> Option<&str> {
        (!self.found.is_empty()).then_some(&*self.found)
    }

    fn may_pause(&self) -> bool {
        false
    }

    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        if matches!(self.state, State::Disconnected { .. }) {
            self.reopen();
        }
        match self.dequeue_newest(wait) {
            Ok(true) => {}
            Ok(false) => {
                return Ok(if self.is_silent() {
                    self.grey_frame(wait)
                } else {
                    Event::Idle
                });
            }
            Err(e) => {
                self.disconnect(e);
                return Ok(Event::Idle);
            }
        }
        let t_dequeued = now_ns();
        let signal = self.has_signal();
        let State::Streaming {
            device,
            held: Some(filled),
            ..
        } = &self.state
        else {
            return Ok(Event::Idle);
        };
        self.last = self.base + u64::from(filled.sequence);
        let (format, width, height, stride) =
            (device.format, device.width, device.height, device.stride);
        let (t_sensor, mut flags) = sensor_time(filled.timestamp, filled.exposure, t_dequeued);
        if filled.damaged {
            flags |= FrameFlags::DRIVER_ERROR;
        }
        if !signal {
            flags |= FrameFlags::NO_SIGNAL;
        }
        Ok(Event::Frame(Frame {
            format,
            width,
            height,
            stride,
            bytes: filled.bytes(),
            driver_seq: self.last,
            t_sensor,
            t_dequeued,
            flags,
            truth: &[],
        }))
    }
}

/// When the frame left the sensor, and the flags that tell where that time comes from.
fn sensor_time(stamp: u64, exposure: bool, t_dequeued: u64) -> (u64, u32) {
    // No stamp, or one in the future: the time of dequeueing is the best estimate.
    if stamp == 0 || stamp > t_dequeued {
        (t_dequeued, FrameFlags::HOST_TIME)
    } else if exposure {
        (stamp, FrameFlags::EXPOSURE_TIME)
    } else {
        (stamp, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_time_is_taken_where_there_is_one() {
        let of = |stamp, exposure| sensor_time(stamp, exposure, 1000);
        assert_eq!(of(900, false), (900, 0));
        assert_eq!(of(900, true), (900, FrameFlags::EXPOSURE_TIME));
        assert_eq!(of(0, true), (1000, FrameFlags::HOST_TIME));
        assert_eq!(of(1001, false), (1000, FrameFlags::HOST_TIME));
    }
}

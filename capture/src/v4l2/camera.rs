//! A camera as a source that does not end: while it is not there, it shows flagged grey frames and looks for it.

use super::device::{Device, Filled};
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
const BACK_OFF: [u64; 4] = [200, 500, 1000, 2000];
/// A camera that says nothing for so long has no signal (a capture card without input).
const SILENCE: Duration = Duration::from_millis(1500);
/// How often the driver is asked whether its input has a signal.
const ASK: Duration = Duration::from_millis(500);

/// Which camera.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// The one at this node.
    Node(PathBuf),
    /// The first that can be used, each time anew.
    First,
}

/// What is asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) which: Which,
    pub(crate) format: Option<PixelFormat>,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// Frames per second.
    pub(crate) fps: f64,
}

impl Wanted {
    fn start(&self) -> Result<(PathBuf, Device), SourceError> {
        let path = match &self.which {
            Which::Node(path) => path.clone(),
            Which::First => first()?,
        };
        let device = Device::start(&path, self.format, self.size, self.fps)?;
        Ok((path, device))
    }
}

/// The first camera that can be used; or what is wrong with those that are there.
fn first() -> Result<PathBuf, SourceError> {
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Camera {
    wanted: Wanted,
    state: State,
    /// Why there is no picture; empty while there is one.
    trouble: String,
    /// The camera that the search came upon; empty where it was named, or there is none.
    found: String,
    grey: Vec<u8>,
    /// Numbers of all frames of this source, across re-opening: the driver's restart at 0.
    base: u64,
    last: u64,
}

#[derive(Debug)]
enum State {
    Streaming {
        device: Device,
        held: Option<Filled>,
        heard: Instant,
        /// Whether there is a signal, and when that was asked.
        signal: (bool, Instant),
        grey: Pace,
    },
    Away {
        tries: usize,
        retry: Instant,
        grey: Pace,
    },
}

impl State {
    fn away() -> Self {
        Self::Away {
            tries: 0,
            retry: Instant::now() + Duration::from_millis(BACK_OFF[0]),
            grey: Pace::new(GREY_FPS),
        }
    }
}

impl Camera {
    /// Opens the camera. If that fails, patience decides: an error, with the list of those that are there, or to wait.
    pub(crate) fn open(wanted: Wanted, patience: Patience) -> Result<Self, SourceError> {
        let mut camera = Self {
            wanted,
            state: State::away(),
            trouble: String::new(),
            found: String::new(),
            grey: vec![128; (GREY_SIZE.0 * GREY_SIZE.1) as usize],
            base: 0,
            last: 0,
        };
        match (camera.wanted.start(), patience) {
            (Ok((path, device)), _) => camera.began(&path, device),
            (Err(e), Patience::Fail) => return Err(e),
            (Err(e), Patience::Wait) => camera.waits(e.to_string()),
        }
        Ok(camera)
    }

    fn began(&mut self, path: &Path, device: Device) {
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
        if matches!(self.wanted.which, Which::First) {
            self.found = format!("auto: {}", path.display());
        }
        self.trouble.clear();
        self.base = self.last + 1;
        let now = Instant::now();
        self.state = State::Streaming {
            signal: (device.has_signal(), now),
            device,
            held: None,
            heard: now,
            grey: Pace::new(GREY_FPS),
        };
    }

    fn lost(&mut self, why: Errno) {
        self.waits(format!("camera lost ({why})"));
        self.found.clear();
        self.state = State::away();
    }

    /// Each reason is said once.
    fn waits(&mut self, why: String) {
        if self.trouble != why {
            tracing::warn!("{why}; waiting for it, with frames flagged 'no signal'");
            self.trouble = why;
        }
    }

    fn try_again(&mut self) {
        let State::Away { tries, retry, .. } = &mut self.state else {
            return;
        };
        if Instant::now() < *retry {
            return;
        }
        *retry = Instant::now() + Duration::from_millis(BACK_OFF[(*tries).min(BACK_OFF.len() - 1)]);
        *tries += 1;
        match self.wanted.start() {
            Ok((path, device)) => self.began(&path, device),
            Err(e) => self.waits(e.to_string()),
        }
    }

    /// There is no camera, or one that has delivered nothing for a while.
    fn is_silent(&mut self) -> bool {
        let State::Streaming { heard, .. } = &self.state else {
            return true;
        };
        let silent = heard.elapsed() > SILENCE;
        if silent {
            self.waits("the camera delivers no picture".into());
        }
        silent
    }

    /// Holds the newest full buffer until the next call; older ones go back unseen, which their sequence numbers tell.
    /// False: there is none.
    fn take(&mut self, wait: Duration) -> Result<bool, Errno> {
        let State::Streaming {
            device,
            held,
            heard,
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
        *heard = Instant::now();
        Ok(true)
    }

    /// Whether what is delivered are pictures, and says so when that changes.
    fn has_signal(&mut self) -> bool {
        let State::Streaming { device, signal, .. } = &mut self.state else {
            return false;
        };
        if signal.1.elapsed() > ASK {
            *signal = (device.has_signal(), Instant::now());
        }
        let there = signal.0;
        if !there {
            self.waits("the camera's driver says that its input has no signal".into());
        } else if !self.trouble.is_empty() {
            tracing::info!("the camera delivers pictures again");
            self.trouble.clear();
        }
        there
    }

    fn grey_frame(&mut self, wait: Duration) -> Event<'_> {
        let (State::Away { grey, .. } | State::Streaming { grey, .. }) = &mut self.state;
        let Some(due) = grey.beat(wait) else {
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
        if matches!(self.state, State::Away { .. }) {
            self.try_again();
        }
        match self.take(wait) {
            Ok(true) => {}
            Ok(false) => {
                return Ok(if self.is_silent() {
                    self.grey_frame(wait)
                } else {
                    Event::Idle
                });
            }
            Err(e) => {
                self.lost(e);
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

/// When the frame left the sensor, and flags that say how that is known.
fn sensor_time(stamp: u64, exposure: bool, t_dequeued: u64) -> (u64, u32) {
    // A stamp from the future, or none: the moment we had it is the best there is.
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

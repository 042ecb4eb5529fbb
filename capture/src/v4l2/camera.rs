//! A camera as a source that does not end: unplugged, it shows flagged grey frames and looks for its return.

use super::device::{Device, Filled};
use crate::pace::Pace;
use crate::source::{Event, Frame, Source, SourceError};
use hanja_common::clock::now_ns;
use hanja_common::record::{FrameFlags, PixelFormat};
use rustix::io::Errno;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// `no signal` frames per second: enough to be seen as alive.
const GREY_FPS: f64 = 2.0;
const GREY_SIZE: (u32, u32) = (64, 48);
const BACK_OFF: [u64; 4] = [200, 500, 1000, 2000];
/// A camera that says nothing for so long has no signal (a capture card without input).
const SILENCE: Duration = Duration::from_millis(1500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Camera {
    path: PathBuf,
    wanted: Option<PixelFormat>,
    size: (u32, u32),
    fps: f64,
    state: State,
    grey: Vec<u8>,
    /// Numbers of all frames of this source, across re-opening: the driver's restart at 0.
    base: u64,
    last: u64,
}

#[derive(Debug)]
enum State {
    Streaming {
        device: Device,
        held: Option<u32>,
        heard: Instant,
        grey: Pace,
    },
    Away {
        tries: usize,
        retry: Instant,
        grey: Pace,
    },
}

impl Camera {
    /// Opens the camera; at the start a missing one is an error, with the list of those that are there.
    pub(crate) fn open(
        path: PathBuf,
        wanted: Option<PixelFormat>,
        size: (u32, u32),
        fps: f64,
    ) -> Result<Self, SourceError> {
        let grey = vec![128; (GREY_SIZE.0 * GREY_SIZE.1) as usize];
        let device = Device::start(&path, wanted, size, fps)?;
        let mut camera = Self {
            path,
            wanted,
            size,
            fps,
            state: State::Away {
                tries: 0,
                retry: Instant::now(),
                grey: Pace::new(GREY_FPS),
            },
            grey,
            base: 0,
            last: 0,
        };
        camera.began(device);
        Ok(camera)
    }

    fn began(&mut self, device: Device) {
        let rate = device
            .fps
            .map_or("unknown rate".into(), |f| format!("{f:.1} fps"));
        tracing::info!(
            "{}: {} {}x{}, {rate}",
            self.path.display(),
            device.format,
            device.width,
            device.height
        );
        self.base = self.last + 1;
        self.state = State::Streaming {
            device,
            held: None,
            heard: Instant::now(),
            grey: Pace::new(GREY_FPS),
        };
    }

    fn lost(&mut self, why: Errno) {
        tracing::warn!(
            "{}: camera lost ({why}); looking for its return",
            self.path.display()
        );
        self.state = State::Away {
            tries: 0,
            retry: Instant::now(),
            grey: Pace::new(GREY_FPS),
        };
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
        match Device::start(&self.path, self.wanted, self.size, self.fps) {
            Ok(device) => self.began(device),
            Err(e) => tracing::debug!("{e}"),
        }
    }

    /// The newest full buffer; older ones go back unseen, which their sequence numbers tell.
    fn take(&mut self, wait: Duration) -> Result<Option<Filled>, Errno> {
        let State::Streaming {
            device,
            held,
            heard,
            ..
        } = &mut self.state
        else {
            return Ok(None);
        };
        if let Some(index) = held.take() {
            device.requeue(index)?;
        }
        let Some(mut newest) = device.wait(wait)? else {
            return Ok(None);
        };
        while let Some(newer) = device.dequeue()? {
            device.requeue(newest.index)?;
            newest = newer;
        }
        *held = Some(newest.index);
        *heard = Instant::now();
        Ok(Some(newest))
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
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        if matches!(self.state, State::Away { .. }) {
            self.try_again();
        }
        let filled = match self.take(wait) {
            Ok(Some(filled)) => filled,
            Ok(None) => {
                let silent = match &self.state {
                    State::Away { .. } => true,
                    State::Streaming { heard, .. } => heard.elapsed() > SILENCE,
                };
                return Ok(if silent {
                    self.grey_frame(wait)
                } else {
                    Event::Idle
                });
            }
            Err(e) => {
                self.lost(e);
                return Ok(Event::Idle);
            }
        };
        let t_dequeued = now_ns();
        self.last = self.base + u64::from(filled.sequence);
        let State::Streaming { device, .. } = &mut self.state else {
            return Ok(Event::Idle);
        };
        let (format, width, height, stride) =
            (device.format, device.width, device.height, device.stride);
        // A stamp from the future, or none: the moment we had it is the best there is.
        let stamp = filled.timestamp;
        let t_sensor = if stamp == 0 || stamp > t_dequeued {
            t_dequeued
        } else {
            stamp
        };
        Ok(Event::Frame(Frame {
            format,
            width,
            height,
            stride,
            bytes: device.bytes(&filled),
            driver_seq: self.last,
            t_sensor,
            t_dequeued,
            flags: if filled.damaged {
                FrameFlags::DRIVER_ERROR
            } else {
                0
            },
            truth: &[],
        }))
    }
}

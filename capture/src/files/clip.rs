//! A clip from a file or from standard input, whatever its kind.

use super::{Demux, Shape, Step, avi::Avi, mjpeg::Mjpeg, y4m::Y4m};
use crate::pace::Pace;
use crate::source::{Event, Frame, Source, SourceError};
use hanja_ring::now_ns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

const PORTION: usize = 256 << 10;

/// Plays a clip.
pub(crate) struct Clip {
    name: String,
    input: Input,
    demux: Box<dyn Demux>,
    repeat: bool,
    /// `None`: the clip's own rate; standard input is played as fast as it comes.
    wanted_fps: Option<f64>,
    pace: Option<Pace>,
    buffer: Vec<u8>,
    /// First byte not yet consumed.
    start: usize,
    skip: u64,
    eof: bool,
    /// The frame that is not due yet.
    ready: Option<(Range<usize>, usize, Shape)>,
    seq: u64,
    frames_this_round: u64,
    /// Bytes of this round that made no sense.
    lost_bytes: u64,
    /// Places without a picture before the next one.
    empty: u32,
}

enum Input {
    File(File),
    Stdin(std::io::Stdin),
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clip")
            .field("name", &self.name)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Clip {
    /// Opens a file; its first bytes tell its kind.
    pub(crate) fn open(path: &Path, fps: Option<f64>, repeat: bool) -> Result<Self, SourceError> {
        let fail = |source| SourceError::Read {
            path: path.to_owned(),
            source,
        };
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            let reason = "not a regular file; for a pipe use y4m:- and standard input".into();
            return Err(SourceError::Clip {
                what: path.display().to_string(),
                reason,
            });
        }
        let mut file = File::open(path).map_err(fail)?;
        let mut first = Vec::new();
        file.by_ref()
            .take(16)
            .read_to_end(&mut first)
            .map_err(fail)?;
        file.rewind().map_err(fail)?;
        let what = path.display().to_string();
        let demux = sniff(&first).ok_or_else(|| SourceError::Clip {
            what: what.clone(),
            reason: "not a Y4M, MJPEG or AVI-MJPEG clip; convert it with: ffmpeg -i CLIP -c:v mjpeg -q:v 3 clip.avi".into(),
        })?;
        Ok(Self::new(what, Input::File(file), demux, fps, repeat))
    }

    /// Y4M on standard input.
    pub(crate) fn stdin() -> Self {
        let input = Input::Stdin(std::io::stdin());
        Self::new(
            "standard input".into(),
            input,
            Box::<Y4m>::default(),
            None,
            false,
        )
    }

    fn new(
        name: String,
        input: Input,
        demux: Box<dyn Demux>,
        fps: Option<f64>,
        repeat: bool,
    ) -> Self {
        Self {
            name,
            input,
            demux,
            repeat,
            wanted_fps: fps,
            pace: None,
            buffer: Vec::new(),
            start: 0,
            skip: 0,
            eof: false,
            ready: None,
            seq: 0,
            frames_this_round: 0,
            lost_bytes: 0,
            empty: 0,
        }
    }

    fn error(&self, reason: String) -> SourceError {
        SourceError::Clip {
            what: self.name.clone(),
            reason,
        }
    }

    /// Reads until a frame is complete; `Ok(false)`: nothing came within `wait`.
    fn prepare(&mut self, wait: Duration) -> Result<bool, SourceError> {
        loop {
            let drop = self.skip.min((self.buffer.len() - self.start) as u64);
            self.start += drop as usize;
            self.skip -= drop;
            let step = if self.skip > 0 && !self.eof {
                Step::Need(1)
            } else {
                self.skip = 0;
                self.demux_step()?
            };
            match step {
                Step::Frame {
                    bytes,
                    consume,
                    picture,
                } => {
                    self.frames_this_round += 1;
                    self.ready = Some((bytes, consume, picture));
                    return Ok(true);
                }
                Step::Skip(n) => self.skip = n,
                Step::Lost(n) => {
                    self.skip = n;
                    self.lost_bytes += n;
                }
                Step::Empty(n) => {
                    self.skip = n;
                    self.empty += 1;
                }
                Step::End => return Ok(true),
                Step::Need(_) if self.eof => return Ok(true),
                Step::Need(_) => {
                    if !self.fill(wait)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// One step of the demultiplexer. Damage after good frames ends the clip there, with a warning: the frames before it
    /// were good, and playing it again would end the same way.
    fn demux_step(&mut self) -> Result<Step, SourceError> {
        match self.demux.step(&self.buffer[self.start..], self.eof) {
            Ok(step) => Ok(step),
            Err(reason) if self.frames_this_round > 0 => {
                tracing::warn!("{}: {reason}; played up to there", self.name);
                self.eof = true;
                Ok(Step::End)
            }
            Err(reason) => Err(self.error(reason)),
        }
    }

    /// Reads a portion; false: nothing came. Memory grows only by bytes that have arrived.
    fn fill(&mut self, wait: Duration) -> Result<bool, SourceError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + PORTION, 0);
        let got = match &mut self.input {
            Input::File(file) => file.read(&mut self.buffer[old..]),
            Input::Stdin(stdin) => {
                let mut fds = [PollFd::new(stdin, PollFlags::IN)];
                let timeout = Timespec {
                    tv_sec: 0,
                    tv_nsec: i64::from(wait.subsec_nanos()),
                };
                if !matches!(poll(&mut fds, Some(&timeout)), Ok(n) if n > 0) {
                    self.buffer.truncate(old);
                    return Ok(false);
                }
                // Past Rust's own buffer: poll does not know what is in it.
                rustix::io::read(stdin, &mut self.buffer[old..]).map_err(Into::into)
            }
        };
        let got = got
            .inspect_err(|_| self.buffer.truncate(old))
            .map_err(|e| self.error(e.to_string()))?;
        self.buffer.truncate(old + got);
        self.eof = got == 0;
        Ok(true)
    }

    /// Reports at the end of a round how much of the clip was part of no picture. What is true of the first round is true of
    /// the others.
    fn report_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost_bytes);
        if lost > 0 && self.seq == self.frames_this_round {
            tracing::warn!(
                "{}: {lost} bytes between its {} pictures were not understood; is it damaged?",
                self.name,
                self.frames_this_round
            );
        }
    }

    /// Starts again. False if that is not wanted, or there was no frame to repeat.
    fn rewind(&mut self) -> Result<bool, SourceError> {
        let Input::File(file) = &mut self.input else {
            return Ok(false);
        };
        if !self.repeat || self.frames_this_round == 0 {
            return Ok(false);
        }
        file.rewind().map_err(|e| SourceError::Clip {
            what: self.name.clone(),
            reason: e.to_string(),
        })?;
        let mut first = [0; 16];
        let got = file.read(&mut first).unwrap_or(0);
        file.rewind().map_err(|e| SourceError::Clip {
            what: self.name.clone(),
            reason: e.to_string(),
        })?;
        let Some(demux) = sniff(&first[..got]) else {
            return Ok(false);
        };
        self.demux = demux;
        (self.start, self.skip, self.eof, self.frames_this_round) = (0, 0, false, 0);
        self.buffer.clear();
        Ok(true)
    }
}

impl Source for Clip {
    fn next(&mut self, wait: Duration) -> Result<Event<'_>, SourceError> {
        if self.ready.is_none() {
            if !self.prepare(wait)? {
                return Ok(Event::Idle);
            }
            if self.ready.is_none() {
                self.report_lost();
                if self.rewind()? {
                    return Ok(Event::Idle);
                }
                if self.seq == 0 {
                    return Err(self.error("there is no frame in it".into()));
                }
                return Ok(Event::Ended);
            }
        }
        let due = match &self.input {
            Input::Stdin(_) => now_ns(),
            Input::File(_) => {
                let fps = self.wanted_fps.or(self.demux.fps()).unwrap_or(30.0);
                let pace = self.pace.get_or_insert_with(|| Pace::new(fps));
                pace.pass_over(std::mem::take(&mut self.empty));
                let Some(due) = pace.next_due(wait) else {
                    return Ok(Event::Idle);
                };
                due
            }
        };
        let Some((range, consume, shape)) = self.ready.take() else {
            return Ok(Event::Idle);
        };
        let from = self.start + range.start;
        self.skip = consume as u64;
        let bytes = &self.buffer[from..from + range.len()];
        self.seq += 1;
        Ok(Event::Frame(Frame {
            format: shape.format,
            width: shape.width,
            height: shape.height,
            stride: shape.format.min_stride(shape.width),
            bytes,
            driver_seq: self.seq - 1,
            t_sensor: due,
            t_dequeued: now_ns(),
            flags: 0,
            truth: &[],
        }))
    }
}

fn sniff(first: &[u8]) -> Option<Box<dyn Demux>> {
    if first.starts_with(b"YUV4MPEG2") {
        Some(Box::<Y4m>::default())
    } else if first.starts_with(b"\xff\xd8\xff") {
        Some(Box::<Mjpeg>::default())
    } else if first.starts_with(b"RIFF") && first.get(8..12) == Some(b"AVI ") {
        Some(Box::<Avi>::default())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(mut clip: Clip, most: usize) -> Result<Vec<u8>, SourceError> {
        let mut levels = Vec::new();
        for _ in 0..1000 {
            match clip.next(Duration::from_millis(20))? {
                Event::Frame(f) => levels.push(f.bytes[0]),
                Event::Idle => {}
                Event::Ended => break,
            }
            if levels.len() == most {
                break;
            }
        }
        Ok(levels)
    }

    fn write(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn once_or_for_ever() {
        let file = write(b"YUV4MPEG2 W2 H1 F500:1 Cmono\nFRAME\naaFRAME\nbb");
        assert_eq!(
            play(Clip::open(file.path(), None, false).unwrap(), 9).unwrap(),
            b"ab"
        );
        assert_eq!(
            play(Clip::open(file.path(), None, true).unwrap(), 5).unwrap(),
            b"ababa"
        );
    }

    #[test]
    fn a_damaged_end_is_an_end() {
        let file = write(b"YUV4MPEG2 W2 H1 F500:1 Cmono\nFRAME\naarubbish\n");
        assert_eq!(
            play(Clip::open(file.path(), None, false).unwrap(), 9).unwrap(),
            b"a"
        );
    }

    #[test]
    fn other_files_are_refused() {
        let file = write(b"\x00\x00\x00\x18ftypmp42");
        assert!(
            Clip::open(file.path(), None, false)
                .unwrap_err()
                .to_string()
                .contains("ffmpeg")
        );
        let file = write(b"YUV4MPEG2 W2 H1 Cmono\n");
        assert!(
            play(Clip::open(file.path(), None, true).unwrap(), 1)
                .unwrap_err()
                .to_string()
                .contains("no frame")
        );
    }
}

//! YUV4MPEG2, what `ffmpeg -f yuv4mpegpipe` writes: a text header, then `FRAME` lines with planes behind them.

use super::{Demux, MAX_FRAME, Shape, Step};
use hanja_record::PixelFormat;

const LONGEST_LINE: usize = 1024;
const REMEDY: &str = "make it with: ffmpeg -i CLIP -pix_fmt yuv420p -f yuv4mpegpipe clip.y4m";

#[derive(Debug, Default)]
pub(super) struct Y4m {
    header: Option<Header>,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    shape: Shape,
    frame_bytes: usize,
    fps: Option<f64>,
}

impl Demux for Y4m {
    fn step(&mut self, bytes: &[u8], eof: bool) -> Result<Step, String> {
        let end = bytes.iter().take(LONGEST_LINE).position(|b| *b == b'\n');
        let Some(end) = end else {
            if bytes.len() >= LONGEST_LINE {
                return Err(format!("not a Y4M stream; {REMEDY}"));
            }
            if eof && (self.header.is_none() || !bytes.is_empty()) {
                return Err(format!("the Y4M stream ends inside a header; {REMEDY}"));
            }
            return Ok(if eof {
                Step::End
            } else {
                Step::Need(bytes.len() + 1)
            });
        };
        let line = String::from_utf8_lossy(&bytes[..end]);
        let Some(header) = self.header else {
            self.header = Some(parse(&line)?);
            return Ok(Step::Skip(end as u64 + 1));
        };
        if line.split(' ').next() != Some("FRAME") {
            return Err("the Y4M stream is damaged: a frame does not begin with FRAME".into());
        }
        let (from, to) = (end + 1, end + 1 + header.frame_bytes);
        if bytes.len() < to {
            if eof {
                tracing::warn!("the last frame of the Y4M stream is cut short: left out");
            }
            return Ok(if eof { Step::End } else { Step::Need(to) });
        }
        Ok(Step::Frame {
            bytes: from..to,
            consume: to,
            picture: header.shape,
        })
    }

    fn fps(&self) -> Option<f64> {
        self.header.and_then(|h| h.fps)
    }
}

fn parse(line: &str) -> Result<Header, String> {
    let mut words = line.split(' ');
    if words.next() != Some("YUV4MPEG2") {
        return Err(format!("not a Y4M stream; {REMEDY}"));
    }
    let (mut width, mut height, mut fps, mut format) = (0, 0, None, PixelFormat::I420);
    for word in words.filter(|w| !w.is_empty()) {
        let mut chars = word.chars();
        let tag = chars.next();
        let value = chars.as_str();
        match tag {
            Some('W') => width = value.parse().unwrap_or(0),
            Some('H') => height = value.parse().unwrap_or(0),
            Some('F') => fps = rate(value),
            Some('C') => {
                format = match value {
                    "420" | "420jpeg" | "420mpeg2" | "420paldv" => PixelFormat::I420,
                    "mono" => PixelFormat::Grey,
                    other => {
                        return Err(format!(
                            "Y4M colour space {other} is not supported (C420 and Cmono are); {REMEDY}"
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    if !(1..=16384).contains(&width) || !(1..=16384).contains(&height) {
        return Err(format!(
            "the Y4M header gives no usable size ({width}x{height})"
        ));
    }
    let bytes = format.frame_bytes(format.min_stride(width), width, height);
    let frame_bytes = usize::try_from(bytes).ok().filter(|n| *n <= MAX_FRAME);
    let frame_bytes =
        frame_bytes.ok_or_else(|| format!("frames of {width}x{height} pixels are too large"))?;
    Ok(Header {
        shape: Shape {
            format,
            width,
            height,
        },
        frame_bytes,
        fps,
    })
}

fn rate(text: &str) -> Option<f64> {
    let (n, d) = text.split_once(':')?;
    let fps = n.parse::<f64>().ok()? / d.parse::<f64>().ok()?;
    (0.01..=1000.0).contains(&fps).then_some(fps)
}

#[cfg(test)]
mod tests {
    use super::super::demux;
    use super::*;

    fn clip(header: &str, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut all = format!("YUV4MPEG2 {header}\n").into_bytes();
        for f in frames {
            all.extend(b"FRAME Ip\n");
            all.extend(f);
        }
        all
    }

    #[test]
    fn frames_in_any_portions() {
        let frames = [vec![1; 12], vec![2; 12]];
        let bytes = clip("W4 H2 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG", &frames);
        for portion in [1, 7, 1000] {
            let got = demux(Y4m::default(), &bytes, portion).unwrap();
            assert_eq!(got.iter().map(|f| f.1.clone()).collect::<Vec<_>>(), frames);
            assert_eq!(
                got[0].0,
                Shape {
                    format: PixelFormat::I420,
                    width: 4,
                    height: 2
                }
            );
        }
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(
            demux(Y4m::default(), cut, 1000).unwrap().len(),
            1,
            "a cut last frame is left out"
        );
    }

    #[test]
    fn what_is_not_taken_is_said() {
        for (header, want) in [
            ("W4 H2 C444", "C420 and Cmono"),
            ("H2", "no usable size"),
            ("W99999 H2", "no usable size"),
            ("W16384 H16384", "too large"),
        ] {
            let e = demux(Y4m::default(), &clip(header, &[]), 1000).unwrap_err();
            assert!(e.contains(want), "{e}");
        }
        assert!(
            demux(Y4m::default(), b"RIFF....AVI \n", 100)
                .unwrap_err()
                .contains("not a Y4M")
        );
        let mut damaged = clip("W4 H2", &[vec![0; 12]]);
        damaged.extend(b"FARME\n");
        assert!(
            demux(Y4m::default(), &damaged, 100)
                .unwrap_err()
                .contains("damaged")
        );
    }
}

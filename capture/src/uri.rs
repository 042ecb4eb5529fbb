//! Source URIs: `scheme:path?key=value&key=value`. Unknown schemes and keys are refused with the nearest valid one.

use crate::synth::{FAULTS, Fault};
use hanja_record::PixelFormat;
use hanja_stage::config::nearest;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A source as the user asked for it, with defaults filled in.
///
/// ```
/// use hanja_capture::SourceUri;
///
/// let uri: SourceUri = "synth:?size=320x240&glyphs=2".parse()?;
/// assert!(matches!(uri, SourceUri::Synth { size: (320, 240), glyphs: 2, .. }));
/// # Ok::<(), hanja_capture::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum SourceUri {
    /// `v4l2:/dev/video0?size=640x480&fps=30&format=auto`, or `v4l2:auto?…`: the first camera, now or whenever there is
    /// one
    V4l2 {
        /// Device node, or `auto`.
        path: PathBuf,
        /// Wanted width and height in pixels.
        size: (u32, u32),
        /// Wanted frames per second.
        fps: f64,
        /// Wanted format; none: chosen from what is there.
        format: Option<PixelFormat>,
    },
    /// `dir:PATH?fps=30&loop=1`
    Dir {
        /// Directory of pictures.
        path: PathBuf,
        /// Pictures per second.
        fps: f64,
        /// From the start again after the last.
        repeat: bool,
    },
    /// `file:CLIP?fps=25&loop=0`
    File {
        /// Y4M, MJPEG or AVI file.
        path: PathBuf,
        /// Frames per second; none: the clip's own rate, else 30.
        fps: Option<f64>,
        /// From the start again after the end.
        repeat: bool,
    },
    /// `y4m:-`: YUV4MPEG2 on standard input, as fast as it comes.
    Stdin,
    /// `synth:?size=640x480&fps=30&seed=1&glyphs=3&format=YUYV&truth=0&fault=repeat@5-10`
    Synth {
        /// Width and height in pixels.
        size: (u32, u32),
        /// Frames per second.
        fps: f64,
        /// The same seed draws the same frames.
        seed: u64,
        /// Numerals at a time.
        glyphs: u32,
        /// YUYV, RGB3 or GREY.
        format: PixelFormat,
        /// Publish what is drawn where on the topic `truth`.
        truth: bool,
        /// The fault to simulate.
        fault: Option<Fault>,
    },
}

/// Why a URI is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum UriError {
    /// No such scheme.
    #[error("unknown source '{0}'{1}; use v4l2:/dev/video0, dir:PATH, file:CLIP, y4m:- or synth:")]
    Scheme(String, String),
    /// No such key.
    #[error("source {scheme}: has no option '{key}'{hint}; it has {known}")]
    Key {
        /// Scheme.
        scheme: &'static str,
        /// As written.
        key: String,
        /// Suggests the nearest valid one; may be empty.
        hint: String,
        /// All valid ones.
        known: String,
    },
    /// A value that cannot be.
    #[error("source option {key}={value} is not usable: {expected}")]
    Value {
        /// Key.
        key: &'static str,
        /// As written.
        value: String,
        /// What would be.
        expected: &'static str,
    },
    /// The path is missing.
    #[error("source {0}: needs a path, for example {1}")]
    Path(&'static str, &'static str),
}

const SCHEMES: [&str; 5] = ["v4l2", "dir", "file", "y4m", "synth"];

impl FromStr for SourceUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if let Some(uri) = shorthand(text) {
            return Ok(uri);
        }
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        let (path, query) = split_query(rest);
        match scheme {
            "v4l2" => v4l2(path, query),
            "dir" => {
                let path = need(path, "dir", "dir:pictures?fps=30&loop=1")?;
                let q = Query::new("dir", query, &["fps", "loop"])?;
                Ok(Self::Dir {
                    path,
                    fps: q.fps()?.unwrap_or(30.0),
                    repeat: q.flag("loop", true)?,
                })
            }
            "file" => {
                let path = need(path, "file", "file:clip.y4m")?;
                let q = Query::new("file", query, &["fps", "loop"])?;
                Ok(Self::File {
                    path,
                    fps: q.fps()?,
                    repeat: q.flag("loop", false)?,
                })
            }
            "y4m" if path == "-" => Query::new("y4m", query, &[]).map(|_| Self::Stdin),
            "y4m" => Err(UriError::Path(
                "y4m",
                "y4m:- for standard input, or file:clip.y4m",
            )),
            "synth" => synth(path, query),
            other => Err(UriError::Scheme(other.into(), hint(other, &SCHEMES))),
        }
    }
}

/// `/dev/video0`, a directory or a file that is there.
fn shorthand(text: &str) -> Option<SourceUri> {
    let path = Path::new(text);
    if text.starts_with("/dev/video") && !text.contains('?') {
        return v4l2(text, "").ok();
    }
    let known = text
        .split_once(':')
        .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
    if known || text.is_empty() {
        return None;
    }
    if path.is_dir() {
        return Some(SourceUri::Dir {
            path: path.into(),
            fps: 30.0,
            repeat: true,
        });
    }
    path.is_file().then(|| SourceUri::File {
        path: path.into(),
        fps: None,
        repeat: false,
    })
}

fn v4l2(path: &str, query: &str) -> Result<SourceUri, UriError> {
    let path = if path.is_empty() { "/dev/video0" } else { path };
    let q = Query::new("v4l2", query, &["size", "fps", "format"])?;
    let format = match q.get("format") {
        None | Some("auto") => None,
        Some(name) => Some(q.format(name)?),
    };
    Ok(SourceUri::V4l2 {
        path: path.into(),
        size: q.size()?,
        fps: q.fps()?.unwrap_or(30.0),
        format,
    })
}

fn synth(path: &str, query: &str) -> Result<SourceUri, UriError> {
    if !path.is_empty() {
        let value = path.to_owned();
        return Err(UriError::Value {
            key: "path",
            value,
            expected: "synth: takes options only, like synth:?glyphs=3",
        });
    }
    let q = Query::new(
        "synth",
        query,
        &["size", "fps", "seed", "glyphs", "format", "truth", "fault"],
    )?;
    let format = q
        .get("format")
        .map_or(Ok(PixelFormat::Yuyv), |name| q.format(name))?;
    if !matches!(
        format,
        PixelFormat::Yuyv | PixelFormat::Rgb3 | PixelFormat::Grey
    ) {
        return Err(q.bad("format", "synth: draws YUYV, RGB3 or GREY"));
    }
    let size = q.size()?;
    if size.0 < 64 || size.1 < 64 {
        return Err(q.bad("size", "synth: needs at least 64x64 pixels"));
    }
    Ok(SourceUri::Synth {
        size,
        fps: q.fps()?.unwrap_or(30.0),
        seed: q.number("seed", 1, 0..=u64::MAX, "a whole number")?,
        glyphs: q.number("glyphs", 3, 0..=24, "0 to 24")? as u32,
        format,
        truth: q.flag("truth", false)?,
        fault: q.fault()?,
    })
}

/// The query starts at the last `?` that is followed by `key=value`; a `?` in a file name is left alone.
fn split_query(rest: &str) -> (&str, &str) {
    match rest.rsplit_once('?') {
        Some((path, query)) if query.is_empty() || query.contains('=') => (path, query),
        _ => (rest, ""),
    }
}

fn need(path: &str, scheme: &'static str, example: &'static str) -> Result<PathBuf, UriError> {
    if path.is_empty() {
        Err(UriError::Path(scheme, example))
    } else {
        Ok(path.into())
    }
}

fn hint(wrong: &str, known: &[&'static str]) -> String {
    nearest(wrong, known.iter().copied())
        .map_or_else(String::new, |k| format!(", did you mean '{k}'?"))
}

struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn new(scheme: &'static str, text: &'a str, known: &[&'static str]) -> Result<Self, UriError> {
        let pairs = text.split('&').filter(|p| !p.is_empty());
        let pairs: Vec<_> = pairs
            .map(|p| p.split_once('=').unwrap_or((p, "")))
            .collect();
        match pairs.iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(Self(pairs)),
            Some((key, _)) => Err(UriError::Key {
                scheme,
                key: (*key).into(),
                hint: hint(key, known),
                known: if known.is_empty() {
                    "none".into()
                } else {
                    known.join(", ")
                },
            }),
        }
    }

    /// The last of several wins.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| *v)
    }

    fn bad(&self, key: &'static str, expected: &'static str) -> UriError {
        UriError::Value {
            key,
            value: self.get(key).unwrap_or_default().into(),
            expected,
        }
    }

    fn size(&self) -> Result<(u32, u32), UriError> {
        let Some(text) = self.get("size") else {
            return Ok((640, 480));
        };
        let parsed = text
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let good = |(w, h): &(u32, u32)| (16..=8192).contains(w) && (16..=8192).contains(h);
        parsed
            .filter(good)
            .ok_or_else(|| self.bad("size", "WIDTHxHEIGHT, 16 to 8192 each, like 640x480"))
    }

    fn fps(&self) -> Result<Option<f64>, UriError> {
        let Some(text) = self.get("fps") else {
            return Ok(None);
        };
        let fps = text
            .parse()
            .ok()
            .filter(|f: &f64| (0.01..=1000.0).contains(f));
        fps.map(Some).ok_or_else(|| self.bad("fps", "0.01 to 1000"))
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, UriError> {
        match self.get(key) {
            None => Ok(default),
            Some("1" | "true" | "yes" | "") => Ok(true),
            Some("0" | "false" | "no") => Ok(false),
            Some(_) => Err(self.bad(key, "0 or 1")),
        }
    }

    fn fault(&self) -> Result<Option<Fault>, UriError> {
        let fault = self.get("fault").map(str::parse).transpose();
        fault.map_err(|()| self.bad("fault", FAULTS))
    }

    fn number(
        &self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, UriError> {
        let Some(text) = self.get(key) else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.bad(key, expected))
    }

    fn format(&self, name: &str) -> Result<PixelFormat, UriError> {
        PixelFormat::from_name(name)
            .ok_or_else(|| self.bad("format", "YUYV, NV12, YU12, MJPG, GREY or RGB3"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<SourceUri, String> {
        text.parse::<SourceUri>().map_err(|e| e.to_string())
    }

    #[test]
    fn the_contract() {
        let v4l2 = SourceUri::V4l2 {
            path: "/dev/video0".into(),
            size: (640, 480),
            fps: 30.0,
            format: None,
        };
        assert_eq!(
            parse("v4l2:/dev/video0?size=640x480&fps=30&format=auto"),
            Ok(v4l2.clone())
        );
        assert_eq!(parse("v4l2:"), Ok(v4l2.clone()));
        assert_eq!(parse("/dev/video0"), Ok(v4l2));
        assert_eq!(
            parse("dir:/a/b?fps=5&loop=0"),
            Ok(SourceUri::Dir {
                path: "/a/b".into(),
                fps: 5.0,
                repeat: false
            })
        );
        assert_eq!(
            parse("file:who?.y4m"),
            Ok(SourceUri::File {
                path: "who?.y4m".into(),
                fps: None,
                repeat: false
            })
        );
        assert_eq!(parse("y4m:-"), Ok(SourceUri::Stdin));
        assert!(matches!(
            parse("synth:"),
            Ok(SourceUri::Synth {
                seed: 1,
                glyphs: 3,
                truth: false,
                ..
            })
        ));
        assert!(matches!(
            parse("synth:?size=320x240&truth=1"),
            Ok(SourceUri::Synth {
                size: (320, 240),
                truth: true,
                ..
            })
        ));
    }

    #[test]
    fn refusals_name_the_thing_and_the_remedy() {
        for (uri, want) in [
            ("v4l:/dev/video0", "did you mean 'v4l2'"),
            ("dir:x?fsp=3", "no option 'fsp', did you mean 'fps'"),
            ("synth:?size=big", "size=big is not usable: WIDTHxHEIGHT"),
            ("synth:?fps=0", "0.01 to 1000"),
            ("synth:?format=NV12", "YUYV, RGB3 or GREY"),
            (
                "synth:?fault=fire",
                "fault=fire is not usable: repeat, clock",
            ),
            ("v4l2:/dev/video0?format=H264", "YUYV, NV12"),
            ("dir:", "dir: needs a path"),
            ("y4m:clip", "standard input"),
            ("", "unknown source"),
        ] {
            let error = parse(uri).unwrap_err();
            assert!(error.contains(want), "{uri}: {error}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(text in ".{0,60}", query in "[a-z=&x0-9.]{0,30}") {
            let _ = parse(&text);
            let _ = parse(&format!("synth:?{query}"));
        }
    }
}

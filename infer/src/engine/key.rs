//! What an engine depends on. Two equal keys mean: the same engine will do.

use crate::preprocess::{Letterbox, Target};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Raised when this program begins to make different engines from the same input, or writes sidecars differently.
const CACHE_FORMAT: u32 = 1;

/// Longest part of a file name that comes from the model's name, characters.
const LONGEST_MODEL: usize = 40;

/// Everything an engine depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// [`CACHE_FORMAT`] of the program that built it.
    pub(super) format: u32,
    /// For people: the model's name without directories and ending. Keys are not compared by it, but by `model_sha256`.
    pub model: String,
    /// SHA-256 of the model's file as it was given, hexadecimal.
    pub model_sha256: String,
    /// The library that built it and must run it.
    pub library: LibraryKey,
    /// The device that runs it; `None`: built without a device (TensorRT-RTX compiles for it when it loads the engine).
    pub device: Option<DeviceKey>,
    /// Precision of weights and computation.
    pub precision: Precision,
    /// Shape of the input.
    pub shape: Shape,
    /// Whether the engine contains the model twice, for a second size of the picture.
    #[serde(default)]
    pub second_size: bool,
}

/// The library that builds and runs an engine. Engines fit one version exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryKey {
    /// `trt` or `rtx`.
    pub flavour: String,
    /// As the library says it, like `10.3.0`.
    pub version: String,
}

/// The device that an engine was tuned for. Its driver is no part of it: engines outlive driver updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKey {
    /// As the driver says it.
    pub name: String,
    /// Major and minor.
    pub compute_capability: (u32, u32),
}

/// Precision of weights and computation; input and output are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Half: what GPUs are made for.
    #[default]
    Fp16,
    /// Single: for comparison.
    Fp32,
}

impl Precision {
    /// `fp16` or `fp32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
        }
    }
}

/// A text that is no [`Precision`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no precision: use fp16 or fp32")]
pub struct NoPrecision(String);

impl FromStr for Precision {
    type Err = NoPrecision;

    fn from_str(text: &str) -> Result<Self, NoPrecision> {
        match text {
            "fp16" => Ok(Self::Fp16),
            "fp32" => Ok(Self::Fp32),
            _ => Err(NoPrecision(text.to_owned())),
        }
    }
}

/// Width and height of the model's input, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Shape {
    /// The input for a picture of `width` x `height`, letterboxed to the long side `size` as the stage does it.
    #[must_use]
    pub fn for_picture(width: u32, height: u32, size: u32) -> Self {
        let stride = 32;
        let size = size.next_multiple_of(stride);
        let target = Target::LongSide { size, stride };
        let letterbox = Letterbox::new(width.max(1) as usize, height.max(1) as usize, target);
        Self {
            width: letterbox.net_width as u32,
            height: letterbox.net_height as u32,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A text that is no [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no input shape: use WIDTHxHEIGHT, both multiples of 32 from 32 to 4096, like 416x320"
)]
pub struct NoShape(String);

impl FromStr for Shape {
    type Err = NoShape;

    fn from_str(text: &str) -> Result<Self, NoShape> {
        let side = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|n| n.is_multiple_of(32) && (32..=4096).contains(n))
        };
        text.split_once('x')
            .and_then(|(w, h)| Some((side(w)?, side(h)?)))
            .map(|(width, height)| Self { width, height })
            .ok_or_else(|| NoShape(text.to_owned()))
    }
}

impl Key {
    /// The key of an engine for a model's bytes, without a second size.
    #[must_use]
    pub fn new(
        model: &str,
        model_bytes: &[u8],
        library: LibraryKey,
        device: Option<DeviceKey>,
        precision: Precision,
        shape: Shape,
    ) -> Self {
        Self {
            format: CACHE_FORMAT,
            model: readable(model),
            model_sha256: sha256_hex(model_bytes),
            library,
            device,
            precision,
            shape,
            second_size: false,
        }
    }

    /// `hanja-n-416x320-fp16-trt10.3.0-sm87-0123456789abcdef.engine`: readable, with digits at the end that tell keys apart whose
    /// readable parts are the same.
    #[must_use]
    pub fn file_name(&self) -> String {
        let Self {
            model,
            library,
            precision,
            shape,
            ..
        } = self;
        let short = &self.digest()[..16];
        let precision = precision.name();
        let made_for = made_for(library, self.device.as_ref());
        format!(
            "{}-{shape}-{precision}-{made_for}-{short}.engine",
            readable(model)
        )
    }

    /// Name of the timing cache that builds of this library on this device share.
    #[must_use]
    pub fn timing_name(&self) -> String {
        let made_for = made_for(&self.library, self.device.as_ref());
        let device = self.device.as_ref().map_or("", |d| d.name.as_str());
        let short = &sha256_hex(device.as_bytes())[..16];
        format!("{made_for}-{short}.timing")
    }

    /// SHA-256 of everything that keys are compared by, hexadecimal.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let capability = self.device.as_ref().map(|d| d.compute_capability);
        let capability = format!("{capability:?}");
        let device = self.device.as_ref().map_or("", |d| d.name.as_str());
        let (format, shape) = (self.format.to_string(), self.shape.to_string());
        for part in [
            format.as_str(),
            &self.model_sha256,
            &self.library.flavour,
            &self.library.version,
            device,
            &capability,
            self.precision.name(),
            &shape,
        ]
        .into_iter()
        // Added only where there is one, so that engines from before second sizes keep their names.
        .chain(self.second_size.then_some("second size"))
        {
            // Each length comes first, so that no two lists of parts hash the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }

    /// Whether an engine with this key can be used where `other` is wanted: everything but the model's name is the same.
    #[must_use]
    pub fn serves(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }

    /// The first thing in which this key differs from `wanted`, as a message; `None`: nothing.
    #[must_use]
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        let device = |d: &Option<DeviceKey>| {
            d.as_ref().map_or_else(
                || "no device".into(),
                |d| {
                    format!(
                        "{} ({}.{})",
                        d.name, d.compute_capability.0, d.compute_capability.1
                    )
                },
            )
        };
        let sizes = |key: &Self| if key.second_size { "yes" } else { "no" };
        let library = |l: &LibraryKey| format!("{} {}", l.flavour, l.version);
        let parts = [
            (
                "cache format",
                self.format.to_string(),
                wanted.format.to_string(),
            ),
            (
                "model",
                self.model_sha256.clone(),
                wanted.model_sha256.clone(),
            ),
            ("library", library(&self.library), library(&wanted.library)),
            ("device", device(&self.device), device(&wanted.device)),
            (
                "precision",
                self.precision.name().into(),
                wanted.precision.name().into(),
            ),
            ("shape", self.shape.to_string(), wanted.shape.to_string()),
            ("second size", sizes(self).into(), sizes(wanted).into()),
        ];
        parts
            .into_iter()
            .find(|(_, has, wants)| has != wants)
            .map(|(what, has, wants)| format!("it was built for {what} {has}, not {wants}"))
    }
}

fn made_for(library: &LibraryKey, device: Option<&DeviceKey>) -> String {
    let (flavour, version) = (readable(&library.flavour), readable(&library.version));
    match device {
        Some(DeviceKey {
            compute_capability: (major, minor),
            ..
        }) => format!("{flavour}{version}-sm{major}{minor}"),
        None => format!("{flavour}{version}-any"),
    }
}

/// A name made fit for a file name: the last part of a path without its ending, in plain characters.
fn readable(name: &str) -> String {
    let last = name.rsplit(['/', ' ']).next().unwrap_or_default();
    let stem = last.strip_suffix(".onnx").unwrap_or(last);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '_'
        }
    };
    let text: String = stem.chars().take(LONGEST_MODEL).map(plain).collect();
    let text = text.trim_start_matches('.');
    if text.is_empty() { "model" } else { text }.to_owned()
}

/// SHA-256, hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

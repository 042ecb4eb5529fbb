//! Where frames come from, and the capture stage that puts them into the ring with one copy and no conversion.
//!
//! | module | idea |
//! |---|---|
//! | `uri` | what a user can ask for |
//! | `source` | the trait that all sources implement |
//! | `files` | directories of pictures, Y4M, MJPEG and AVI clips, standard input |
//! | `synth` | handwriting drawn live, with ground truth |
//! | `v4l2` | cameras |
//! | `freshness` | whether a source delivers the same frame again |
//! | `stage` | source to frames ring |

#![deny(unsafe_code)]

pub mod devices;
mod files;
mod freshness;
#[cfg(fuzzing)]
pub mod fuzzing;
mod pace;
mod source;
mod stage;
mod synth;
mod uri;
mod v4l2;

pub use source::{Patience, SourceError};
pub use stage::{CaptureError, run};
pub use synth::Fault;
pub use uri::{SourceUri, UriError};

/// What `auto` means to `hanja run` on this machine: a source URI, and the reason in words. The capture stage alone
/// waits for a camera instead.
#[must_use]
pub fn choose_source() -> (String, String) {
    match devices::list_devices().into_iter().find(|d| d.usable()) {
        Some(device) => {
            let uri = format!("v4l2:{}", device.path.display());
            (uri, format!("camera: {device}"))
        }
        None => (
            "synth:".into(),
            "no camera found: showing handwriting drawn live (synth:); plug a camera in, or name a source with --source".into(),
        ),
    }
}

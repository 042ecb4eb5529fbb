//! The sources of frames, and the capture stage that publishes them in the frames ring with one copy and no conversion.
//!
//! | module | idea |
//! |---|---|
//! | `uri` | source URIs, as a user writes them |
//! | `source` | the trait that all sources implement |
//! | `pace` | the schedule of sources without a rate of their own |
//! | `files` | directories of pictures, Y4M, MJPEG and AVI clips, standard input |
//! | `synth` | handwriting drawn live, with ground truth |
//! | `v4l2` | cameras |
//! | `freshness` | since when a source has delivered the same frame |
//! | `devices` | the cameras of this machine |
//! | `stage` | from a source to the frames ring |

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

/// The source that `hanja run` takes for `auto` on this machine: its URI, and the reason for people to read. Given `auto`,
/// the capture stage alone waits for a camera instead.
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

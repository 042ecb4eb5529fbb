//! The second, smaller input size of a picture: whether a model gets one, and which boxes count there.

use super::names;
use hanja_stage::config::InferConfig;

/// Share of the first input's long side from which a box of the second one counts. Smaller boxes are left to the first
/// input, which has ten times the pixels for them.
pub(crate) const LEAST_SECOND: f32 = 0.2;
/// Long side for the ten numerals, unless the configuration says otherwise.
const DEFAULT_SECOND: u32 = 128;

/// Long side of the second input that a configuration asks for, of a model with these class names; 0: none.
pub(crate) fn second(config: &InferConfig, names: Option<&[String]>) -> u32 {
    config.coarse_size.unwrap_or_else(|| {
        // Our own models have learned characters of every size. Beside a small first input a second one finds nothing more.
        let ours = names.is_some_and(names::are_the_numerals);
        if ours && 2 * DEFAULT_SECOND <= config.size {
            DEFAULT_SECOND
        } else {
            0
        }
    })
}

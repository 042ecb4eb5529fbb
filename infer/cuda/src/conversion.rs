//! How a picture's bytes become the model's input, in the form in which the kernel reads it.
//!
//! The numbers are computed elsewhere, once per geometry, by the same code that prepares the CPU's path. Here they are checked,
//! so that the kernel reads nothing outside of the picture and the tables, and laid out as 32-bit words: first the kernel's
//! `struct Geometry`, then the tables.

use crate::error::Error;

/// How three channels become RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Colour {
    /// They are RGB already.
    Rgb = 0,
    /// BT.601, 16 to 235: cameras and video files.
    Limited = 1,
    /// BT.601, 0 to 255: JPEG.
    Full = 2,
    /// The first channel for all three.
    Grey = 3,
}

/// Where the picture lies in the model's input, in pixels. The rest is grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Width of the input.
    pub net_width: usize,
    /// Height of the input.
    pub net_height: usize,
    /// Left edge of the picture in it.
    pub left: usize,
    /// Upper edge.
    pub top: usize,
    /// The picture's width in it.
    pub width: usize,
    /// The picture's height in it.
    pub height: usize,
}

/// Resampling weights along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// Weights per output position, at least 1.
    pub width: usize,
    /// The first input sample of every output position.
    pub first: &'a [u32],
    /// `width` weights for every output position.
    pub weights: &'a [f32],
}

/// One channel of the picture.
#[derive(Clone, Copy, Debug)]
pub struct ChannelSpec<'a> {
    /// Byte of its first sample.
    pub start: usize,
    /// Bytes from one line to the next.
    pub stride: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
    /// Lines it has.
    pub lines: usize,
    /// Samples a line.
    pub samples: usize,
    /// From its lines to the picture's.
    pub down: Axis<'a>,
    /// From its samples to the picture's columns.
    pub across: Axis<'a>,
}

/// Words of the kernel's `struct Geometry`.
pub(crate) const GEOMETRY_WORDS: usize = 38;
/// No input of a model is larger, either way.
const LARGEST_NET: usize = 1 << 14;

/// A checked conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    placement: Placement,
    words: Vec<u32>,
    needed: usize,
}

impl Conversion {
    /// Checks and lays out a conversion. For [`Colour::Grey`] only the first channel counts.
    ///
    /// # Errors
    /// Numbers that would lead outside of the tables or of a picture of 4 GiB.
    pub fn new(
        placement: Placement,
        colour: Colour,
        channels: [ChannelSpec<'_>; 3],
    ) -> Result<Self, Error> {
        let p = placement;
        let inside = |at: usize, len: usize, of: usize| {
            len > 0 && at.checked_add(len).is_some_and(|end| end <= of)
        };
        if p.net_width > LARGEST_NET
            || p.net_height > LARGEST_NET
            || !inside(p.left, p.width, p.net_width)
            || !inside(p.top, p.height, p.net_height)
        {
            return Err(Error::number(
                "a placement in the model's input",
                format!("{p:?}"),
            ));
        }
        let numbers = [
            p.net_width,
            p.net_height,
            p.left,
            p.top,
            p.width,
            p.height,
            colour as usize,
            0,
        ];
        let mut words: Vec<u32> = numbers.into_iter().map(|n| n as u32).collect(); // at most LARGEST_NET
        let (mut tables, mut needed) = (Tables::default(), 0);
        for (index, channel) in channels.iter().enumerate() {
            let channel = if colour == Colour::Grey {
                &channels[0]
            } else {
                channel
            };
            if index == 0 || colour != Colour::Grey {
                needed = needed.max(channel.check(&p)?);
            }
            let start = channel.start as u64;
            words.extend([
                start as u32,
                (start >> 32) as u32,
                channel.stride as u32,
                channel.step as u32,
            ]);
            words.extend(tables.add(channel.down));
            words.extend(tables.add(channel.across));
        }
        debug_assert_eq!(words.len(), GEOMETRY_WORDS);
        words.append(&mut tables.words);
        Ok(Self {
            placement,
            words,
            needed,
        })
    }

    /// Bytes that a picture must have.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Where the picture lies in the input.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Values of the tensor.
    #[must_use]
    pub fn tensor_len(&self) -> usize {
        3 * self.placement.net_width * self.placement.net_height
    }

    /// Geometry and tables, for the kernel.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }
}

impl ChannelSpec<'_> {
    /// Checks the channel; returns how many bytes the picture must have for it.
    fn check(&self, p: &Placement) -> Result<usize, Error> {
        self.down.check("rows", p.height, self.lines)?;
        self.across.check("columns", p.width, self.samples)?;
        let last = |count: usize, distance: usize| (count - 1).checked_mul(distance);
        let end = last(self.lines, self.stride)
            .zip(last(self.samples, self.step))
            .and_then(|(lines, samples)| {
                self.start
                    .checked_add(lines)?
                    .checked_add(samples)?
                    .checked_add(1)
            });
        // The end has to be below 4 GiB, because stride and step are 32 bits wide in the kernel.
        end.filter(|end| {
            u32::try_from(*end).is_ok() && u32::try_from(self.stride.max(self.step)).is_ok()
        })
        .ok_or_else(|| Error::number("a channel's place in the picture", format!("{self:?}")))
    }
}

impl Axis<'_> {
    fn check(&self, what: &'static str, output: usize, input: usize) -> Result<(), Error> {
        let weights = output.checked_mul(self.width);
        let fits = self.width > 0
            && self.width <= input
            && self.first.len() == output
            && weights == Some(self.weights.len())
            && self.first.iter().all(|f| *f as usize <= input - self.width);
        if fits {
            return Ok(());
        }
        let (width, first, weights) = (self.width, self.first.len(), self.weights.len());
        Err(Error::number(
            "resampling weights",
            format!(
                "{width} a position, {first} positions, {weights} in all for {input} to {output} {what}"
            ),
        ))
    }
}

/// The tables, each of them stored once: channels mostly share them.
#[derive(Default)]
struct Tables {
    words: Vec<u32>,
    known: Vec<[u32; 3]>,
}

impl Tables {
    /// Stores a table that has been checked, if it is not there yet; returns the kernel's `struct Taps` for it.
    fn add(&mut self, axis: Axis<'_>) -> [u32; 3] {
        let words = || {
            axis.first
                .iter()
                .copied()
                .chain(axis.weights.iter().map(|w| w.to_bits()))
        };
        let len = axis.first.len() + axis.weights.len();
        let same = |[width, first, _]: &&[u32; 3]| {
            let there = self.words[*first as usize..].iter().copied().take(len);
            *width as usize == axis.width && there.eq(words())
        };
        if let Some(known) = self.known.iter().find(same) {
            return *known;
        }
        let first = self.words.len();
        self.words.extend(words());
        let taps = [axis.width, first, first + axis.first.len()].map(|n| n as u32);
        self.known.push(taps);
        taps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: [u32; 4] = [0, 1, 2, 3];
    const ONES: [f32; 4] = [1.0; 4];
    const P: Placement = Placement {
        net_width: 8,
        net_height: 8,
        left: 2,
        top: 2,
        width: 4,
        height: 4,
    };

    fn channel() -> ChannelSpec<'static> {
        let axis = Axis {
            width: 1,
            first: &FIRST,
            weights: &ONES,
        };
        ChannelSpec {
            start: 0,
            stride: 4,
            step: 1,
            lines: 4,
            samples: 4,
            down: axis,
            across: axis,
        }
    }

    #[test]
    fn tables_are_shared_and_bytes_counted() {
        let conversion = Conversion::new(P, Colour::Rgb, [channel(); 3]).unwrap();
        assert_eq!(conversion.words().len(), GEOMETRY_WORDS + 8);
        assert_eq!((conversion.needed(), conversion.tensor_len()), (16, 192));
        let low = ChannelSpec {
            start: 100,
            ..channel()
        };
        let conversion = Conversion::new(P, Colour::Full, [channel(), low, channel()]).unwrap();
        assert_eq!(conversion.needed(), 116);
        let conversion = Conversion::new(P, Colour::Grey, [channel(), low, low]).unwrap();
        assert_eq!(conversion.needed(), 16);
    }

    #[test]
    fn what_leads_outside_is_refused() {
        let placements = [
            Placement { left: 5, ..P },
            Placement { width: 0, ..P },
            Placement {
                top: usize::MAX,
                ..P
            },
            Placement {
                net_width: 1 << 15,
                ..P
            },
        ];
        for p in placements {
            assert!(
                Conversion::new(p, Colour::Rgb, [channel(); 3]).is_err(),
                "{p:?}"
            );
        }
        let c = channel();
        let far: [u32; 4] = [0, 1, 2, 4];
        let axis = |width, first, weights| Axis {
            width,
            first,
            weights,
        };
        let channels = [
            ChannelSpec { samples: 3, ..c },
            ChannelSpec { lines: 0, ..c },
            ChannelSpec {
                start: usize::MAX,
                ..c
            },
            ChannelSpec {
                stride: usize::MAX,
                ..c
            },
            ChannelSpec {
                stride: 1 << 31,
                ..c
            },
            ChannelSpec {
                down: axis(1, &far, &ONES),
                ..c
            },
            ChannelSpec {
                down: axis(0, &FIRST, &[]),
                ..c
            },
            ChannelSpec {
                across: axis(1, &FIRST[..3], &ONES),
                ..c
            },
            ChannelSpec {
                across: axis(usize::MAX, &FIRST, &ONES),
                ..c
            },
            ChannelSpec {
                across: axis(2, &FIRST, &ONES),
                ..c
            },
        ];
        for bad in channels {
            for at in 0..3 {
                let mut all = [c; 3];
                all[at] = bad;
                assert!(Conversion::new(P, Colour::Rgb, all).is_err(), "{bad:?}");
            }
        }
    }
}

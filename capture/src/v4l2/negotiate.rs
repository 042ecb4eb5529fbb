//! Chooses from what a camera offers. Pure functions over tables, so that cameras which nobody here owns can be tested.

use hanja_record::PixelFormat;

/// Sizes a format comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// Exactly this.
    Discrete(u32, u32),
    /// From min to max by step, width and height: (min, max, step).
    Stepwise([u32; 3], [u32; 3]),
}

/// One format of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) format: PixelFormat,
    pub(crate) sizes: Vec<Sizes>,
}

/// Up to this many pixels, uncompressed pictures fit through USB 2 at 30 fps and spare infer the JPEG decoder.
const RAW_UP_TO: u64 = 640 * 480;

/// Picks format and size. `wanted` none: YUYV for small pictures, MJPG for large ones, then whatever is there.
pub(crate) fn choose(
    offers: &[Offer],
    wanted: Option<PixelFormat>,
    size: (u32, u32),
) -> Option<(PixelFormat, (u32, u32))> {
    use PixelFormat::{Grey, I420, Mjpg, Nv12, Rgb3, Yuyv};
    let small = u64::from(size.0) * u64::from(size.1) <= RAW_UP_TO;
    let order: &[PixelFormat] = match (&wanted, small) {
        (Some(one), _) => std::slice::from_ref(one),
        (None, true) => &[Yuyv, Nv12, I420, Mjpg, Rgb3, Grey],
        (None, false) => &[Mjpg, Nv12, Yuyv, I420, Rgb3, Grey],
    };
    let offers = order
        .iter()
        .filter_map(|f| offers.iter().find(|o| o.format == *f));
    // A format that has exactly this size beats a preferred one that has not.
    let exact = offers
        .clone()
        .find(|o| nearest(&o.sizes, size) == Some(size));
    let offer = exact.or_else(|| offers.clone().next())?;
    // No sizes listed (some drivers): ask for what is wanted, the driver adjusts it.
    Some((offer.format, nearest(&offer.sizes, size).unwrap_or(size)))
}

/// The offered size closest to the wanted one.
pub(crate) fn nearest(sizes: &[Sizes], wanted: (u32, u32)) -> Option<(u32, u32)> {
    let clamp = |[min, max, step]: [u32; 3], want: u32| {
        let inside = want.clamp(min, max.max(min));
        min + (inside - min) / step.max(1) * step.max(1)
    };
    let distance = |(w, h): (u32, u32)| w.abs_diff(wanted.0) + h.abs_diff(wanted.1);
    sizes
        .iter()
        .map(|s| match *s {
            Sizes::Discrete(w, h) => (w, h),
            Sizes::Stepwise(w, h) => (clamp(w, wanted.0), clamp(h, wanted.1)),
        })
        .min_by_key(|s| distance(*s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PixelFormat::{Grey, Mjpg, Rgb3, Yuyv};

    fn uvc() -> Vec<Offer> {
        let sizes = |all: &[(u32, u32)]| all.iter().map(|(w, h)| Sizes::Discrete(*w, *h)).collect();
        vec![
            Offer {
                format: Mjpg,
                sizes: sizes(&[(1920, 1080), (1280, 720), (640, 480)]),
            },
            Offer {
                format: Yuyv,
                sizes: sizes(&[(640, 480), (320, 240)]),
            },
        ]
    }

    #[test]
    fn a_usb_camera() {
        assert_eq!(choose(&uvc(), None, (640, 480)), Some((Yuyv, (640, 480))));
        assert_eq!(choose(&uvc(), None, (1280, 720)), Some((Mjpg, (1280, 720))));
        assert_eq!(
            choose(&uvc(), Some(Mjpg), (640, 480)),
            Some((Mjpg, (640, 480)))
        );
        assert_eq!(
            choose(&uvc(), Some(Yuyv), (1920, 1080)),
            Some((Yuyv, (640, 480)))
        );
        assert_eq!(choose(&uvc(), Some(Grey), (640, 480)), None);
        assert_eq!(
            choose(&uvc(), None, (1900, 1000)),
            Some((Mjpg, (1920, 1080)))
        );
    }

    #[test]
    fn a_driver_with_steps() {
        let sizes = vec![Sizes::Stepwise([16, 16384, 2], [16, 8640, 2])];
        let vivid = [
            Offer {
                format: Yuyv,
                sizes: sizes.clone(),
            },
            Offer {
                format: Rgb3,
                sizes,
            },
        ];
        assert_eq!(choose(&vivid, None, (640, 480)), Some((Yuyv, (640, 480))));
        assert_eq!(choose(&vivid, None, (641, 481)), Some((Yuyv, (640, 480))));
        assert_eq!(
            choose(&vivid, Some(Rgb3), (8, 99_999)),
            Some((Rgb3, (16, 8640)))
        );
    }

    #[test]
    fn broken_tables_are_survived() {
        let zero = [Offer {
            format: Yuyv,
            sizes: vec![Sizes::Stepwise([0, 0, 0], [9, 3, 0])],
        }];
        assert!(choose(&zero, None, (640, 480)).is_some());
        let none = [Offer {
            format: Yuyv,
            sizes: vec![],
        }];
        assert_eq!(choose(&none, None, (640, 480)), Some((Yuyv, (640, 480))));
        assert_eq!(choose(&[], None, (640, 480)), None);
    }
}

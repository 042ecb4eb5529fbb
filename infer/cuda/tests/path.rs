//! The frame path over a fake driver that computes the true answer: every kind of device, and what goes wrong in it.

#![allow(clippy::unwrap_used)]

mod support;

use hanja_cuda::{Conversion, Device, Error, FilterSpec, FramePath, Graphs, Source};
use hanja_cuda_fake::Driver::{Cuda10_2, Current};
use hanja_cuda_fake::in_child;
use std::io;
use std::sync::Arc;
use support::{Rig, count, model, picture, spec};

#[test]
fn each_frame_gets_its_own_answer() {
    let kinds = [
        "",
        "lazy",
        "lazy,late:2",
        "discrete",
        "lazy,discrete",
        "lazy,discrete,no-map",
        "lazy,no-read-only",
    ];
    for modes in kinds {
        let calls = in_child("each_frame_gets_its_own_answer", Current, modes, || {
            for registered in [false, true] {
                let device = Device::probe().unwrap();
                let mut rig = Rig::new(&device, registered).unwrap();
                rig.play(0..9, 20).unwrap();
                assert_eq!(*rig.path.graphs(), Graphs::On);
            }
        });
        let Some(calls) = calls else { return };
        assert_eq!(
            count(&calls, "cuMemHostRegister_v2"),
            1,
            "once for all frames"
        );
        assert_eq!(count(&calls, "cuMemHostUnregister"), 1);
        // The first frame of each set of two warms up.
        assert_eq!(count(&calls, "cuGraphLaunch"), 2 * 7, "{modes}");
        assert_eq!(count(&calls, "cuGraphInstantiateWithFlags"), 4);
        assert_eq!(
            count(&calls, "cuLaunchHostFunc"),
            2 * 4,
            "two plain, two recorded"
        );
    }
}

#[test]
fn a_driver_of_cuda_10_2_needs_no_graphs() {
    let calls = in_child(
        "a_driver_of_cuda_10_2_needs_no_graphs",
        Cuda10_2,
        "lazy,no-register,capability:53",
        || {
            let device = Device::probe().unwrap();
            assert_eq!(device.facts().driver, (10, 2));
            let mut rig = Rig::new(&device, false).unwrap();
            assert!(matches!(rig.path.graphs(), Graphs::Off(why) if why.contains("11.4")));
            rig.play(0..5, 20).unwrap();
            fill_and_check(&mut rig);
        },
    );
    let Some(calls) = calls else { return };
    assert!(
        !calls
            .iter()
            .any(|c| c.contains("Graph") || c.contains("Capture"))
    );
    assert_eq!(count(&calls, "cuMemHostRegister_v2"), 0);
}

/// Frames whose tensor the CPU makes.
fn fill_and_check(rig: &mut Rig) {
    for n in 0..5 {
        let picture = picture(n, 10);
        let fill = |tensor: &mut [f32]| {
            for (value, pixel) in tensor.iter_mut().zip(picture.iter().cycle()) {
                *value = f32::from(*pixel) * (1.0 / 255.0);
            }
        };
        rig.path.submit_filled(fill, model).unwrap();
        assert_eq!(rig.path.wait().unwrap(), Some(support::answer(&picture)));
    }
}

#[test]
fn the_cpu_can_make_the_tensor() {
    for modes in ["lazy", "lazy,discrete", "no-map"] {
        let calls = in_child("the_cpu_can_make_the_tensor", Current, modes, || {
            let device = Device::probe().unwrap();
            let mut rig = Rig::new(&device, false).unwrap();
            fill_and_check(&mut rig);
            // Both ways with the same sets: a graph is for one address of the tensor.
            rig.play(0..5, 20).unwrap();
            fill_and_check(&mut rig);
        });
        let Some(calls) = calls else { return };
        let copies = count(&calls, "cuMemcpyHtoDAsync_v2");
        // One table a set; on an integrated device that maps, no tensor and no frame.
        assert_eq!(copies == 2, modes == "lazy", "{modes}: {copies}");
    }
}

#[test]
fn many_candidates_come_whole() {
    let calls = in_child("many_candidates_come_whole", Current, "lazy", || {
        let device = Device::probe().unwrap();
        let mut rig = Rig::new(&device, true).unwrap();
        rig.play(0..5, 1).unwrap(); // every pixel is bright: 1024 of 511
        let few = hanja_cuda::Spec {
            most: 100,
            ..spec()
        };
        rig.path = FramePath::new(&device, few).unwrap();
        let picture = picture(3, 1);
        rig.submit(3, &picture).unwrap();
        let found = rig.path.wait().unwrap().unwrap();
        assert_eq!((found.total, found.list.len()), (1024, 100));
        assert_eq!(found.list, support::answer(&picture).list[..100]);
    });
    let Some(calls) = calls else { return };
    assert_eq!(
        count(&calls, "cuMemcpyDtoHAsync_v2"),
        4 + 5 + 2,
        "plain and recorded; the rest; the last one's"
    );
}

#[test]
fn a_failure_in_mid_stream_costs_the_frames_under_way() {
    let failures = [
        "fail:cuLaunchKernel:5:701",
        "fail:cuEventSynchronize:3:2",
        "fail:cuEventQuery:2:2",
        "fail:cuEventRecord:4:2",
        "fail:cuStreamWaitEvent:2:2",
        "fail:cuMemcpyDtoHAsync_v2:2:2",
        "fail:cuMemsetD32Async:1:2",
        "fail:cuGraphLaunch:1:2",
        "fail:cuLaunchHostFunc:1:2",
    ];
    for failure in failures {
        let modes = format!("lazy,{failure}");
        let calls = in_child(
            "a_failure_in_mid_stream_costs_the_frames_under_way",
            Current,
            &modes,
            || {
                let device = Device::probe().unwrap();
                let mut rig = Rig::new(&device, true).unwrap();
                let error = rig.play(0..8, 20).unwrap_err();
                assert!(!error.is_fatal(), "{error}");
                assert_eq!(
                    (rig.path.under_way(), rig.slots.held()),
                    (0, 0),
                    "let go of everything"
                );
                rig.play(8..16, 20).unwrap();
            },
        );
        if calls.is_none() {
            return;
        }
    }
}

#[test]
fn a_lost_device_is_an_error_wherever_it_happens() {
    // From the first call of all to the last frame's end.
    for nth in (1..130).step_by(6) {
        let modes = format!("lost:{nth}");
        let calls = in_child(
            "a_lost_device_is_an_error_wherever_it_happens",
            Current,
            &modes,
            || {
                let Ok(device) = Device::probe() else { return };
                let Ok(mut rig) = new_rig(&device) else {
                    return;
                };
                let error = rig.play(0..8, 20).unwrap_err();
                assert!(error.is_fatal(), "{error}");
                assert!(
                    error.to_string().contains("719") && error.to_string().contains("start again"),
                    "{error}"
                );
                assert_eq!((rig.path.under_way(), rig.slots.held()), (0, 0));
                assert!(rig.play(0..2, 20).unwrap_err().is_fatal());
                assert_eq!(rig.slots.held(), 0);
            },
        );
        let Some(calls) = calls else { return };
        assert!(calls.len() >= nth, "the test goes as far as {nth}");
    }
}

/// A rig, or the fatal error.
fn new_rig(device: &Device) -> Result<Rig, ()> {
    match Rig::new(device, false) {
        Ok(rig) => Ok(rig),
        Err(e) => {
            assert!(e.is_fatal(), "{e}");
            Err(())
        }
    }
}

#[test]
fn what_cannot_be_recorded_runs_all_the_same() {
    for modes in [
        "lazy,no-capture",
        "lazy,fail:cuGraphInstantiateWithFlags:1:2",
        "lazy,fail:cuLaunchKernel:6:701",
        "lazy,fail:cuStreamBeginCapture_v2:1:801",
    ] {
        let calls = in_child(
            "what_cannot_be_recorded_runs_all_the_same",
            Current,
            modes,
            || {
                let device = Device::probe().unwrap();
                let mut rig = Rig::new(&device, true).unwrap();
                rig.play(0..8, 20).unwrap();
                assert!(
                    matches!(rig.path.graphs(), Graphs::Off(why) if why.starts_with("cu")),
                    "{:?}",
                    rig.path.graphs()
                );
            },
        );
        let Some(calls) = calls else { return };
        assert_eq!(count(&calls, "cuGraphLaunch"), 0);
    }
}

#[test]
fn an_engine_that_fails_is_quoted() {
    in_child("an_engine_that_fails_is_quoted", Current, "lazy", || {
        let device = Device::probe().unwrap();
        let mut rig = Rig::new(&device, false).unwrap();
        let image = picture(0, 20);
        let mut calls = 0;
        let mut engine = |work| {
            calls += 1;
            // The third is the first that is recorded.
            if calls == 3 {
                Err(io::Error::other("not while recording"))
            } else {
                model(work)
            }
        };
        for _ in 0..4 {
            rig.path
                .submit_frame(Source::Host(&image), &rig.conversion, (), &mut engine)
                .unwrap();
            assert_eq!(rig.path.wait().unwrap(), Some(support::answer(&image)));
        }
        assert!(
            matches!(rig.path.graphs(), Graphs::Off(why) if why.contains("not while recording"))
        );
        let broken = |_| Err(io::Error::other("out of weights"));
        let error = rig
            .path
            .submit_frame(Source::Host(&image), &rig.conversion, (), broken)
            .unwrap_err();
        assert_eq!(error.to_string(), "the engine: out of weights");
        rig.play(0..3, 20).unwrap();
    });
}

#[test]
fn wrong_numbers_are_refused() {
    in_child("wrong_numbers_are_refused", Current, "", || {
        let device = Device::probe().unwrap();
        let good = spec();
        let output = |change: fn(&mut FilterSpec)| {
            let mut spec = good;
            change(&mut spec.output);
            spec
        };
        let bad = [
            hanja_cuda::Spec {
                input: (0, 32),
                ..good
            },
            hanja_cuda::Spec {
                input: (1 << 20, 32),
                ..good
            },
            output(|o| o.rows = 0),
            output(|o| o.columns = 5),
            output(|o| o.columns = 1 << 17),
            output(|o| o.conf = f32::NAN),
        ];
        for spec in bad {
            assert!(
                matches!(FramePath::new(&device, spec), Err(Error::Number { .. })),
                "{spec:?}"
            );
        }
        let mut rig = Rig::new(&device, true).unwrap();
        let (image, conversion) = (picture(0, 20), Arc::clone(&rig.conversion));
        let mut submit = |bytes: &[u8], c: &Arc<Conversion>| {
            rig.path.submit_frame(Source::Host(bytes), c, (), model)
        };
        assert!(matches!(
            submit(&image[1..], &conversion),
            Err(Error::Size {
                needed: 1024,
                got: 1023,
                ..
            })
        ));
        submit(&image, &conversion).unwrap();
        submit(&image, &conversion).unwrap();
        assert!(matches!(submit(&image, &conversion), Err(Error::Busy)));
        // A mistake of the caller, which the two do not suffer for.
        assert_eq!(rig.path.under_way(), 2);
        let outside = rig.registration.as_ref().unwrap().place(&image);
        assert!(outside.is_none());
        let mut half = FramePath::new(&device, hanja_cuda::Spec { half: true, ..good }).unwrap();
        assert!(matches!(
            half.submit_filled(|_| (), model),
            Err(Error::Number { .. })
        ));
    });
}

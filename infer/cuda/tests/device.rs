//! Finding a GPU or saying why not; registering memory; events and graphs by themselves.

#![allow(clippy::unwrap_used)]

use hanja_cuda::{
    CaptureError, Device, DeviceBuffer, Error, Event, Graph, Kernels, PinnedBuffer, Refusal,
};
use hanja_cuda::{Registration, Stream, Unavailable};
use hanja_cuda_fake::Driver::{Cuda10_2, Current};
use hanja_cuda_fake::in_child;
use hanja_record::{StageName, Topic};
use hanja_ring::{Geometry, Stamp};
use hanja_stage::Stage;
use std::time::Duration;

#[test]
fn without_a_driver_it_says_so() {
    match Device::probe() {
        Err(why) => assert!(!why.to_string().is_empty()),
        Ok(device) => assert!(device.facts().capability >= (5, 3), "a machine with a GPU"),
    }
    // The child has a loader path of its own, but no driver in it.
    if std::env::var("HANJA_TEST_NO_DRIVER").is_ok() {
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("libcuda.so"), "not a library").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["without_a_driver_it_says_so", "--exact"])
        .env("LD_LIBRARY_PATH", empty.path())
        .env("HANJA_TEST_NO_DRIVER", "1")
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
}

#[test]
fn reasons_are_given() {
    let cases = [
        ("no-device", "no GPU"),
        ("driver:9020", "for CUDA 9.2; 10.2 or newer"),
        ("capability:52", "compute capability 5.2; 5.3 or newer"),
        ("fail:cuInit:1:999", "cuInit"),
        ("fail:cuDevicePrimaryCtxRetain:1:2", "out of memory"),
        ("fail:cuCtxSetCurrent:1:201", "invalid device context"),
    ];
    for (modes, message) in cases {
        let calls = in_child("reasons_are_given", Current, modes, || {
            let why = Device::probe().unwrap_err();
            let modes = std::env::var("HANJA_FAKE_CUDA").unwrap();
            if modes == "no-device" {
                assert_eq!(why, Unavailable::NoDevice);
            }
            println!("why: {why}");
            let message = cases.iter().find(|c| c.0 == modes).unwrap().1;
            assert!(why.to_string().contains(message), "{why}");
        });
        if calls.is_none() {
            return;
        }
        assert!(!message.is_empty());
    }
}

#[test]
fn facts_are_the_drivers() {
    let calls = in_child(
        "facts_are_the_drivers",
        Current,
        "discrete,capability:87,driver:11040,no-read-only",
        || {
            let device = Device::probe().unwrap();
            let facts = device.facts();
            assert_eq!(
                facts.to_string(),
                "Fake GPU (sm_87, discrete, driver for CUDA 11.4)"
            );
            assert!(
                facts.can_register
                    && facts.can_map
                    && !facts.can_register_read_only
                    && !facts.integrated
            );
            // Found again as often as one likes, on any thread.
            std::thread::spawn(move || {
                device.bind_to_thread().unwrap();
                Device::probe().unwrap();
            })
            .join()
            .unwrap();
        },
    );
    let Some(calls) = calls else { return };
    assert!(
        !calls.iter().any(|c| c.contains("Release")),
        "the primary context stays"
    );
}

#[test]
fn a_refusal_to_register_is_an_answer() {
    for (driver, modes) in [
        (Current, "no-register"),
        (Current, "refuse-register"),
        (Cuda10_2, "no-register"),
    ] {
        let calls = in_child("a_refusal_to_register_is_an_answer", driver, modes, || {
            let device = Device::probe().unwrap();
            let memory = vec![0u8; 8192];
            let start = memory.as_ptr();
            // SAFETY: the vector is the holder, and does not move its memory.
            let refusal = unsafe { Registration::new(&device, start, 8192, memory) }.unwrap_err();
            match refusal {
                Refusal::Device(name) => {
                    assert!(name == "Fake GPU" && !device.facts().can_register)
                }
                Refusal::Driver(why) => assert!(
                    why.contains("operation not supported (CUDA error 801)"),
                    "{why}"
                ),
            }
            // The device works on.
            Stream::new(&device).unwrap().synchronize().unwrap();
        });
        let Some(calls) = calls else { return };
        let asked = calls.iter().any(|c| c == "cuMemHostRegister_v2");
        assert_eq!(asked, modes == "refuse-register");
        assert!(!calls.iter().any(|c| c == "cuMemHostUnregister"));
    }
}

/// Says in the trace when it goes.
struct Holder;

impl Drop for Holder {
    fn drop(&mut self) {
        use std::io::Write as _;
        let path = std::env::var("HANJA_FAKE_CUDA_TRACE").unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(file, "holder gone").unwrap();
    }
}

#[test]
fn memory_is_let_go_after_its_registration() {
    let calls = in_child(
        "memory_is_let_go_after_its_registration",
        Current,
        "",
        || {
            let device = Device::probe().unwrap();
            let memory: &'static [u8] = vec![7; 100].leak();
            // SAFETY: leaked.
            let registration =
                unsafe { Registration::new(&device, memory.as_ptr(), 100, Holder) }.unwrap();
            let place = registration.clone().place(&memory[10..30]).unwrap();
            assert_eq!((place.len(), place.as_ptr()), (20, memory[10..].as_ptr()));
            assert!(
                registration
                    .place(&memory[..0])
                    .is_some_and(|p| p.is_empty())
            );
            drop(registration);
            println!("{place:?}");
            drop(place);
        },
    );
    let Some(calls) = calls else { return };
    let at = |name| calls.iter().position(|c| c == name).unwrap();
    assert!(at("cuMemHostRegister_v2") < at("cuMemHostUnregister"));
    assert!(at("cuMemHostUnregister") < at("holder gone"));
}

#[test]
fn a_ring_is_registered_by_its_lease() {
    let calls = in_child("a_ring_is_registered_by_its_lease", Current, "lazy", || {
        let device = Device::probe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
        let geometry = Geometry {
            slots: 4,
            meta_len: 16,
            payload_capacity: 4096,
        };
        let mut publisher = stage.publisher(Topic::Frames, geometry).unwrap();
        let meta = |stamp: Stamp| [stamp.generation, stamp.seq];
        let mut subscriber = Topic::Frames.lease(dir.path(), StageName::Capture, 2);
        let mut ring = None;
        for n in 1..6u8 {
            publisher.publish(&[&[n; 4096]], meta).unwrap().unwrap();
            let lease = subscriber.newest(Duration::from_secs(5)).unwrap();
            let ring = ring
                .get_or_insert_with(|| Registration::of_ring(&device, lease.mapping()).unwrap());
            let place = ring.place(lease.payload()).unwrap();
            assert_eq!(
                place.address(),
                Some(lease.payload().as_ptr().addr() as u64)
            );
            let stream = Stream::new(&device).unwrap();
            let (there, back) = (
                DeviceBuffer::new(&device, 4096).unwrap(),
                PinnedBuffer::<u8>::new(&device, 4096).unwrap(),
            );
            // SAFETY: registered memory; waited for before lease and buffers go.
            unsafe {
                there.copy_from(place.as_ptr(), 4096, &stream).unwrap();
                there.copy_to(&back, 0, 4096, &stream).unwrap();
            }
            assert_eq!(back.as_slice(), [0; 4096], "lazy");
            stream.synchronize().unwrap();
            assert_eq!(back.as_slice(), [n; 4096]);
            // SAFETY: as above; neither is done, being too long.
            unsafe {
                assert!(matches!(
                    there.copy_from(place.as_ptr(), 4097, &stream),
                    Err(Error::Size { .. })
                ));
                assert!(matches!(
                    there.copy_to(&back, 4000, 97, &stream),
                    Err(Error::Size { .. })
                ));
                assert!(matches!(
                    there.fill(0, 1025, &stream),
                    Err(Error::Size { .. })
                ));
            }
        }
        // The writer goes first; the mapping is still there to be taken back from the driver.
        drop((publisher, stage, subscriber));
    });
    let Some(calls) = calls else { return };
    assert_eq!(
        calls
            .iter()
            .filter(|c| *c == "cuMemHostRegister_v2")
            .count(),
        1
    );
    assert_eq!(
        calls.iter().filter(|c| *c == "cuMemHostUnregister").count(),
        1
    );
}

#[test]
fn events_tell_how_far_a_stream_is() {
    in_child(
        "events_tell_how_far_a_stream_is",
        Current,
        "lazy,late:1",
        || {
            let device = Device::probe().unwrap();
            let stream = Stream::new(&device).unwrap();
            let (start, end) = (Event::new(&device).unwrap(), Event::new(&device).unwrap());
            assert!(start.query().unwrap(), "never recorded");
            let buffer = DeviceBuffer::new(&device, 64).unwrap();
            start.record(&stream).unwrap();
            // SAFETY: waited for before the buffer goes.
            unsafe { buffer.fill(1, 16, &stream) }.unwrap();
            end.record(&stream).unwrap();
            assert!(!end.query().unwrap());
            end.synchronize().unwrap();
            assert!(end.query().unwrap());
        },
    );
}

#[test]
fn a_graph_does_what_was_recorded() {
    in_child("a_graph_does_what_was_recorded", Current, "lazy", || {
        let device = Device::probe().unwrap();
        assert!(Graph::supported(&device));
        let stream = Stream::new(&device).unwrap();
        let (there, back) = (
            DeviceBuffer::new(&device, 64).unwrap(),
            PinnedBuffer::<u32>::new(&device, 16).unwrap(),
        );
        // SAFETY: both live to the end of this test, which waits for the stream.
        let work = |value| unsafe {
            there.fill(value, 16, &stream)?;
            there.copy_to(&back, 0, 64, &stream)
        };
        let graph = Graph::capture(&stream, || work(5)).unwrap();
        assert_eq!(back.as_slice()[0], 0, "recorded, not done");
        // SAFETY: as above.
        unsafe { graph.launch(&stream) }.unwrap();
        stream.synchronize().unwrap();
        assert_eq!(back.as_slice(), [5; 16]);
        let failed = Graph::capture(&stream, || Err("no"));
        assert!(matches!(failed, Err(CaptureError::Work("no"))));
        // The stream records no longer.
        work(9).unwrap();
        stream.synchronize().unwrap();
        assert_eq!(back.as_slice(), [9; 16]);
    });
}

#[test]
fn kernels_that_the_driver_refuses_are_explained() {
    in_child(
        "kernels_that_the_driver_refuses_are_explained",
        Current,
        "no-kernels",
        || {
            let device = Device::probe().unwrap();
            let error = Kernels::load(&device).unwrap_err();
            assert!(
                error.to_string().contains("ptxas: unsupported .version"),
                "{error}"
            );
            assert!(!error.is_fatal());
        },
    );
}

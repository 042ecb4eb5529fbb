//! Door for `ci/instructions.sh`: publish, lease and tap alone, without sockets.

use super::hazard::{HazardPage, ReaderChange};
use super::reader::RingReader;
use super::writer::RingWriter;
use super::{Geometry, Sample, Stamp, Topic};
use std::hint::black_box;
use std::os::fd::AsFd;
use std::sync::Arc;

const TOPIC: Topic = Topic::new(1, "counts");
/// A 640x480 picture in YUYV.
const FRAME: usize = 614_400;

/// What is counted: a name, and what makes the step that is then repeated.
pub type Scene = (String, fn() -> Box<dyn FnMut()>);

/// A publish; a lease of the newest frame, taken and let go; a tap's copy of it.
#[must_use]
pub fn scenes() -> Vec<Scene> {
    vec![
        ("publish".into(), || {
            let (mut writer, _) = ring();
            let content = vec![7; FRAME];
            Box::new(move || publish(&mut writer, &content))
        }),
        ("lease".into(), || {
            let (mut writer, reader) = ring();
            publish(&mut writer, &[7; 64]);
            Box::new(move || {
                let _writer = &writer;
                black_box(reader.lease_newest(0).expect("nobody else leases"));
            })
        }),
        ("tap".into(), || {
            let (mut writer, reader) = ring();
            publish(&mut writer, &vec![7; FRAME]);
            let mut sample = Sample::default();
            Box::new(move || {
                let _writer = &writer;
                assert!(reader.tap_newest(0, &mut sample), "nobody writes");
            })
        }),
    ]
}

/// Both ends; the reader may lease.
fn ring() -> (RingWriter, Arc<RingReader>) {
    let geometry = Geometry {
        slots: 8,
        meta_len: 16,
        payload_capacity: FRAME as u64,
    };
    let writer = RingWriter::create(TOPIC, 1, geometry).expect("five megabytes");
    let (page, ours) = HazardPage::create(1).expect("a page");
    let told = writer
        .shared()
        .readers
        .push(ReaderChange::Attached(1, ours));
    assert!(told.is_ok(), "the mailbox is empty");
    let lease = Some((page.as_fd(), 1));
    let reader = RingReader::map(writer.shared().fd(), lease, TOPIC);
    (writer, reader.expect("a ring of ours"))
}

fn publish(writer: &mut RingWriter, content: &[u8]) {
    let meta = |s: Stamp| [s.generation, s.seq];
    let published = writer.publish(content.len() as u64, |slot| slot.write(0, content), meta);
    assert!(
        matches!(published, Ok(Some(_))),
        "it fits, and a slot is free"
    );
}

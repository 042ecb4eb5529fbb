use super::*;
use proptest::prelude::*;

fn message() -> impl Strategy<Value = Message<'static>> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Varint),
        any::<[u8; 8]>().prop_map(Value::Fixed64),
        any::<[u8; 4]>().prop_map(Value::Fixed32),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(owned),
    ];
    let field = (1u32..1 << 29, value).prop_map(|(number, value)| Field { number, value });
    prop::collection::vec(field, 0..12).prop_map(|fields| Message { fields })
}

proptest! {
    #[test]
    fn what_is_not_touched_comes_back(message in message()) {
        let bytes = message.to_bytes();
        let read = Message::parse(&bytes).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error_or_shorter(message in message(), keep in 0.0..1.0f64) {
        let bytes = message.to_bytes();
        let cut = &bytes[..(bytes.len() as f64 * keep) as usize];
        if let Ok(read) = Message::parse(cut) {
            prop_assert!(message.fields.starts_with(&read.fields));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(read) = Message::parse(&bytes) {
            // Numbers may have been written longer than need be; what they say stays.
            let written = read.to_bytes();
            prop_assert_eq!(&Message::parse(&written).unwrap(), &read);
        }
    }

    #[test]
    fn a_set_field_keeps_its_place(message in message(), which in any::<prop::sample::Index>()) {
        prop_assume!(!message.fields.is_empty());
        let place = which.index(message.fields.len());
        let number = message.fields[place].number;
        let mut changed = message.clone();
        changed.set(number, Value::Varint(5));
        prop_assert_eq!(changed.all(number).collect::<Vec<_>>(), [&Value::Varint(5)]);
        let others = |m: &Message<'static>| -> Vec<Field<'static>> {
            m.fields.iter().filter(|f| f.number != number).cloned().collect()
        };
        prop_assert_eq!(others(&changed), others(&message));
        let first = message.fields.iter().position(|f| f.number == number);
        prop_assert_eq!(changed.fields.iter().position(|f| f.number == number), first);
    }
}

#[test]
fn numbers_come_packed_or_one_by_one() {
    let mut message = Message::default();
    message.push(1, Value::Varint(3));
    message.push(1, owned([4, 0x80, 0x01]));
    assert_eq!(message.integers(1).unwrap(), [3, 4, 128]);
    message.push(1, owned([0x80]));
    assert!(message.integers(1).is_err());
}

#[test]
fn hostile_numbers_are_named() {
    let reason = |bytes: &[u8]| Message::parse(bytes).unwrap_err().to_string();
    assert!(reason(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]).contains("ends within a field"));
    assert!(reason(&[0x08; 1]).contains("ends within a number"));
    assert!(reason(&[[0x08].as_slice(), &[0xff; 11]].concat()).contains("more than 64 bits"));
    assert!(reason(&[0x00, 0x01]).contains("out of range"));
    assert!(reason(&[0x0b, 0x0c]).contains("wire type 3"));
}

//! The wire format of protocol buffers, as far as editing a file needs it: a message as the list of its fields, in the
//! order of the file.
//!
//! Only fields that are asked for are interpreted. A field that is not changed is written back with the same bytes,
//! whether or not this program knows its number; so a file of a newer ONNX loses nothing.

use super::OnnxError;
use std::borrow::Cow;

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0: integers, enumerations, booleans.
    Varint(u64),
    /// Wire type 1: doubles.
    Fixed64([u8; 8]),
    /// Wire type 2: text, bytes, packed numbers, messages.
    Bytes(Cow<'a, [u8]>),
    /// Wire type 5: floats.
    Fixed32([u8; 4]),
}

/// A field with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its number in the `.proto` file.
    pub number: u32,
    /// Its content.
    pub value: Value<'a>,
}

/// A message: its fields in order. A number may come many times (repeated fields).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message<'a> {
    /// In the order of the file.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Message<'a> {
    /// Parses a message; nested messages stay bytes.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the bytes are not a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OnnxError> {
        let mut rest = bytes;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let number = u32::try_from(tag >> 3)
                .ok()
                .filter(|n| (1..1 << 29).contains(n));
            let Some(number) = number else {
                return Err(damaged("a field number is out of range"));
            };
            let value = match tag & 7 {
                0 => Value::Varint(varint(&mut rest)?),
                1 => Value::Fixed64(array(&mut rest)?),
                2 => {
                    let length = varint(&mut rest)?;
                    Value::Bytes(Cow::Borrowed(take(&mut rest, length)?))
                }
                5 => Value::Fixed32(array(&mut rest)?),
                // 3 and 4 are groups, which protocol buffers gave up long before ONNX began.
                other => return Err(damaged(&format!("wire type {other} is not used by ONNX"))),
            };
            fields.push(Field { number, value });
        }
        Ok(Self { fields })
    }

    /// The message as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for Field { number, value } in &self.fields {
            let tag = u64::from(*number) << 3;
            match value {
                Value::Varint(v) => {
                    put_varint(&mut out, tag);
                    put_varint(&mut out, *v);
                }
                Value::Fixed64(v) => {
                    put_varint(&mut out, tag | 1);
                    out.extend(v);
                }
                Value::Bytes(v) => {
                    put_varint(&mut out, tag | 2);
                    put_varint(&mut out, v.len() as u64);
                    out.extend(v.iter());
                }
                Value::Fixed32(v) => {
                    put_varint(&mut out, tag | 5);
                    out.extend(v);
                }
            }
        }
        out
    }

    /// The same message, owning its bytes.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        let own = |Field { number, value }| {
            let value = match value {
                Value::Varint(v) => Value::Varint(v),
                Value::Fixed64(v) => Value::Fixed64(v),
                Value::Fixed32(v) => Value::Fixed32(v),
                Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            };
            Field { number, value }
        };
        Message {
            fields: self.fields.into_iter().map(own).collect(),
        }
    }

    /// Every value of a repeated field.
    pub fn all(&self, number: u32) -> impl Iterator<Item = &Value<'a>> {
        let of_number = move |f: &&Field<'a>| f.number == number;
        self.fields.iter().filter(of_number).map(|f| &f.value)
    }

    /// The bytes of a field; of several the last, as protocol buffers specify for single fields; none if there is none.
    #[must_use]
    pub fn bytes(&self, number: u32) -> Option<&[u8]> {
        self.all(number)
            .filter_map(|v| match v {
                Value::Bytes(b) => Some(&**b),
                _ => None,
            })
            .last()
    }

    /// The text of a field; empty if there is none.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if it is not UTF-8.
    pub fn text(&self, number: u32) -> Result<&str, OnnxError> {
        std::str::from_utf8(self.bytes(number).unwrap_or_default())
            .map_err(|_| damaged("a name is not UTF-8"))
    }

    /// The texts of a repeated field.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if one is not UTF-8.
    pub fn texts(&self, number: u32) -> Result<Vec<String>, OnnxError> {
        let text = |v: &Value<'_>| match v {
            Value::Bytes(b) => String::from_utf8(b.to_vec()).ok(),
            _ => None,
        };
        self.all(number)
            .map(|v| text(v).ok_or_else(|| damaged("a name is not UTF-8")))
            .collect()
    }

    /// The integer of a field; of several the last; none if there is none.
    #[must_use]
    pub fn integer(&self, number: u32) -> Option<u64> {
        self.all(number)
            .filter_map(|v| match v {
                Value::Varint(v) => Some(*v),
                _ => None,
            })
            .last()
    }

    /// The integers of a repeated field, packed or not.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if a packed list ends within a number.
    pub fn integers(&self, number: u32) -> Result<Vec<u64>, OnnxError> {
        let mut out = Vec::new();
        for value in self.all(number) {
            match value {
                Value::Varint(v) => out.push(*v),
                Value::Bytes(bytes) => {
                    let mut rest = &**bytes;
                    while !rest.is_empty() {
                        out.push(varint(&mut rest)?);
                    }
                }
                _ => return Err(damaged("an integer is not stored as one")),
            }
        }
        Ok(out)
    }

    /// Sets a field to one value: in its place if it is there, else at the end.
    pub fn set(&mut self, number: u32, value: Value<'a>) {
        let place = self.fields.iter().position(|f| f.number == number);
        let field = Field { number, value };
        match place {
            None => self.fields.push(field),
            Some(place) => {
                self.fields[place] = field;
                let mut at = 0;
                self.fields.retain(|f| {
                    at += 1;
                    f.number != number || at - 1 == place
                });
            }
        }
    }

    /// Removes every value of a field.
    pub fn remove(&mut self, number: u32) {
        self.fields.retain(|f| f.number != number);
    }

    /// Adds a value at the end.
    pub fn push(&mut self, number: u32, value: Value<'a>) {
        self.fields.push(Field { number, value });
    }
}

/// A value that owns its bytes.
#[must_use]
pub fn owned<'a>(bytes: impl Into<Vec<u8>>) -> Value<'a> {
    Value::Bytes(Cow::Owned(bytes.into()))
}

pub(super) fn damaged(reason: &str) -> OnnxError {
    OnnxError::Damaged {
        reason: reason.to_owned(),
    }
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], OnnxError> {
    let parts = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length));
    let Some((head, tail)) = parts else {
        return Err(damaged("it ends within a field"));
    };
    *rest = tail;
    Ok(head)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], OnnxError> {
    let Some((head, tail)) = rest.split_first_chunk() else {
        return Err(damaged("it ends within a number"));
    };
    *rest = tail;
    Ok(*head)
}

fn varint(rest: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = array(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number has more than 64 bits"))
}

/// Appends a number as a varint (base 128).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;

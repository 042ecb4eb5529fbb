//! `GraphProto` as a list of its parts, in the order of the file.

use super::OnnxError;
use super::tensor::{Element, Tensor};
use super::wire::{Field, Message, Value, damaged, owned};

const NODE: u32 = 1;
const INITIALIZER: u32 = 5;
const INPUT: u32 = 11;
const OUTPUT: u32 = 12;
const VALUE_INFO: u32 = 13;

/// A part of the graph.
#[derive(Clone, Debug)]
pub enum Part {
    /// An operation.
    Node(Node),
    /// A node that only holds a tensor.
    Constant(Constant),
    /// A named tensor.
    Initializer(Tensor),
    /// An input of the graph.
    Input(ValueInfo),
    /// An output of the graph.
    Output(ValueInfo),
    /// The declared type of an intermediate value.
    Value(ValueInfo),
    /// Any other field, not parsed.
    Other(Field<'static>),
}

/// The graph.
#[derive(Clone, Debug)]
pub struct Graph {
    /// In the order of the file; among nodes that is the order in which they run.
    pub parts: Vec<Part>,
}

impl Graph {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, OnnxError> {
        let part = |field: Field<'_>| {
            let Value::Bytes(bytes) = &field.value else {
                let fields = vec![field];
                return Ok(Message { fields }
                    .into_owned()
                    .fields
                    .into_iter()
                    .map(Part::Other)
                    .collect());
            };
            let part = match field.number {
                NODE => Node::parse(bytes)?,
                INITIALIZER => Part::Initializer(Tensor::parse(bytes, "without name")?),
                INPUT => Part::Input(ValueInfo::parse(bytes)?),
                OUTPUT => Part::Output(ValueInfo::parse(bytes)?),
                VALUE_INFO => Part::Value(ValueInfo::parse(bytes)?),
                number => Part::Other(Field {
                    number,
                    value: owned(bytes.to_vec()),
                }),
            };
            Ok(vec![part])
        };
        let parts: Result<Vec<Vec<Part>>, OnnxError> = Message::parse(bytes)?
            .fields
            .into_iter()
            .map(part)
            .collect();
        Ok(Self {
            parts: parts?.into_iter().flatten().collect(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let field = |part: &Part| {
            let (number, bytes) = match part {
                Part::Node(node) => (NODE, node.message.to_bytes()),
                Part::Constant(constant) => (NODE, constant.to_bytes()),
                Part::Initializer(tensor) => (INITIALIZER, tensor.to_bytes()),
                Part::Input(info) => (INPUT, info.message.to_bytes()),
                Part::Output(info) => (OUTPUT, info.message.to_bytes()),
                Part::Value(info) => (VALUE_INFO, info.message.to_bytes()),
                Part::Other(field) => return field.clone(),
            };
            Field {
                number,
                value: owned(bytes),
            }
        };
        Message {
            fields: self.parts.iter().map(field).collect(),
        }
        .to_bytes()
    }

    /// The nodes in the order in which they run, without constants.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.parts.iter().filter_map(|part| match part {
            Part::Node(node) => Some(node),
            _ => None,
        })
    }

    /// Initializers and constants, each with the name by which nodes use it.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Initializer(tensor) => Some((tensor.name(), tensor)),
            Part::Constant(constant) => Some((constant.output(), &constant.tensor)),
            _ => None,
        })
    }

    /// Initializers and constants, to be changed.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Initializer(tensor) => Some(tensor),
            Part::Constant(constant) => Some(&mut constant.tensor),
            _ => None,
        })
    }
}

/// `NodeProto`.
#[derive(Clone, Debug)]
pub struct Node {
    message: Message<'static>,
    operator: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Node {
    const INPUT: u32 = 1;
    const OUTPUT: u32 = 2;
    const NAME: u32 = 3;
    const OPERATOR: u32 = 4;
    const ATTRIBUTE: u32 = 5;
    const DOMAIN: u32 = 7;

    /// A node, or a constant.
    fn parse(bytes: &[u8]) -> Result<Part, OnnxError> {
        let message = Message::parse(bytes)?.into_owned();
        let node = Self {
            operator: message.text(Self::OPERATOR)?.to_owned(),
            inputs: message.texts(Self::INPUT)?,
            outputs: message.texts(Self::OUTPUT)?,
            message,
        };
        if node.standard_operator() == Some("Constant")
            && let Some(constant) = Constant::of(&node)?
        {
            return Ok(Part::Constant(constant));
        }
        Ok(Part::Node(node))
    }

    /// A node of a standard operator, named after its first output.
    #[must_use]
    pub fn new(
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        settings: &[Setting<'_>],
    ) -> Self {
        let mut message = Message::default();
        for input in inputs {
            message.push(Self::INPUT, owned(*input));
        }
        for output in outputs {
            message.push(Self::OUTPUT, owned(*output));
        }
        message.push(
            Self::NAME,
            owned(outputs.first().copied().unwrap_or_default()),
        );
        message.push(Self::OPERATOR, owned(operator));
        for setting in settings {
            message.push(Self::ATTRIBUTE, owned(setting.to_bytes()));
        }
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            message,
            operator: operator.into(),
            inputs: own(inputs),
            outputs: own(outputs),
        }
    }

    /// A `Cast` of `input` to `to`, named after its output.
    #[must_use]
    pub fn cast(input: &str, output: &str, to: Element) -> Self {
        let to = Setting::Integer("to", to.number() as i64);
        Self::new("Cast", &[input], &[output], &[to])
    }

    /// Its name; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.message.text(Self::NAME).unwrap_or_default()
    }

    /// Sets its name.
    pub fn set_name(&mut self, name: &str) {
        self.message.set(Self::NAME, owned(name));
    }

    /// Its operator if that is in the standard operator set; none for an operator of another domain.
    #[must_use]
    pub fn standard_operator(&self) -> Option<&str> {
        let standard = matches!(
            self.message.bytes(Self::DOMAIN),
            None | Some(b"" | b"ai.onnx")
        );
        standard.then_some(self.operator.as_str())
    }

    /// Its name in messages: the operator, and its name or else its first output.
    #[must_use]
    pub fn title(&self) -> String {
        let own = self.message.text(Self::NAME).unwrap_or_default();
        let first = self.outputs.first().map_or("", String::as_str);
        let name = if own.is_empty() { first } else { own };
        format!("{} {name}", self.operator)
    }

    /// The names of its inputs; an empty one is an optional input that is left out.
    #[must_use]
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The names of its outputs.
    #[must_use]
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Connects input `index` to the value `name`.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn set_input(&mut self, index: usize, name: &str) {
        rename(&mut self.message, Self::INPUT, index, name);
        name.clone_into(&mut self.inputs[index]);
    }

    /// Renames output `index`.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn set_output(&mut self, index: usize, name: &str) {
        rename(&mut self.message, Self::OUTPUT, index, name);
        name.clone_into(&mut self.outputs[index]);
    }

    /// The integer attribute `name`; none if there is none.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if an attribute cannot be read.
    pub fn integer(&self, name: &str) -> Result<Option<u64>, OnnxError> {
        let found = Attribute::of(&self.message)?
            .into_iter()
            .find(|a| a.name == name);
        Ok(found.and_then(|a| a.message.integer(Attribute::INTEGER)))
    }

    /// Whether it contains graphs of its own, as control flow (`If`, `Loop`, `Scan`) does.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if an attribute cannot be read.
    pub fn has_subgraph(&self) -> Result<bool, OnnxError> {
        let of_graphs = |a: &Attribute<'_>| {
            a.message.bytes(Attribute::GRAPH).is_some()
                || a.message.bytes(Attribute::GRAPHS).is_some()
        };
        Ok(Attribute::of(&self.message)?.iter().any(of_graphs))
    }
}

fn rename(message: &mut Message<'static>, number: u32, index: usize, name: &str) {
    let mut of_number = message.fields.iter_mut().filter(|f| f.number == number);
    if let Some(field) = of_number.nth(index) {
        field.value = owned(name);
    }
}

/// An attribute of a new node: its name and value.
#[derive(Clone, Copy, Debug)]
pub enum Setting<'a> {
    /// INT.
    Integer(&'a str, i64),
    /// INTS.
    Integers(&'a str, &'a [i64]),
}

impl Setting<'_> {
    fn to_bytes(self) -> Vec<u8> {
        const TYPE_INT: u64 = 2;
        const TYPE_INTS: u64 = 7;
        let (name, number, values, kind) = match self {
            Self::Integer(name, value) => (name, Attribute::INTEGER, vec![value], TYPE_INT),
            Self::Integers(name, values) => (name, Attribute::INTEGERS, values.to_vec(), TYPE_INTS),
        };
        let mut attribute = Message::default();
        attribute.push(Attribute::NAME, owned(name));
        for value in values {
            attribute.push(number, Value::Varint(value as u64));
        }
        attribute.push(Attribute::TYPE, Value::Varint(kind));
        attribute.to_bytes()
    }
}

/// `AttributeProto`.
struct Attribute<'a> {
    name: String,
    message: Message<'a>,
}

impl<'a> Attribute<'a> {
    const NAME: u32 = 1;
    const INTEGER: u32 = 3;
    const INTEGERS: u32 = 8;
    const TENSOR: u32 = 5;
    const GRAPH: u32 = 6;
    const GRAPHS: u32 = 11;
    const TYPE: u32 = 20;

    fn of(node: &'a Message<'_>) -> Result<Vec<Self>, OnnxError> {
        let attribute = |value: &'a Value<'_>| {
            let Value::Bytes(bytes) = value else {
                return Err(damaged("an attribute is no message"));
            };
            let message = Message::parse(bytes)?;
            let name = message.text(Self::NAME)?.to_owned();
            Ok(Self { name, message })
        };
        node.all(Node::ATTRIBUTE).map(attribute).collect()
    }
}

/// A `Constant` node whose value is a tensor.
#[derive(Clone, Debug)]
pub struct Constant {
    node: Node,
    /// Index of the attribute that holds the tensor.
    index: usize,
    /// The value.
    pub tensor: Tensor,
}

impl Constant {
    fn of(node: &Node) -> Result<Option<Self>, OnnxError> {
        let attributes = Attribute::of(&node.message)?;
        let is_value = |a: &Attribute<'_>| a.name == "value";
        let Some(index) = attributes.iter().position(is_value) else {
            return Ok(None);
        };
        let Some(bytes) = attributes[index].message.bytes(Attribute::TENSOR) else {
            return Ok(None);
        };
        let holder = node.outputs.first().map_or("", String::as_str);
        let tensor = Tensor::parse(bytes, holder)?;
        Ok(Some(Self {
            node: node.clone(),
            index,
            tensor,
        }))
    }

    /// The name by which nodes use it.
    #[must_use]
    pub fn output(&self) -> &str {
        self.node.outputs.first().map_or("", String::as_str)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut message = self.node.message.clone();
        let mut attributes = message
            .fields
            .iter_mut()
            .filter(|f| f.number == Node::ATTRIBUTE);
        if let Some(Field { value, .. }) = attributes.nth(self.index) {
            let with_tensor = |bytes: &[u8]| {
                let mut attribute = Message::parse(bytes).ok()?;
                attribute.set(Attribute::TENSOR, owned(self.tensor.to_bytes()));
                Some(attribute.to_bytes())
            };
            if let Value::Bytes(bytes) = value {
                // It was parsed as a message before.
                if let Some(changed) = with_tensor(bytes) {
                    *value = owned(changed);
                }
            }
        }
        message.to_bytes()
    }
}

/// `ValueInfoProto`: the name and type of a value.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    pub(super) message: Message<'static>,
    name: String,
}

impl ValueInfo {
    const NAME: u32 = 1;
    pub(super) const TYPE: u32 = 2;
    pub(super) const TENSOR_TYPE: u32 = 1;
    const ELEMENT: u32 = 1;

    fn parse(bytes: &[u8]) -> Result<Self, OnnxError> {
        let message = Message::parse(bytes)?.into_owned();
        let name = message.text(Self::NAME)?.to_owned();
        let info = Self { message, name };
        info.element()?; // so that a damaged type is an error here already
        Ok(info)
    }

    /// The value's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its element type; `None` if it is no tensor, or none is declared.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the type cannot be read.
    pub fn element(&self) -> Result<Option<Element>, OnnxError> {
        let Some(of_value) = self.message.bytes(Self::TYPE) else {
            return Ok(None);
        };
        let of_value = Message::parse(of_value)?;
        let Some(of_tensor) = of_value.bytes(Self::TENSOR_TYPE) else {
            return Ok(None);
        };
        let number = Message::parse(of_tensor)?.integer(Self::ELEMENT);
        Ok(number.map(Element::from_number))
    }

    /// Sets the element type of a tensor.
    ///
    /// # Errors
    /// [`OnnxError::Damaged`] if the type cannot be read.
    pub fn set_element(&mut self, element: Element) -> Result<(), OnnxError> {
        let bytes = self.message.bytes(Self::TYPE).unwrap_or_default();
        let mut of_value = Message::parse(bytes)?.into_owned();
        let bytes = of_value.bytes(Self::TENSOR_TYPE).unwrap_or_default();
        let mut of_tensor = Message::parse(bytes)?.into_owned();
        of_tensor.set(Self::ELEMENT, Value::Varint(element.number()));
        of_value.set(Self::TENSOR_TYPE, owned(of_tensor.to_bytes()));
        self.message.set(Self::TYPE, owned(of_value.to_bytes()));
        Ok(())
    }
}

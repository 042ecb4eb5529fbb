//! As much of ONNX's protobuf as models of one node need.

/// One dimension: fixed, or 0 for free.
pub(super) type Dim = u64;
pub(super) const F32: u64 = 1;
pub(super) const F16: u64 = 10;
const I64: u64 = 7;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    [
        &[number << 3 | 2],
        varint(body.len() as u64).as_slice(),
        body,
    ]
    .concat()
}

fn number(field: u8, value: u64) -> Vec<u8> {
    [&[field << 3], varint(value).as_slice()].concat()
}

fn value_info(name: &str, element: u64, dims: &[Dim]) -> Vec<u8> {
    let dim = |d: &Dim| match d {
        0 => field(2, b"free"),
        d => number(1, *d),
    };
    let dims: Vec<u8> = dims.iter().flat_map(|d| field(1, &dim(d))).collect();
    let tensor = [number(1, element), field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|i| field(1, i.as_bytes()));
    let mut out: Vec<u8> = inputs.collect();
    out.extend(field(2, output.as_bytes()));
    out.extend(field(4, operator.as_bytes()));
    field(1, &out)
}

fn tensor(name: &str, element: u64, dims: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = dims.iter().flat_map(|d| number(1, *d)).collect();
    out.extend(number(2, element));
    out.extend(field(8, name.as_bytes()));
    out.extend(field(9, bytes));
    field(5, &out)
}

/// A model under construction: input "in", metadata, and what is added.
pub(super) struct Model {
    graph: Vec<u8>,
    metadata: Vec<u8>,
    element: u64,
}

impl Model {
    pub(super) fn new(element: u64, input: &[Dim]) -> Self {
        let mut graph = field(2, b"g");
        graph.extend(field(11, &value_info("in", element, input)));
        Self {
            graph,
            metadata: Vec::new(),
            element,
        }
    }

    /// An output that is the input.
    pub(super) fn identity(mut self, name: &str, declared: &[Dim]) -> Self {
        self.graph.extend(node("Identity", &["in"], name));
        self.output(name, declared)
    }

    /// An output that is the input's values in another shape.
    pub(super) fn reshape<const N: usize>(mut self, name: &str, shape: [i64; N]) -> Self {
        let bytes: Vec<u8> = shape.iter().flat_map(|d| d.to_le_bytes()).collect();
        let constant = format!("shape of {name}");
        self.graph
            .extend(tensor(&constant, I64, &[N as u64], &bytes));
        self.graph.extend(node("Reshape", &["in", &constant], name));
        self.output(name, &shape.map(|d| d.try_into().unwrap_or(0)))
    }

    /// An output of zeros, whatever the input.
    pub(super) fn constant(mut self, name: &str, shape: [u64; 3]) -> Self {
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        self.graph.extend(tensor("zeros", F32, &shape, &bytes));
        self.graph.extend(node("Identity", &["zeros"], name));
        self.output(name, &shape)
    }

    /// A second input that nothing uses, of a type in protobuf; `None`: of none. Number 11 of the graph are inputs, 12
    /// outputs.
    pub(super) fn stranger(mut self, list: u8, kind: Option<&[u8]>) -> Self {
        let kind = kind.map(|k| field(2, k)).unwrap_or_default();
        let info = [field(1, b"stranger"), kind].concat();
        self.graph.extend(field(list, &info));
        self
    }

    pub(super) fn metadata(mut self, key: &str, value: &str) -> Self {
        let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        self.metadata.extend(field(14, &entry));
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let opset = field(8, &number(2, 13));
        [
            number(1, 8),
            field(7, &self.graph),
            opset,
            self.metadata.clone(),
        ]
        .concat()
    }

    fn output(mut self, name: &str, declared: &[Dim]) -> Self {
        self.graph
            .extend(field(12, &value_info(name, self.element, declared)));
        self
    }
}

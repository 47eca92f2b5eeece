//! GGUF files for tests: a writer that checks nothing, so that every mistake can be made.

/// A metadata value: its type's number, then its bytes.
#[derive(Clone)]
pub struct Value {
    pub kind: u32,
    pub bytes: Vec<u8>,
}

/// A tensor's entry and its bytes.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    /// Innermost first, as in the file.
    pub dimensions: Vec<u64>,
    pub kind: u32,
    pub bytes: Vec<u8>,
    /// Where the data lie; after those of the tensor before for `None`.
    pub offset: Option<u64>,
}

/// A file, front to back.
#[derive(Clone)]
pub struct File {
    pub magic: [u8; 4],
    pub version: u32,
    /// What the header says instead of the numbers of tensors and keys.
    pub counts: (Option<u64>, Option<u64>),
    pub keys: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
}

pub fn u32(n: u32) -> Value {
    Value { kind: 4, bytes: n.to_le_bytes().to_vec() }
}

pub fn f32(x: f32) -> Value {
    Value { kind: 6, bytes: x.to_le_bytes().to_vec() }
}

pub fn bool(b: bool) -> Value {
    Value { kind: 7, bytes: vec![b.into()] }
}

pub fn text(s: &str) -> Value {
    Value { kind: 8, bytes: text_bytes(s) }
}

pub fn texts(all: &[impl AsRef<str>]) -> Value {
    array(8, all.len() as u64, all.iter().flat_map(|s| text_bytes(s.as_ref())).collect())
}

pub fn i32s(all: &[i32]) -> Value {
    array(5, all.len() as u64, all.iter().flat_map(|n| n.to_le_bytes()).collect())
}

pub fn f32s(all: &[f32]) -> Value {
    array(6, all.len() as u64, all.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// An array that says to hold `count` elements of type `kind`.
pub fn array(kind: u32, count: u64, elements: Vec<u8>) -> Value {
    Value { kind: 9, bytes: [&kind.to_le_bytes()[..], &count.to_le_bytes(), &elements].concat() }
}

fn text_bytes(s: &str) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes()[..], s.as_bytes()].concat()
}

impl Tensor {
    /// An F32 tensor; `shape` is outermost first.
    pub fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        let dimensions = shape.iter().rev().map(|&n| n as u64).collect();
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { name: name.to_owned(), dimensions, kind: 0, bytes, offset: None }
    }
}

impl File {
    pub fn new() -> Self {
        Self { magic: *b"GGUF", version: 3, counts: (None, None), keys: Vec::new(), tensors: Vec::new() }
    }

    /// The same with this value, in the place of any other of this key.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    /// The same after `change` to the tensor `name`.
    pub fn tensor(mut self, name: &str, change: impl FnOnce(&mut Tensor)) -> Self {
        change(self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("the tensor"));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut header = self.magic.to_vec();
        header.extend(self.version.to_le_bytes());
        header.extend(self.counts.0.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        header.extend(self.counts.1.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            header.extend(text_bytes(key));
            header.extend(value.kind.to_le_bytes());
            header.extend(&value.bytes);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            data.resize(data.len().next_multiple_of(32), 0);
            header.extend(text_bytes(&tensor.name));
            header.extend((tensor.dimensions.len() as u32).to_le_bytes());
            header.extend(tensor.dimensions.iter().flat_map(|n| n.to_le_bytes()));
            header.extend(tensor.kind.to_le_bytes());
            header.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
        }
        if !data.is_empty() {
            header.resize(header.len().next_multiple_of(32), 0);
        }
        [header, data].concat()
    }
}

/// The 256 byte tokens of SentencePiece.
pub fn byte_tokens() -> impl Iterator<Item = String> {
    (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"))
}

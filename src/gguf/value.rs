//! The values of a GGUF file's metadata.

use std::fmt;

/// A value, in the widest type of its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// u8, u16, u32 or u64.
    Unsigned(u64),
    /// i8, i16, i32 or i64.
    Signed(i64),
    /// f32.
    F32(f32),
    /// f64.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// Scalars or texts of one type.
    Array(Vec<Value>),
}

/// What is shown of a long value in an error.
const SHOWN: usize = 40;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => write!(f, "{n}"),
            Self::Signed(n) => write!(f, "{n}"),
            Self::F32(x) => write!(f, "{x}"),
            Self::F64(x) => write!(f, "{x}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Text(text) => match text.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, "{:?}…", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Self::Array(values) => write!(f, "an array of {}", values.len()),
        }
    }
}

/// A Rust type that a metadata value is read as.
pub trait FromValue: Sized {
    /// What is expected, for the error.
    const EXPECTED: &'static str;

    /// The value, or `None` when it is of another kind or out of range.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! integer {
    ($($type:ty => $expected:literal),+ $(,)?) => { $(impl FromValue for $type {
        const EXPECTED: &'static str = $expected;
        fn from_value(value: &Value) -> Option<Self> {
            match *value {
                Value::Unsigned(n) => n.try_into().ok(),
                Value::Signed(n) => n.try_into().ok(),
                _ => None,
            }
        }
    })+ };
}
integer!(usize => "a count", u32 => "an index of 32 bits", u64 => "a whole number");

impl FromValue for f32 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::F32(x) => Some(x),
            Value::F64(x) => Some(crate::num::to_f32(x)),
            _ => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a text";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

macro_rules! array {
    ($($type:ty => $expected:literal),+ $(,)?) => { $(impl FromValue for Vec<$type> {
        const EXPECTED: &'static str = $expected;
        fn from_value(value: &Value) -> Option<Self> {
            match value {
                Value::Array(values) => values.iter().map(FromValue::from_value).collect(),
                _ => None,
            }
        }
    })+ };
}
array!(String => "an array of texts", f32 => "an array of numbers", u32 => "an array of indices");

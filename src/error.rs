//! The one error type of the crate: structured, with both numbers in every message.

use std::{fmt, io, path::PathBuf};

/// A result whose error is [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, and what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Two dimensions that must agree do not. Check the shapes of the named operands.
    Dims {
        /// The operation that was called.
        op: &'static str,
        /// The first operand's name, its dimension's name and size.
        left: (&'static str, &'static str, usize),
        /// The second operand's name, its dimension's name and size.
        right: (&'static str, &'static str, usize),
    },
    /// An index lies outside of what it indexes.
    Index {
        /// The operation that was called.
        op: &'static str,
        /// What the index is.
        what: &'static str,
        /// The offending index.
        index: usize,
        /// The exclusive bound that it must stay below.
        bound: usize,
    },
    /// Row offsets or column indices do not form a sparse pattern.
    Pattern {
        /// Which invariant is broken.
        invariant: &'static str,
        /// The row where it is broken.
        row: usize,
        /// What stands there.
        found: usize,
        /// The number it is at odds with.
        bound: usize,
    },
    /// A count exceeds what the device format can hold.
    TooLarge {
        /// The quantity.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The largest value that fits.
        limit: usize,
    },
    /// A setting has a value that makes no sense. The message says which values do.
    Setting {
        /// The flag or key.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: String,
    },
    /// The operating system refused to read or write a file.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done, as a verb: `read`, `create`, `write`, `rename` …
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
    /// A file's content is not what its format demands.
    Format {
        /// The file.
        path: PathBuf,
        /// The line, field or tensor.
        place: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
    },
    /// A weight holds a number that is not finite, which no quantized form has.
    NotFiniteBlock {
        /// The operation that was called.
        op: &'static str,
        /// The first element of the block that holds it, counted row-major.
        first: usize,
        /// The elements of the block.
        len: usize,
    },
    /// The loss or the gradient stopped being a number: lower the learning rate or clip the gradient.
    NotFinite {
        /// The optimizer step, counted from 1.
        step: usize,
        /// Which quantity.
        what: &'static str,
        /// Its value.
        value: f32,
    },
    /// All logits of a next token are NaN.
    NoToken,
    /// There is no CUDA driver on this machine. Install NVIDIA's, or use the CPU.
    NoDriver,
    /// The CUDA driver finds fewer devices than were asked for.
    NoDevice {
        /// The device asked for, counted from 0.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The driver is older than the compiler that made this binary's kernels.
    OldDriver {
        /// The CUDA release that the driver supports.
        found: (u32, u32),
        /// The release that the kernels need.
        needed: (u32, u32),
    },
    /// The device has no bf16 tensor cores.
    OldDevice {
        /// The device's name.
        name: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// The device's memory does not suffice. The message says for what, and what makes it smaller.
    DeviceMemory {
        /// What did not fit.
        need: Need,
        /// What was asked for.
        bytes: usize,
        /// What was free.
        free: usize,
        /// What the device has.
        total: usize,
    },
    /// Results of the self-test are beyond their bounds: the kernels, the driver or the device are broken. Report it.
    SelfTest {
        /// The device.
        device: String,
        /// Cases that failed.
        failed: usize,
        /// Cases in all.
        cases: usize,
    },
    /// The CUDA driver refused something, or work queued on the device failed.
    Driver {
        /// What was being done.
        action: &'static str,
        /// The driver's name for what went wrong.
        code: String,
    },
    /// The user asked the run to stop; everything up to `step` is saved.
    Interrupted {
        /// The last step that was finished.
        step: usize,
        /// The checkpoint to resume from.
        checkpoint: PathBuf,
    },
}

/// What device memory was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Something that no one has named.
    Buffer,
    /// The base model.
    Weights,
    /// What is trained, with its gradients and moments.
    Parameters,
    /// The scores of a mask to come.
    Scores,
    /// A micro-batch on its way through the model and back.
    Step,
    /// Examples whose loss is measured.
    Evaluation,
    /// Keys and values of the texts that are continued, and a step of them.
    Decoding,
    /// A weight and the adapter that is merged into it.
    Merge,
}

impl Need {
    fn what(self) -> &'static str {
        match self {
            Self::Buffer => "its buffers",
            Self::Weights => "the model's weights",
            Self::Parameters => "the trained parameters, their gradients and moments",
            Self::Scores => "the scores of the mask",
            Self::Step => "the activations of a micro-batch",
            Self::Evaluation => "the activations of an evaluation",
            Self::Decoding => "the cached keys and values",
            Self::Merge => "a weight and its adapter",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Buffer => "use a smaller model or smaller batches",
            Self::Weights => "store them in a smaller type (--base)",
            Self::Parameters => {
                "lower --rank or --density, name fewer --target-modules, or store the base in a smaller type (--base)"
            }
            Self::Scores => {
                "name fewer --target-modules, give a mask (--mask), or store the base in a smaller type (--base)"
            }
            Self::Step => "lower --micro-batch or --seq, or store the base in a smaller type (--base)",
            Self::Evaluation => {
                "lower --micro-batch (of eval: --batch) or --seq, or store the base in a smaller type (--base)"
            }
            Self::Decoding => "lower --batch or --max-new, or store the base in a smaller type (--base)",
            Self::Merge => "merge on the CPU",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dims { op, left, right } => write!(
                f,
                "{op}: {} has {} {} but {} has {} {}",
                left.0, left.2, left.1, right.0, right.2, right.1
            ),
            Self::Index { op, what, index, bound } => {
                write!(f, "{op}: {what} {index} is not below {bound}")
            }
            Self::Pattern { invariant, row, found, bound } => {
                write!(f, "sparse pattern, row {row}: {invariant}: found {found}, bound {bound}")
            }
            Self::TooLarge { what, value, limit } => {
                write!(f, "{what} is {value}, more than the {limit} that the format holds")
            }
            Self::Setting { name, value, expected } => {
                write!(f, "{name} is {value}, expected {expected}")
            }
            Self::Io { path, action, source } => {
                write!(f, "{}: cannot {action}: {source}", path.display())
            }
            Self::Format { path, place, found, expected } => {
                write!(f, "{}: {place}: found {found}, expected {expected}", path.display())
            }
            Self::NotFiniteBlock { op, first, len } => {
                write!(f, "{op}: one of the {len} values from element {first} on is not finite")
            }
            Self::NotFinite { step: 1, what, value } => write!(
                f,
                "step 1: {what} is {value} before anything was updated: numbers of the model are too large, or the adapter's --alpha is"
            ),
            Self::NotFinite { step, what, value } => write!(
                f,
                "step {step}: {what} is {value}; lower the learning rate (--lr, --lora-lr) or clip the gradient (--clip)"
            ),
            Self::NoToken => f.write_str(
                "no token is the likeliest, all logits are NaN: numbers of the model or its adapter are not finite, or too large",
            ),
            Self::NoDriver => f.write_str(
                "this machine has no CUDA driver (libcuda.so.1); install NVIDIA's driver, or use the CPU",
            ),
            Self::NoDevice { ordinal, count } => {
                write!(f, "there is no CUDA device {ordinal}: the driver finds {count}; use the CPU")
            }
            Self::OldDriver { found, needed } => write!(
                f,
                "the CUDA driver supports CUDA {}.{}, the kernels in this binary need {}.{}; update the driver, or use the CPU",
                found.0, found.1, needed.0, needed.1
            ),
            Self::OldDevice { name, capability } => write!(
                f,
                "{name} has compute capability {}.{}, and bf16 tensor cores begin with 8.0; use the CPU",
                capability.0, capability.1
            ),
            Self::DeviceMemory { need, bytes, free, total } => write!(
                f,
                "the device is out of memory: {} need {bytes} bytes more, {free} of {total} are free; {}",
                need.what(),
                need.remedy()
            ),
            Self::SelfTest { device, failed, cases } => {
                write!(
                    f,
                    "the self-test failed: {failed} of {cases} cases are wrong on {device}, see the table"
                )
            }
            Self::Driver { action, code } => write!(f, "CUDA driver: {action}: {code}"),
            Self::Interrupted { step, checkpoint } => write!(
                f,
                "stopped after step {step}, which is saved in {}; the same command with --resume goes on",
                checkpoint.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    /// The same, with what the memory was for where only bytes were known; meant for `map_err`.
    pub fn needed_for(need: Need) -> impl FnOnce(Self) -> Self {
        move |error| match error {
            Self::DeviceMemory { need: Need::Buffer, bytes, free, total } => {
                Self::DeviceMemory { need, bytes, free, total }
            }
            other => other,
        }
    }

    /// Whether it is that there was no room for a file, on the disk or for this user.
    #[must_use]
    pub fn is_lack_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// An [`Error::Io`] with its context; meant for `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }

    /// An [`Error::Format`] from anything printable.
    pub fn format(
        path: impl Into<PathBuf>,
        place: impl fmt::Display,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self::Format {
            path: path.into(),
            place: place.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// An [`Error::Setting`] from anything printable.
    pub fn setting(name: &'static str, value: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::Setting { name, value: value.to_string(), expected: expected.to_string() }
    }
}

/// Returns early with [`Error::Dims`] unless every pair of dimensions agrees.
///
/// `dims!("spmm_add": s.cols = x.cols, x.rows = y.rows, s.rows = y.cols);`
/// calls `s.cols()`, `x.cols()` … and names them in the message.
macro_rules! dims {
    ($op:literal: $($left:ident.$left_dim:ident = $right:ident.$right_dim:ident),+ $(,)?) => {
        $(if $left.$left_dim() != $right.$right_dim() {
            return Err($crate::error::Error::Dims {
                op: $op,
                left: (stringify!($left), stringify!($left_dim), $left.$left_dim()),
                right: (stringify!($right), stringify!($right_dim), $right.$right_dim()),
            });
        })+
    };
}
pub(crate) use dims;

/// [`dims!`] for a number that is no method of an operand.
pub(crate) fn agree(
    op: &'static str,
    left: (&'static str, &'static str, usize),
    right: (&'static str, &'static str, usize),
) -> Result<()> {
    if left.2 == right.2 { Ok(()) } else { Err(Error::Dims { op, left, right }) }
}

/// [`Error::Index`] unless indices that all lie below `end` lie below `bound` too.
pub(crate) fn within(op: &'static str, what: &'static str, end: usize, bound: usize) -> Result<()> {
    if end <= bound { Ok(()) } else { Err(Error::Index { op, what, index: end - 1, bound }) }
}

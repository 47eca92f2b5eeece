//! The fundamental types of PTX and the state spaces.

/// A fundamental type; `B` types are untyped bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    Pred,
    B8,
    U8,
    S8,
    B16,
    U16,
    S16,
    F16,
    BF16,
    B32,
    U32,
    S32,
    F32,
    F16x2,
    BF16x2,
    TF32,
    B64,
    U64,
    S64,
    F64,
}

impl Type {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "pred" => Self::Pred,
            "b8" => Self::B8,
            "u8" => Self::U8,
            "s8" => Self::S8,
            "b16" => Self::B16,
            "u16" => Self::U16,
            "s16" => Self::S16,
            "f16" => Self::F16,
            "bf16" => Self::BF16,
            "b32" => Self::B32,
            "u32" => Self::U32,
            "s32" => Self::S32,
            "f32" => Self::F32,
            "f16x2" => Self::F16x2,
            "bf16x2" => Self::BF16x2,
            "tf32" => Self::TF32,
            "b64" => Self::B64,
            "u64" => Self::U64,
            "s64" => Self::S64,
            "f64" => Self::F64,
            _ => return None,
        })
    }

    /// Bytes in memory; a predicate has none.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Pred => 0,
            Self::B8 | Self::U8 | Self::S8 => 1,
            Self::B16 | Self::U16 | Self::S16 | Self::F16 | Self::BF16 => 2,
            Self::B32 | Self::U32 | Self::S32 | Self::F32 | Self::F16x2 | Self::BF16x2 | Self::TF32 => 4,
            Self::B64 | Self::U64 | Self::S64 | Self::F64 => 8,
        }
    }

    pub(crate) fn bits(self) -> u32 {
        8 * self.bytes() as u32
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64 | Self::TF32)
    }

    /// The type of one half of a packed pair.
    pub(crate) fn half(self) -> Option<Self> {
        match self {
            Self::F16x2 => Some(Self::F16),
            Self::BF16x2 => Some(Self::BF16),
            _ => None,
        }
    }
}

/// Where an address points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Any of the others, told apart by the address.
    Generic,
    /// Device memory.
    Global,
    /// Read-only device memory.
    Const,
    /// A block's memory.
    Shared,
    /// A thread's memory.
    Local,
    /// The kernel's parameters.
    Param,
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Generic => "generic",
            Self::Global => "global",
            Self::Const => "const",
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Param => "param",
        })
    }
}

/// Generic addresses: each window spans `WINDOW` bytes; everything else is global.
pub(crate) const WINDOW: u64 = 1 << 32;
pub(crate) const SHARED_BASE: u64 = 1 << 40;
pub(crate) const LOCAL_BASE: u64 = 2 << 40;
pub(crate) const PARAM_BASE: u64 = 3 << 40;

impl Space {
    /// What to subtract from a generic address to get one in this space.
    pub(crate) fn base(self) -> u64 {
        match self {
            Self::Shared => SHARED_BASE,
            Self::Local => LOCAL_BASE,
            Self::Param => PARAM_BASE,
            Self::Generic | Self::Global | Self::Const => 0,
        }
    }

    /// The space a generic address lies in.
    pub(crate) fn of(generic: u64) -> Self {
        match generic & !(WINDOW - 1) {
            SHARED_BASE => Self::Shared,
            LOCAL_BASE => Self::Local,
            PARAM_BASE => Self::Param,
            _ => Self::Global,
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "global" => Self::Global,
            "const" => Self::Const,
            "shared" | "shared::cta" => Self::Shared,
            "local" => Self::Local,
            "param" | "param::entry" | "param::func" => Self::Param,
            _ => return None,
        })
    }
}

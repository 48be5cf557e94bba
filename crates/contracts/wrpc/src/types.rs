//! Types: what both sides know of a value beforehand.

use std::{fmt, sync::Arc};

/// Values within each other at most. The component model's own validation allows about as many.
const DEEPEST: usize = 100;

/// The shape of a value. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `bool`.
    Bool,
    /// `s8`.
    S8,
    /// `u8`.
    U8,
    /// `s16`.
    S16,
    /// `u16`.
    U16,
    /// `s32`.
    S32,
    /// `u32`.
    U32,
    /// `s64`.
    S64,
    /// `u64`.
    U64,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `char`.
    Char,
    /// `string`.
    String,
    /// `list<T>`; also `map<K, V>`, which is a list of pairs.
    List(Arc<Type>),
    /// `list<T, N>`.
    FixedList(Arc<Type>, u32),
    /// A tuple or a record: its members in order.
    Tuple(Arc<[Type]>),
    /// A variant: what its cases carry, in order.
    Variant(Arc<[Option<Type>]>),
    /// An enum: how many cases.
    Enum(u32),
    /// `option<T>`.
    Option(Arc<Type>),
    /// `result<T, E>`.
    Result(Option<Arc<Type>>, Option<Arc<Type>>),
    /// Flags: how many.
    Flags(u32),
    /// `own<T>` or `borrow<T>`.
    Resource,
    /// `stream<T>`.
    Stream(Option<Arc<Type>>),
    /// `future<T>`.
    Future(Option<Arc<Type>>),
}

/// Types of the parameters or of the results of a function, which were found to be in order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Types(Arc<[Type]>);

/// What a function takes and returns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// What it takes.
    pub params: Types,
    /// What it returns: none or one, by the component model of today.
    pub results: Types,
}

/// Why values of a type cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Too many types in each other.
    #[error("the type has more than {DEEPEST} types within each other")]
    TooDeep,
    /// Nothing is written for a value, so that no length would bound how many there are.
    #[error("the type has a value that takes no bytes: a record, variant, enum or list of nothing")]
    Empty,
    /// Two channels of one name.
    #[error(
        "the type has a stream or future that is all that a future becomes; both would be carried on one channel"
    )]
    SameChannel,
}

// === impl Type ===

impl Type {
    /// `map<K, V>`.
    pub fn map(key: Self, value: Self) -> Self {
        Self::List(Arc::new(Self::Tuple([key, value].into())))
    }

    /// Whether values of it, or parts of them, may come later.
    pub fn is_later(&self) -> bool {
        match self {
            Self::Stream(_) | Self::Future(_) => true,
            other => other.parts().any(Self::is_later),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Self> {
        let (one, other, many, cases): (_, _, &[Self], &[Option<Self>]) = match self {
            Self::List(ty) | Self::FixedList(ty, _) | Self::Option(ty) => {
                (Some(&**ty), None, &[], &[])
            }
            Self::Stream(ty) | Self::Future(ty) => (ty.as_deref(), None, &[], &[]),
            Self::Result(ok, error) => (ok.as_deref(), error.as_deref(), &[], &[]),
            Self::Tuple(types) => (None, None, types, &[]),
            Self::Variant(cases) => (None, None, &[], cases),
            _ => (None, None, &[], &[]),
        };
        one.into_iter().chain(other).chain(many).chain(cases.iter().flatten())
    }

    fn check(&self, depth: usize) -> Result<(), TypeError> {
        if depth == 0 {
            return Err(TypeError::TooDeep);
        }
        let nothing = match self {
            Self::Tuple(types) => types.is_empty(),
            Self::Variant(cases) => cases.is_empty(),
            Self::Enum(count) | Self::Flags(count) | Self::FixedList(_, count) => *count == 0,
            _ => false,
        };
        if nothing {
            return Err(TypeError::Empty);
        }
        self.parts().try_for_each(|part| part.check(depth - 1))?;
        match self {
            Self::Future(Some(ty)) if ty.is_later_itself() => Err(TypeError::SameChannel),
            _ => Ok(()),
        }
    }

    /// Whether a value is a stream or future, or one that is at the same place.
    fn is_later_itself(&self) -> bool {
        match self {
            Self::Stream(_) | Self::Future(_) => true,
            Self::Option(_) | Self::Result(..) | Self::Variant(_) => {
                self.parts().any(Self::is_later_itself)
            }
            _ => false,
        }
    }
}

// === impl Types ===

impl Types {
    /// Types whose values can be carried.
    ///
    /// # Errors
    /// When those of one cannot.
    pub fn new(types: impl Into<Arc<[Type]>>) -> Result<Self, TypeError> {
        let types = types.into();
        types.iter().try_for_each(|ty| ty.check(DEEPEST))?;
        Ok(Self(types))
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[Type] {
        &self.0
    }

    /// As the members of one tuple, which is how they are written.
    pub(crate) fn members(&self) -> Arc<[Type]> {
        self.0.clone()
    }
}

impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Signature ===

impl Signature {
    /// What a function takes and returns, when both can be carried.
    ///
    /// # Errors
    /// When values of one type cannot.
    pub fn new(
        params: impl Into<Arc<[Type]>>,
        results: impl Into<Arc<[Type]>>,
    ) -> Result<Self, TypeError> {
        Ok(Self { params: Types::new(params)?, results: Types::new(results)? })
    }
}

//! Values that are written as text.

use std::{borrow::Cow, fmt, fmt::Display, ops::Deref, str::FromStr, time::Duration};

use reef_grants::{ByteSize, CpuShare, DirGrant, ScratchGrant, VolumeGrant};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, de::Visitor};

/// A value as text, in the words of its own grammar: `64MiB`, `./assets::/assets:ro`. A number is taken
/// where its text would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written<T>(pub T);

/// What can be [`Written`].
pub trait Grammar: Sized {
    /// What a schema calls it.
    const NAME: &'static str;
    /// How it is written, for people.
    const FORM: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, and how it is written right.
    fn read(text: &str) -> Result<Self, String>;

    /// Writes it so that it reads the same.
    fn write(&self) -> String;
}

/// Grammar of a type that has its text by itself.
macro_rules! grammar {
    ($type:ty, $name:literal, $form:literal) => {
        impl $crate::text::Grammar for $type {
            const NAME: &'static str = $name;
            const FORM: &'static str = $form;

            fn read(text: &str) -> Result<Self, String> {
                text.parse::<Self>().map_err(|error| error.to_string())
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    };
}

grammar!(ByteSize, "Size", "A number of bytes with an optional unit: `64MiB`, `512k`");
grammar!(CpuShare, "CpuShare", "Cores of a processor: `0.5`, `50%`, `2`");
grammar!(DirGrant, "Directory", "`HOST`, `HOST::GUEST` or `HOST::GUEST:ro`");
grammar!(ScratchGrant, "Scratch", "`SIZE`, or `SIZE::GUEST` for another place than `/tmp`");
grammar!(VolumeGrant, "Volume", "`NAME::GUEST` or `NAME::GUEST:ro`");

impl Grammar for std::net::SocketAddr {
    const NAME: &'static str = "Address";
    const FORM: &'static str = "An address and a port: `127.0.0.1:8080`";

    fn read(text: &str) -> Result<Self, String> {
        let help = "write an address and a port: `127.0.0.1:8080`, or `[::]:8080` for all";
        text.parse().map_err(|_| format!("`{text}` is no address: {help}"))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Grammar for Duration {
    const NAME: &'static str = "Duration";
    const FORM: &'static str = "A time with its unit: `30s`, `1500ms`, `2h 30m`";

    fn read(text: &str) -> Result<Self, String> {
        reef_grants::parse_duration(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Written<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Display> Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: FromStr> FromStr for Written<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl<T: Grammar> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.write())
    }
}

impl<'de, T: Grammar> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(std::marker::PhantomData<T>);

        impl<T: Grammar> Visitor<'_> for Text<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                T::read(text).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Text(std::marker::PhantomData)).map(Self)
    }
}

impl<T: Grammar> schemars::JsonSchema for Written<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"], "description": T::FORM })
    }
}

/// Text that is checked when it is read, where the type has nothing else to it.
pub(crate) fn checked<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// `serde` and `schemars` for a type that is its own text.
macro_rules! as_text {
    ($type:ty, $name:literal, $description:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::text::checked(deserializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}

pub(crate) use as_text;

//! `message!`: a message described once, field by field, as Kafka's own schemas describe it; structures,
//! decoder and encoder follow from it.
//!
//! ```text
//! message! {
//!     ExampleRequest, versions 0..=9, flexible 6;
//!
//!     /// What it is for.
//!     ExampleRequest {
//!         name: String;                           // in every version
//!         rack: Option<String>, since 1;          // null allowed wherever the field is present
//!         topics: Option<Vec<Topic>>, nullable 4; // null allowed from version 4, refused before
//!         epoch: i32, since 5, default -1;        // the value in versions without the field
//!     } tagged {
//!         0 => cluster_id: Option<String>;        // KIP-482; written where it is not the default
//!     }
//!
//!     Topic { name: String; } tagged {}
//! }
//! ```
//!
//! `since`, `nullable` and `default` come in this order. A field that a version lacks takes its default when
//! decoded and is left out when encoded, whatever its value: who picks the version answers for what it can
//! say. The wire tests read the same descriptions a second time (with a `message!` of their own), so a
//! description names nothing but the types of its fields.

macro_rules! message {
    (
        $message:ident, versions $first:literal ..= $last:literal, flexible $flexible:literal;
        $( $(#[$structure_doc:meta])* $structure:ident $fields:tt tagged $tagged:tt )*
    ) => {
        impl $crate::protocol::Message for $message {
            const VERSIONS: $crate::protocol::VersionRange =
                $crate::protocol::VersionRange { min: $first, max: $last };
            const FLEXIBLE_SINCE: i16 = $flexible;

            fn decode(
                input: &mut $crate::protocol::Reader<'_>,
                version: i16,
            ) -> Result<Self, $crate::protocol::DecodeError> {
                let dialect = $crate::protocol::api::dialect_of::<Self>(version)
                    .ok_or($crate::protocol::DecodeError::UnknownVersion { version })?;
                $crate::protocol::wire::Wire::decode(input, dialect)
            }

            fn decode_into(
                &mut self,
                input: &mut $crate::protocol::Reader<'_>,
                version: i16,
            ) -> Result<(), $crate::protocol::DecodeError> {
                let dialect = $crate::protocol::api::dialect_of::<Self>(version)
                    .ok_or($crate::protocol::DecodeError::UnknownVersion { version })?;
                $crate::protocol::wire::Wire::decode_into(self, input, dialect)
            }

            fn encode(&self, out: &mut $crate::protocol::Writer, version: i16) {
                let dialect = $crate::protocol::api::dialect_of::<Self>(version)
                    .expect("callers encode in versions of the message");
                $crate::protocol::wire::Wire::encode(self, out, dialect);
            }
        }

        $( structure! { [$(#[$structure_doc])*] $structure $fields $tagged } )*
    };
}

macro_rules! structure {
    (
        [$(#[$doc:meta])*] $structure:ident
        { $(
            $(#[$field_doc:meta])* $field:ident: $field_type:ty
            $(, since $since:literal)? $(, nullable $nullable:literal)? $(, default $default:expr)?;
        )* }
        { $(
            $(#[$tagged_doc:meta])* $tag:literal => $tagged:ident: $tagged_type:ty
            $(, default $tagged_default:expr)?;
        )* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $structure {
            $( $(#[$field_doc])* pub $field: $field_type, )*
            $( $(#[$tagged_doc])* pub $tagged: $tagged_type, )*
        }

        impl Default for $structure {
            fn default() -> Self {
                Self {
                    $( $field: default_of!($field_type $(, $default)?), )*
                    $( $tagged: default_of!($tagged_type $(, $tagged_default)?), )*
                }
            }
        }

        impl $crate::protocol::wire::Wire for $structure {
            fn bytes_min(dialect: $crate::protocol::wire::Dialect) -> usize {
                let mut bytes = usize::from(dialect.flexible);
                $( if from_version!(dialect $(, $since)?) {
                    bytes += <$field_type as $crate::protocol::wire::Wire>::bytes_min(dialect);
                } )*
                bytes
            }

            fn decode(
                input: &mut $crate::protocol::Reader<'_>,
                dialect: $crate::protocol::wire::Dialect,
            ) -> Result<Self, $crate::protocol::DecodeError> {
                let mut value = Self::default();
                value.decode_into(input, dialect)?;
                Ok(value)
            }

            fn decode_into(
                &mut self,
                input: &mut $crate::protocol::Reader<'_>,
                dialect: $crate::protocol::wire::Dialect,
            ) -> Result<(), $crate::protocol::DecodeError> {
                $( if !from_version!(dialect $(, $since)?) {
                    self.$field = default_of!($field_type $(, $default)?);
                } else if from_version!(dialect $(, $nullable)?) {
                    $crate::protocol::wire::Wire::decode_into(&mut self.$field, input, dialect)?;
                } else {
                    $crate::protocol::wire::Wire::decode_present_into(&mut self.$field, input, dialect)?;
                } )*
                $( self.$tagged = default_of!($tagged_type $(, $tagged_default)?); )*
                if dialect.flexible {
                    input.tagged_fields(|tag, _value| match tag {
                        $( $tag => {
                            self.$tagged = $crate::protocol::wire::Wire::decode(_value, dialect)?;
                            Ok(true)
                        } )*
                        _ => Ok(false),
                    })?;
                }
                Ok(())
            }

            fn encode(
                &self,
                out: &mut $crate::protocol::Writer,
                dialect: $crate::protocol::wire::Dialect,
            ) {
                $( if from_version!(dialect $(, $since)?) {
                    if from_version!(dialect $(, $nullable)?) {
                        $crate::protocol::wire::Wire::encode(&self.$field, out, dialect);
                    } else {
                        $crate::protocol::wire::Wire::encode_present(&self.$field, out, dialect);
                    }
                } )*
                if dialect.flexible {
                    let present: &[bool] = &[$( self.$tagged != default_of!($tagged_type $(, $tagged_default)?) ),*];
                    out.unsigned_varint(present.iter().filter(|present| **present).count() as u32);
                    $( if self.$tagged != default_of!($tagged_type $(, $tagged_default)?) {
                        out.tagged_field($tag, |value| {
                            $crate::protocol::wire::Wire::encode(&self.$tagged, value, dialect);
                        });
                    } )*
                }
            }
        }
    };
}

macro_rules! default_of {
    ($type:ty) => {
        <$type as Default>::default()
    };
    ($type:ty, $default:expr) => {
        $default
    };
}

macro_rules! from_version {
    ($dialect:ident) => {
        true
    };
    ($dialect:ident, $since:literal) => {
        $dialect.version >= $since
    };
}

//! What the wire tests share: random values of every message, made from its description.
//!
//! The files of `src/protocol/messages` are read here a second time, with a `message!` that makes, for every
//! structure, random values as a version can carry them and the same value of the `kafka-protocol` crate,
//! field by field and by name.

use bytes::Bytes;
use kafka_protocol::messages::{BrokerId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use seedlog::protocol::{ApiKey, Message, Piece, Records, Writer, encode_response_into};

/// A response alone, as it is sent.
pub fn encode_response<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Vec<Piece> {
    let mut out = Writer::new();
    encode_response_into(&mut out, api, version, correlation_id, response);
    out.take_pieces()
}

/// Random bytes from which values are made. When they run out the rest is zeros, so that fewer bytes make
/// smaller values: proptest shrinks by that.
pub struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Source { bytes }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *first
    }

    /// Mostly small, sometimes so large that a compact length takes two bytes.
    fn length(&mut self) -> usize {
        match self.byte() {
            255 => 130,
            byte => usize::from(byte % 4),
        }
    }

    fn number(&mut self) -> i64 {
        match self.byte() % 6 {
            0 => 0,
            1 => -1,
            2 => i64::MIN,
            3 => i64::MAX,
            _ => i64::from_be_bytes(std::array::from_fn(|_| self.byte())),
        }
    }
}

/// A random value that `version` can carry: fields that it lacks keep their defaults.
pub trait Sample: Sized {
    fn sample(source: &mut Source, version: i16) -> Self;

    /// Never null.
    fn sample_present(source: &mut Source, version: i16) -> Self {
        Self::sample(source, version)
    }
}

/// The same value as the crate has it.
#[allow(dead_code)] // Not every test that samples compares.
pub trait Oracle<Theirs> {
    fn oracle(&self, version: i16) -> Theirs;
}

macro_rules! numbers {
    ($($number:ident)*) => { $(
        impl Sample for $number {
            fn sample(source: &mut Source, _: i16) -> Self {
                let number = source.number();
                // The extremes of the wider type are those of the narrower one.
                match number {
                    i64::MIN => $number::MIN,
                    i64::MAX => $number::MAX,
                    _ => number as $number,
                }
            }
        }
    )* };
}

numbers! { i8 i16 i32 i64 }

impl Sample for bool {
    fn sample(source: &mut Source, _: i16) -> Self {
        source.byte() % 2 == 1
    }
}

impl Sample for String {
    fn sample(source: &mut Source, _: i16) -> Self {
        let alphabet = ['a', '-', 'ü', '\0', '漢', 'Z', '🦀', '.'];
        (0..source.length()).map(|_| alphabet[usize::from(source.byte()) % alphabet.len()]).collect()
    }
}

impl Sample for Bytes {
    fn sample(source: &mut Source, _: i16) -> Self {
        (0..source.length()).map(|_| source.byte()).collect()
    }
}

impl Sample for Records {
    fn sample(source: &mut Source, version: i16) -> Self {
        Option::sample(source, version).map_or(Records::None, Records::Bytes)
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(source: &mut Source, version: i16) -> Self {
        (0..source.length()).map(|_| T::sample(source, version)).collect()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source, version: i16) -> Self {
        (!source.byte().is_multiple_of(4)).then(|| T::sample(source, version))
    }

    fn sample_present(source: &mut Source, version: i16) -> Self {
        Some(T::sample(source, version))
    }
}

macro_rules! oracles {
    ($($ours:ty => $theirs:ty: $convert:expr;)*) => { $(
        impl Oracle<$theirs> for $ours {
            fn oracle(&self, _: i16) -> $theirs {
                let convert: fn(&$ours) -> $theirs = $convert;
                convert(self)
            }
        }
    )* };
}

oracles! {
    i8 => i8: |value| *value;
    i16 => i16: |value| *value;
    i32 => i32: |value| *value;
    i64 => i64: |value| *value;
    bool => bool: |value| *value;
    i32 => BrokerId: |value| BrokerId(*value);
    i64 => ProducerId: |value| ProducerId(*value);
    String => StrBytes: |value| StrBytes::from_string(value.clone());
    String => TopicName: |value| TopicName(StrBytes::from_string(value.clone()));
    String => TransactionalId: |value| TransactionalId(StrBytes::from_string(value.clone()));
    Bytes => Bytes: |value| value.clone();
    Records => Option<Bytes>: |value| match value {
        Records::None => None,
        Records::Bytes(bytes) => Some(bytes.clone()),
        Records::Hole(_) => panic!("samples have no holes"),
    };
}

impl<T: Oracle<U>, U> Oracle<Vec<U>> for Vec<T> {
    fn oracle(&self, version: i16) -> Vec<U> {
        self.iter().map(|value| value.oracle(version)).collect()
    }
}

impl<T: Oracle<U>, U> Oracle<Option<U>> for Option<T> {
    fn oracle(&self, version: i16) -> Option<U> {
        self.as_ref().map(|value| value.oracle(version))
    }
}

/// The crate's structures by their names alone; where two messages have one of the same name, the one that
/// our versions reach.
mod theirs {
    pub use kafka_protocol::messages::fetch_response::LeaderIdAndEpoch;
    pub use kafka_protocol::messages::{
        api_versions_request::*, api_versions_response::*, create_topics_request::*,
        create_topics_response::*, delete_topics_request::*, delete_topics_response::*,
        describe_configs_request::*, describe_configs_response::*, fetch_request::*, fetch_response::*,
        find_coordinator_request::*, find_coordinator_response::*, init_producer_id_request::*,
        init_producer_id_response::*, list_offsets_request::*, list_offsets_response::*, metadata_request::*,
        metadata_response::*, produce_request::*, produce_response::*,
    };
}

macro_rules! message {
    (
        $message:ident, versions $first:literal ..= $last:literal, flexible $flexible:literal;
        $( $(#[$doc:meta])* $structure:ident {
            $(
                $(#[$field_doc:meta])* $field:ident: $type:ty
                $(, since $since:literal)? $(, nullable $nullable:literal)? $(, default $default:expr)?;
            )*
        } tagged {
            $(
                $(#[$tagged_doc:meta])* $tag:literal => $tagged:ident: $tagged_type:ty
                $(, default $tagged_default:expr)?;
            )*
        } )*
    ) => { $(
        impl $crate::protocol_support::Sample for seedlog::protocol::messages::$structure {
            fn sample(source: &mut $crate::protocol_support::Source, version: i16) -> Self {
                let mut value = Self::default();
                $( if true $( && version >= $since )? {
                    value.$field = if true $( && version >= $nullable )? {
                        $crate::protocol_support::Sample::sample(source, version)
                    } else {
                        $crate::protocol_support::Sample::sample_present(source, version)
                    };
                } )*
                $( if version >= $flexible {
                    value.$tagged = $crate::protocol_support::Sample::sample(source, version);
                } )*
                value
            }
        }

        impl $crate::protocol_support::Oracle<$crate::protocol_support::theirs::$structure>
            for seedlog::protocol::messages::$structure
        {
            fn oracle(&self, version: i16) -> $crate::protocol_support::theirs::$structure {
                let mut value = $crate::protocol_support::theirs::$structure::default();
                $( if true $( && version >= $since )? {
                    value.$field = $crate::protocol_support::Oracle::oracle(&self.$field, version);
                } )*
                $( if version >= $flexible {
                    value.$tagged = $crate::protocol_support::Oracle::oracle(&self.$tagged, version);
                } )*
                value
            }
        }
    )* };
}

#[path = "../../src/protocol/messages/mod.rs"]
#[allow(unused_imports, clippy::duplicate_mod)]
mod descriptions;

/// Calls `$each!` with every API, its request and its response.
#[macro_export]
macro_rules! for_every_api {
    ($each:ident) => {
        $each!(api_versions, ApiVersionsRequest, ApiVersionsResponse);
        $each!(metadata, MetadataRequest, MetadataResponse);
        $each!(produce, ProduceRequest, ProduceResponse);
        $each!(fetch, FetchRequest, FetchResponse);
        $each!(list_offsets, ListOffsetsRequest, ListOffsetsResponse);
        $each!(create_topics, CreateTopicsRequest, CreateTopicsResponse);
        $each!(init_producer_id, InitProducerIdRequest, InitProducerIdResponse);
        $each!(find_coordinator, FindCoordinatorRequest, FindCoordinatorResponse);
        $each!(delete_topics, DeleteTopicsRequest, DeleteTopicsResponse);
        $each!(describe_configs, DescribeConfigsRequest, DescribeConfigsResponse);
    };
}

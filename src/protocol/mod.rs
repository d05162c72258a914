//! The Kafka wire protocol: frames, headers, messages and error codes.
//!
//! Promises: unmodified clients understand what is encoded here; decoding never panics and never takes more
//! memory than a small multiple of the frame; record bytes are never copied on their way in, and need not
//! pass through here on their way out. Pure: no I/O, no clock. What an answer says is the broker's business,
//! what is in a batch is `record`'s.

#[macro_use]
mod describe;

mod api;
mod codec;
mod error_code;
pub mod frame;
pub mod messages;
mod reader;
mod text;
mod wire;
mod writer;

pub use api::{Api, ApiKey, ApiRange, Message, Request, VersionRange, api_versions_response, supported};
pub use codec::{
    RequestError, RequestHeader, correlation_id, decode_body_into, decode_header, decode_request,
    decode_response, encode_request, encode_response_into,
};
pub use error_code::ErrorCode;
pub use reader::{
    ARRAY_BYTES_FREE, ARRAY_BYTES_MAX, ARRAY_GROWTH_MAX, DecodeError, REQUEST_ELEMENTS_MAX, Reader,
};
pub use text::Text;
pub use wire::Records;
pub use writer::{OpenFrame, Piece, Writer};

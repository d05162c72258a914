//! Whole frames: header and message, as the broker reads and writes them and as our clients do.
//!
//! Headers have versions of their own: a request's is 2 and a response's is 1 where the message is flexible,
//! otherwise 1 and 0. An ApiVersions response always has header 0, for its reader does not know yet what the
//! broker speaks (KIP-511).

use std::ops::Range;

use bytes::Bytes;

use super::ErrorCode;
use super::api::{Api, ApiKey, Message, Request, name_of_key};
use super::reader::{DecodeError, Reader};
use super::text::Text;
use super::writer::Writer;

/// What precedes every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Text>,
    /// Bytes after the last field, which are not looked at: librdkafka 2.16 sends some with Metadata, and
    /// Kafka takes no offence.
    pub trailing_bytes: usize,
}

/// Why a frame is not a request that can be answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Answer [`super::api_versions_response`] with `UNSUPPORTED_VERSION`, in version 0; the client then
    /// chooses a version that it finds there.
    #[error("ApiVersions version {version} is not known")]
    UnsupportedApiVersions { version: i16, correlation_id: i32 },
    /// Close the connection.
    #[error("{}", unknown_api(*.key))]
    UnknownApi { key: i16 },
    /// Close the connection.
    #[error("{} version {version} is not known", api.name())]
    UnsupportedVersion { api: ApiKey, version: i16 },
    /// Close the connection.
    #[error("malformed {} request: {error}", api.map_or("unknown", ApiKey::name))]
    Malformed { api: Option<ApiKey>, error: DecodeError },
}

impl RequestError {
    fn malformed(api: ApiKey, error: DecodeError) -> RequestError {
        RequestError::Malformed { api: Some(api), error }
    }
}

fn unknown_api(key: i16) -> String {
    match name_of_key(key) {
        Some(name) => format!("{name} (API key {key}) is not served yet"),
        None => format!("API key {key} is not known"),
    }
}

/// Reads a frame (without its length) as a request. Byte fields are slices of the frame.
pub fn decode_request(frame: Bytes) -> Result<(RequestHeader, Request), RequestError> {
    let (mut header, mut body) = decode_header(&frame, 0..frame.len())?;
    let request = Request::decode(header.api_key, &mut body, header.api_version)
        .map_err(|error| RequestError::malformed(header.api_key, error))?;
    header.trailing_bytes = body.remaining();
    Ok((header, request))
}

/// Reads the header of the request whose frame (without its length) is at `range` of `bytes`; what follows is its
/// body, for [`decode_body_into`].
pub fn decode_header(
    bytes: &Bytes,
    range: Range<usize>,
) -> Result<(RequestHeader, Reader<'_>), RequestError> {
    let mut input = Reader::of_request(bytes, range);
    let (key, api_version, correlation_id) =
        decode_key(&mut input).map_err(|error| RequestError::Malformed { api: None, error })?;
    let api_key = ApiKey::try_from(key).map_err(|key| RequestError::UnknownApi { key })?;
    if !api_key.decodable().contains(api_version) {
        return Err(match api_key {
            ApiKey::ApiVersions => {
                RequestError::UnsupportedApiVersions { version: api_version, correlation_id }
            }
            api => RequestError::UnsupportedVersion { api, version: api_version },
        });
    }
    let client_id = decode_client_id(&mut input, api_key, api_version)
        .map_err(|error| RequestError::malformed(api_key, error))?;
    Ok((RequestHeader { api_key, api_version, correlation_id, client_id, trailing_bytes: 0 }, input))
}

/// Reads what follows a header of the API `R`, over another request, whose memory is used again.
pub fn decode_body_into<R: Api>(
    header: &mut RequestHeader,
    body: &mut Reader<'_>,
    request: &mut R,
) -> Result<(), RequestError> {
    assert_eq!(header.api_key, R::KEY, "who calls has looked at the header");
    request
        .decode_into(body, header.api_version)
        .map_err(|error| RequestError::malformed(header.api_key, error))?;
    header.trailing_bytes = body.remaining();
    Ok(())
}

fn decode_key(input: &mut Reader<'_>) -> Result<(i16, i16, i32), DecodeError> {
    Ok((input.i16()?, input.i16()?, input.i32()?))
}

fn decode_client_id(
    input: &mut Reader<'_>,
    api_key: ApiKey,
    api_version: i16,
) -> Result<Option<Text>, DecodeError> {
    // Of classic form even in the flexible header, so that it can always be read.
    let client_id = input.short_length()?.map(|length| input.text(length)).transpose()?;
    if api_version >= api_key.flexible_since() {
        input.tagged_fields(|_, _| Ok(false))?;
    }
    Ok(client_id)
}

/// A response as it is sent, with its length in front, after what `out` already has: several can be sent as one. The
/// records that are holes come back as such.
pub fn encode_response_into<M: Message>(
    out: &mut Writer,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) {
    let frame = out.begin_frame();
    out.i32(correlation_id);
    if flexible_response_header(api, version) {
        out.unsigned_varint(0);
    }
    response.encode(out, version);
    out.end_frame(frame);
}

fn flexible_response_header(api: ApiKey, version: i16) -> bool {
    api != ApiKey::ApiVersions && version >= api.flexible_since()
}

/// A request as it is sent, with its length in front. Records are copied into it.
pub fn encode_request<R: Api>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Bytes {
    let mut out = Writer::new();
    let frame = out.begin_frame();
    out.i16(R::KEY as i16);
    out.i16(version);
    out.i32(correlation_id);
    out.short_length(client_id.map(str::len));
    out.bytes(client_id.unwrap_or_default().as_bytes());
    if version >= R::FLEXIBLE_SINCE {
        out.unsigned_varint(0);
    }
    request.encode(&mut out, version);
    out.end_frame(frame);
    out.into_bytes()
}

/// The correlation id of a response frame (without its length): which request it answers.
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// Reads a frame (without its length) as the response to a request of type `R` sent in `version`.
///
/// A broker that does not know our version of ApiVersions answers in version 0 with `UNSUPPORTED_VERSION`;
/// such a response is read as what it is.
pub fn decode_response<R: Api>(frame: Bytes, version: i16) -> Result<(i32, R::Response), DecodeError> {
    let mut input = Reader::new(&frame);
    let correlation_id = input.i32()?;
    if flexible_response_header(R::KEY, version) {
        input.tagged_fields(|_, _| Ok(false))?;
    }
    let refused = R::KEY == ApiKey::ApiVersions
        && input.rest().starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
    let response = R::Response::decode(&mut input, if refused { 0 } else { version })?;
    input.finish()?;
    Ok((correlation_id, response))
}

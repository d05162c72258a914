//! Which APIs there are, and in which versions they are advertised and read: one table.

use super::messages::*;
use super::wire::Dialect;
use super::{DecodeError, ErrorCode, Reader, Writer};

/// Versions from `min` to `max`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

impl VersionRange {
    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// The newest version that both ranges have.
    pub fn newest_common(self, other: VersionRange) -> Option<i16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// A request or response as a whole.
pub trait Message: Sized {
    /// The versions in which it can be encoded and decoded.
    const VERSIONS: VersionRange;
    /// The first version with compact lengths and tagged fields.
    const FLEXIBLE_SINCE: i16;

    /// Reads the message alone; [`Reader::finish`] says whether anything follows it.
    fn decode(input: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;

    /// As `decode`, over another message, whose memory is used again. After an error it is some message.
    fn decode_into(&mut self, input: &mut Reader<'_>, version: i16) -> Result<(), DecodeError>;

    /// Writes the message alone. The version must be one of `VERSIONS`; fields it lacks are left out.
    fn encode(&self, out: &mut Writer, version: i16);
}

pub(super) fn dialect_of<M: Message>(version: i16) -> Option<Dialect> {
    let known = M::VERSIONS.contains(version);
    known.then_some(Dialect { version, flexible: version >= M::FLEXIBLE_SINCE })
}

/// A request, and what answers it.
pub trait Api: Message {
    type Response: Message;
    const KEY: ApiKey;
}

/// What we say and what we read of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRange {
    pub key: ApiKey,
    /// What ApiVersions answers; `None` where handlers are still to come.
    pub advertised: Option<VersionRange>,
    /// What [`super::decode_request`] reads and our clients may send.
    pub decodable: VersionRange,
}

macro_rules! apis {
    ( $(
        $(#[$doc:meta])*
        $api:ident = $key:literal, $request:ident => $response:ident $(, advertise $min:literal ..= $max:literal)?;
    )* ) => {
        /// An API by its number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey { $( $(#[$doc])* $api = $key, )* }

        impl TryFrom<i16> for ApiKey {
            type Error = i16;

            fn try_from(key: i16) -> Result<ApiKey, i16> {
                match key {
                    $( $key => Ok(ApiKey::$api), )*
                    unknown => Err(unknown),
                }
            }
        }

        impl ApiKey {
            /// Kafka's name for it.
            pub fn name(self) -> &'static str {
                match self { $( ApiKey::$api => stringify!($api), )* }
            }

            pub(super) fn flexible_since(self) -> i16 {
                match self { $( ApiKey::$api => <$request as Message>::FLEXIBLE_SINCE, )* }
            }
        }

        /// A request of any API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request { $( $api($request), )* }

        impl Request {
            pub(super) fn decode(key: ApiKey, input: &mut Reader<'_>, version: i16) -> Result<Request, DecodeError> {
                match key { $( ApiKey::$api => $request::decode(input, version).map(Request::$api), )* }
            }
        }

        $( impl Api for $request {
            type Response = $response;
            const KEY: ApiKey = ApiKey::$api;
        } )*

        const SUPPORTED: &[ApiRange] = &[ $( ApiRange {
            key: ApiKey::$api,
            advertised: advertised!($($min, $max)?),
            decodable: <$request as Message>::VERSIONS,
        }, )* ];
    };
}

macro_rules! advertised {
    () => {
        None
    };
    ($min:literal, $max:literal) => {
        Some(VersionRange { min: $min, max: $max })
    };
}

apis! {
    /// Advertised from 0 although 3 is the oldest that is read: seeing a higher minimum, librdkafka sends
    /// gzip, snappy and lz4 batches uncompressed (KAFKA-18659).
    Produce = 0, ProduceRequest => ProduceResponse, advertise 0..=9;
    Fetch = 1, FetchRequest => FetchResponse, advertise 4..=12;
    ListOffsets = 2, ListOffsetsRequest => ListOffsetsResponse, advertise 1..=7;
    Metadata = 3, MetadataRequest => MetadataResponse, advertise 0..=9;
    /// Advertised although no group is coordinated here yet: librdkafka sends lz4 only to brokers that have it.
    FindCoordinator = 10, FindCoordinatorRequest => FindCoordinatorResponse, advertise 0..=3;
    ApiVersions = 18, ApiVersionsRequest => ApiVersionsResponse, advertise 0..=3;
    CreateTopics = 19, CreateTopicsRequest => CreateTopicsResponse, advertise 2..=5;
    DeleteTopics = 20, DeleteTopicsRequest => DeleteTopicsResponse;
    /// Not advertised: a client that wants idempotence then fails at once and says that the broker lacks it.
    InitProducerId = 22, InitProducerIdRequest => InitProducerIdResponse;
    DescribeConfigs = 32, DescribeConfigsRequest => DescribeConfigsResponse, advertise 1..=4;
}

/// Every API that can be read, in order of its key.
pub fn supported() -> &'static [ApiRange] {
    SUPPORTED
}

/// Kafka's APIs by key, up to those of version 4.1.
const KAFKAS_NAMES: &[&str] = &[
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "LeaderAndIsr",
    "StopReplica",
    "UpdateMetadata",
    "ControlledShutdown",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "SaslHandshake",
    "ApiVersions",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "WriteTxnMarkers",
    "TxnOffsetCommit",
    "DescribeAcls",
    "CreateAcls",
    "DeleteAcls",
    "DescribeConfigs",
    "AlterConfigs",
    "AlterReplicaLogDirs",
    "DescribeLogDirs",
    "SaslAuthenticate",
    "CreatePartitions",
    "CreateDelegationToken",
    "RenewDelegationToken",
    "ExpireDelegationToken",
    "DescribeDelegationToken",
    "DeleteGroups",
    "ElectLeaders",
    "IncrementalAlterConfigs",
    "AlterPartitionReassignments",
    "ListPartitionReassignments",
    "OffsetDelete",
    "DescribeClientQuotas",
    "AlterClientQuotas",
    "DescribeUserScramCredentials",
    "AlterUserScramCredentials",
    "Vote",
    "BeginQuorumEpoch",
    "EndQuorumEpoch",
    "DescribeQuorum",
    "AlterPartition",
    "UpdateFeatures",
    "Envelope",
    "FetchSnapshot",
    "DescribeCluster",
    "DescribeProducers",
    "BrokerRegistration",
    "BrokerHeartbeat",
    "UnregisterBroker",
    "DescribeTransactions",
    "ListTransactions",
    "AllocateProducerIds",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
    "ControllerRegistration",
    "GetTelemetrySubscriptions",
    "PushTelemetry",
    "AssignReplicasToDirs",
    "ListConfigResources",
    "DescribeTopicPartitions",
    "ShareGroupHeartbeat",
    "ShareGroupDescribe",
    "ShareFetch",
    "ShareAcknowledge",
    "AddRaftVoter",
    "RemoveRaftVoter",
    "UpdateRaftVoter",
    "InitializeShareGroupState",
    "ReadShareGroupState",
    "WriteShareGroupState",
    "DeleteShareGroupState",
    "ReadShareGroupStateSummary",
    "StreamsGroupHeartbeat",
    "StreamsGroupDescribe",
    "DescribeShareGroupOffsets",
    "AlterShareGroupOffsets",
    "DeleteShareGroupOffsets",
];

/// Kafka's name for an API, be it served here or not.
pub fn name_of_key(key: i16) -> Option<&'static str> {
    KAFKAS_NAMES.get(usize::try_from(key).ok()?).copied()
}

impl ApiKey {
    /// The versions of the API that can be read and sent.
    pub fn decodable(self) -> VersionRange {
        let range = SUPPORTED.iter().find(|range| range.key == self);
        range.expect("the table has a row for every key").decodable
    }
}

/// What a broker says it speaks. `error` is [`ErrorCode::NONE`], or
/// [`ErrorCode::UNSUPPORTED_VERSION`] in answer to a version too new, which must be sent in version 0.
pub fn api_versions_response(error: ErrorCode) -> ApiVersionsResponse {
    let advertised = supported().iter().filter_map(|range| Some((range.key, range.advertised?)));
    let api_keys = advertised.map(|(key, versions)| ApiVersion {
        api_key: key as i16,
        min_version: versions.min,
        max_version: versions.max,
    });
    ApiVersionsResponse { error_code: error.0, api_keys: api_keys.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_every_advertised_maximum_can_be_read() {
        assert!(supported().is_sorted_by_key(|range| range.key as i16));
        for range in supported() {
            assert_eq!(ApiKey::try_from(range.key as i16), Ok(range.key));
            assert_eq!(name_of_key(range.key as i16), Some(range.key.name()));
            if let Some(advertised) = range.advertised {
                assert!(range.decodable.contains(advertised.max), "{:?}", range.key);
            }
        }
        assert_eq!(ApiKey::try_from(1000), Err(1000));
    }

    #[test]
    fn produce_is_advertised_from_zero() {
        let response = api_versions_response(ErrorCode::NONE);
        assert_eq!(response.api_keys[0], ApiVersion { api_key: 0, min_version: 0, max_version: 9 });
        assert!(response.api_keys.iter().all(|api| api.api_key != ApiKey::DeleteTopics as i16));
    }

    #[test]
    fn newest_common_version_is_in_both_ranges() {
        let ours = VersionRange { min: 4, max: 12 };
        assert_eq!(ours.newest_common(VersionRange { min: 0, max: 17 }), Some(12));
        assert_eq!(ours.newest_common(VersionRange { min: 0, max: 4 }), Some(4));
        assert_eq!(ours.newest_common(VersionRange { min: 13, max: 17 }), None);
        assert_eq!(ours.newest_common(VersionRange { min: 0, max: 3 }), None);
    }
}

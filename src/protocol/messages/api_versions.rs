//! ApiVersions: what each side can speak. The first request of a connection, and the one that has to be
//! answered even in a version that is not known.

message! {
    ApiVersionsRequest, versions 0..=4, flexible 3;

    ApiVersionsRequest {
        client_software_name: String, since 3;
        client_software_version: String, since 3;
    } tagged {}
}

message! {
    ApiVersionsResponse, versions 0..=4, flexible 3;

    ApiVersionsResponse {
        error_code: i16;
        api_keys: Vec<ApiVersion>;
        throttle_time_ms: i32, since 1;
    } tagged {
        0 => supported_features: Vec<SupportedFeatureKey>;
        1 => finalized_features_epoch: i64, default -1;
        2 => finalized_features: Vec<FinalizedFeatureKey>;
        3 => zk_migration_ready: bool;
    }

    ApiVersion {
        api_key: i16;
        min_version: i16;
        max_version: i16;
    } tagged {}

    SupportedFeatureKey {
        name: String, since 3;
        min_version: i16, since 3;
        max_version: i16, since 3;
    } tagged {}

    FinalizedFeatureKey {
        name: String, since 3;
        max_version_level: i16, since 3;
        min_version_level: i16, since 3;
    } tagged {}
}

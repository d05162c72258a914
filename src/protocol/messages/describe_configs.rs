//! DescribeConfigs: the settings of topics and brokers, and where each value comes from.

message! {
    DescribeConfigsRequest, versions 1..=4, flexible 4;

    DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>;
        include_synonyms: bool;
        include_documentation: bool, since 3;
    } tagged {}

    DescribeConfigsResource {
        /// 2: a topic; 4: a broker.
        resource_type: i8;
        resource_name: String;
        /// Null, or empty, asks for all keys.
        configuration_keys: Option<Vec<String>>;
    } tagged {}
}

message! {
    DescribeConfigsResponse, versions 1..=4, flexible 4;

    DescribeConfigsResponse {
        throttle_time_ms: i32;
        results: Vec<DescribeConfigsResult>;
    } tagged {}

    DescribeConfigsResult {
        error_code: i16;
        error_message: Option<String>;
        resource_type: i8;
        resource_name: String;
        configs: Vec<DescribeConfigsResourceResult>;
    } tagged {}

    DescribeConfigsResourceResult {
        name: String;
        value: Option<String>;
        read_only: bool;
        /// 1: the topic itself; 4: the broker's file; 5: the default.
        config_source: i8, default -1;
        is_sensitive: bool;
        synonyms: Vec<DescribeConfigsSynonym>;
        /// 1: boolean; 2: text; 3, 4, 5: int, short, long; 7: list.
        config_type: i8, since 3;
        documentation: Option<String>, since 3;
    } tagged {}

    DescribeConfigsSynonym {
        name: String;
        value: Option<String>;
        source: i8;
    } tagged {}
}

//! The messages, one file an API. Names of structures and fields are those of Kafka's schemas; types are
//! plain. Fields of versions newer than those read here are not described yet.

mod api_versions;
mod create_topics;
mod delete_topics;
mod describe_configs;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod produce;

pub use api_versions::*;
pub use create_topics::*;
pub use delete_topics::*;
pub use describe_configs::*;
pub use fetch::*;
pub use find_coordinator::*;
pub use init_producer_id::*;
pub use list_offsets::*;
pub use metadata::*;
pub use produce::*;
